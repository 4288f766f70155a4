"""Packing: rows in the archive's order, everything or nothing, in bounded memory, and stopped without a trace."""

import csv
import errno
import gzip
import hashlib
import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from whence import pack
from whence.archive import write
from whence.base import arrays
from whence.base.errors import InputError

ROOT = Path(__file__).parents[1]
SIDE = 4
RGB = pack.Settings(modes=["RGB"])
RUN = "import os, runpy; os.cpu_count = lambda: 2; runpy.run_module('stages.pack', run_name='__main__', alter_sys=True)"
"""What `python -m stages.pack` does, with two workers whatever the machine has."""


@cache
def picture(k, side=SIDE, format_="PNG", mode="RGB"):
    """Return the content of an image that is different for every k."""
    pixels = np.zeros((side, side, 3), np.uint8)
    pixels[:] = k % 256, k // 256 % 256, 7
    target = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(target, format_)
    return target.getvalue()


def named(count):
    return [(f"train/{k}.png", picture(k)) for k in range(count)]


@pytest.fixture
def packed(tmp_path, monkeypatch):
    """Return a function that packs files with one worker (quick to start), and returns images and index as read."""
    monkeypatch.setattr(os, "cpu_count", lambda: 1)

    def run(files, container="tar", pixels=SIDE, suffix=".png", settings=RGB):
        write(tmp_path / "archive", container, files)
        images, index = tmp_path / "out" / "images.npy", tmp_path / "out" / "index.csv"
        count = pack.pack(tmp_path / "archive", suffix, pixels, settings, images, index)
        with index.open(encoding="utf-8", newline="") as handle:
            table = list(csv.reader(handle))
        assert sorted(tree(tmp_path / "out")) == ["images.npy", "index.csv"]
        assert table[0] == ["path", "digest"]
        assert count == len(table) - 1
        return np.load(images), table[1:]

    return run


@pytest.fixture
def refusal(tmp_path, packed):
    """Return a function that returns the message with which files are refused; nothing may be left of them."""

    def run(files, **options):
        with pytest.raises(InputError) as error:
            packed(files, **options)
        assert tree(tmp_path / "out") == []
        assert str(error.value).startswith(f"{tmp_path / 'archive'}: ")
        return str(error.value)

    return run


def environment():
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}


def python(script, folder):
    command = [sys.executable, "-c", script]
    return subprocess.run(command, check=False, cwd=folder, env=environment(), capture_output=True, text=True)


def tree(folder):
    return [str(path.relative_to(folder)) for path in folder.rglob("*")]


# What comes out


@pytest.mark.parametrize("container", ["tar", "zip"])
def test_rows_keep_the_order_of_the_archive(packed, container):
    order = np.random.default_rng(0).permutation(700).tolist()
    images, table = packed([(f"train/{k}.png", picture(k)) for k in order], container)
    assert (images.shape, images.dtype) == ((700, SIDE, SIDE, 3), np.uint8)
    assert images[:, 0, 0].tolist() == [[k % 256, k // 256, 7] for k in order]
    assert [path for path, _ in table] == [f"train/{k}.png" for k in order]
    assert [digest for _, digest in table] == [hashlib.sha256(i.tobytes()).hexdigest()[:32] for i in images]


def test_awkward_names_come_out_as_they_are(packed):
    names = ['a,"b".png', "c\nd.png", "é (2).png", " .png", "e..f.png"]
    assert [path for path, _ in packed([(n, picture(k)) for k, n in enumerate(names)])[1]] == names


def test_jpeg_rows_are_what_pillow_decodes(packed):
    files = [(f"{k}.jpg", picture(k, 32, "JPEG")) for k in range(20)]
    images, _ = packed(files, pixels=32, suffix=".jpg")
    expected = [np.asarray(Image.open(io.BytesIO(content))) for _, content in files]
    assert np.array_equal(images, expected)


@pytest.mark.parametrize("count", [1, 3, 4, 5, 8, 12, 13, 17, 40])
def test_batches_join_without_a_seam(packed, monkeypatch, count):
    monkeypatch.setattr(pack, "BATCH", 4)
    images, table = packed(named(count))
    assert images[:, 0, 0, 0].tolist() == list(range(count))
    assert [path for path, _ in table] == [f"train/{k}.png" for k in range(count)]


def test_more_images_than_are_ever_under_way(packed):
    count = 3000
    assert count > 2 * pack.BATCH * 2 + pack.BATCH
    images, _ = packed(named(count))
    assert (images[:, 0, 0, 0] + 256 * images[:, 0, 0, 1].astype(int)).tolist() == list(range(count))


def test_the_number_of_workers_changes_nothing(packed, tmp_path, monkeypatch):
    monkeypatch.setattr(pack, "BATCH", 8)
    found = set()
    for workers in (1, 2, 5, None):
        monkeypatch.setattr(os, "cpu_count", lambda workers=workers: workers)
        packed(named(150))
        found.add(tuple((tmp_path / "out" / name).read_bytes() for name in ("images.npy", "index.csv")))
    assert len(found) == 1


def test_outputs_of_before_are_replaced(packed, tmp_path):
    packed(named(9))
    assert len(packed(named(3))[0]) == 3


def test_allowed_modes_are_converted(packed):
    files = [("a.png", picture(1)), ("b.png", picture(2, mode="L")), ("c.png", picture(3, mode="RGBA"))]
    images, _ = packed(files, settings=pack.Settings(modes=["RGB", "L", "RGBA"]))
    assert images[:, 0, 0].tolist() == [[1, 0, 7], [1, 1, 1], [3, 0, 7]]


# What is passed over, and what is refused

DOCUMENTS = [
    "READ.md", "README", "a/LICENSE", "train/notes.TXT", "list.csv", "a/index.html", "paper.pdf",
    ".DS_Store", "train/.hidden", ".gitignore",
    "__MACOSX/train/1.png", "__MACOSX/train/._2.png", "train/._3.png", "train/.4.png",
]  # fmt: skip


def test_documents_and_hidden_files_are_passed_over(packed):
    """Whatever their ending: macOS puts a ._1.png that is no image beside every 1.png."""
    files = [(name, b"no image") for name in DOCUMENTS]
    images, table = packed([*files[:6], *named(3), *files[6:]])
    assert len(images) == 3
    assert [path for path, _ in table] == ["train/0.png", "train/1.png", "train/2.png"]


@pytest.mark.parametrize("name", ["a.gif", "a.PNG", "a.jpg", "Thumbs.db", "data.npy", "x.md.zip"])
def test_anything_else_is_refused_by_name(refusal, name):
    message = refusal([*named(2), (name, picture(1))])
    assert f": 1 members cannot be used:\n  {name} is neither a .png image nor a document\n" in message
    assert "mend or remove them" in message


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is not a PNG, it is empty"),
        (picture(1, format_="JPEG"), "is not a PNG, it begins with"),
        (picture(1)[:-20], "is not a whole PNG"),
        (picture(1, side=5), "is 5×5 pixels, expected 4×4"),
        (picture(1, mode="L"), "has mode L, expected RGB"),
        (picture(1, mode="RGBA"), "has mode RGBA, expected RGB"),
    ],
)
def test_an_image_that_cannot_be_used_is_refused_with_the_way_out(refusal, content, why):
    message = refusal([*named(300), ("test/bad.png", content)])
    assert f"\n  test/bad.png {why}" in message
    assert "a colour mode may be allowed (and converted) in params.yaml: pack.<dataset>.modes" in message


def test_all_that_cannot_be_used_are_counted_and_ten_are_shown(refusal, monkeypatch):
    monkeypatch.setattr(pack, "BATCH", 3)
    message = refusal([(f"{k}.png", picture(k) if k % 2 else b"x") for k in range(2500)])
    assert ": 1,250 members cannot be used:" in message
    assert [line.split()[0] for line in message.splitlines()[1:12]] == [*(f"{k}.png" for k in range(0, 20, 2)), "and"]
    assert "\n  and 1,240 more\n" in message
    assert "20.png" not in message


def test_ten_are_shown_without_more(refusal):
    message = refusal([(f"{k}.png", b"x") for k in range(10)])
    assert message.count("\n  ") == 10
    assert "more" not in message.splitlines()[-2]


@pytest.mark.parametrize("files", [[], [("README.md", b"nothing here"), (".hidden.png", picture(1))]])
@pytest.mark.parametrize("container", ["tar", "zip"])
def test_an_archive_without_images_is_refused(refusal, files, container):
    message = refusal(files, container=container)
    assert "holds no .png image; is it the archive of this dataset?" in message


def test_a_damaged_archive_leaves_nothing_of_the_rows_before(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    write(tmp_path / "archive", "tar", named(2000))
    with (tmp_path / "archive").open("r+b") as handle:
        handle.truncate(1900 * 1024)
    with pytest.raises(
        InputError, match=r"archive: truncated or corrupt after train/1899\.png .*copy the archive again"
    ):
        pack.pack(tmp_path / "archive", ".png", SIDE, RGB, tmp_path / "out" / "i.npy", tmp_path / "out" / "i.csv")
    assert tree(tmp_path / "out") == []


def test_a_missing_archive_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    with pytest.raises(InputError, match=r"archive: cannot be read \(No such file"):
        pack.pack(tmp_path / "archive", ".png", SIDE, RGB, tmp_path / "out" / "i.npy", tmp_path / "out" / "i.csv")
    assert tree(tmp_path / "out") == []


# A full disk


def test_a_disk_that_fills_up_leaves_nothing(packed, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(arrays, "_header", full)
    with pytest.raises(OSError, match="No space left"):
        packed(named(600))
    assert tree(tmp_path / "out") == []


def test_an_index_that_finds_no_room_takes_the_images_with_it(tmp_path):
    """The index is small enough to wait in a buffer until the end, and larger than what the disk still takes."""
    files = [("n" * 90 + f"{k}.png", picture(k, side=1)) for k in range(40)]
    write(tmp_path / "archive", "tar", files)
    script = (
        "import resource, sys; from pathlib import Path; from whence import pack\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))\n"
        "pack.pack(Path('archive'), '.png', 1, pack.Settings(modes=['RGB']), Path('out/i.npy'), Path('out/i.csv'))"
    )
    done = python(script, tmp_path)
    assert "File too large" in done.stderr
    assert tree(tmp_path / "out") == []


# Memory


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of a process is read from /proc")
def test_memory_does_not_grow_with_the_archive(tmp_path):
    """20,000 images hold 246 MB of pixels; the process and each of its workers get by with far less.

    VmHWM, since a child's own ru_maxrss starts from what the process that started it takes, pytest here.
    """
    count, side = 20_000, 64
    write(tmp_path / "archive", "tar", ((f"{k}.png", picture(k % 100, side)) for k in range(count)))
    script = (
        "import os, resource; os.cpu_count = lambda: 2; from pathlib import Path; from whence import pack\n"
        f"pack.pack(Path('archive'), '.png', {side}, pack.Settings(modes=['RGB']), Path('i.npy'), Path('i.csv'))\n"
        "own = next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM'))\n"
        "print(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = python(script, tmp_path)
    assert done.returncode == 0, done.stderr
    peaks = [int(word) * 1024 for word in done.stdout.split()]
    assert (tmp_path / "i.npy").stat().st_size > count * side * side * 3
    assert len(peaks) == 2
    assert max(peaks) < 150e6


# Stopped in the middle


def die(*_):
    os._exit(9)


def test_a_worker_that_dies_ends_it_all_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(pack, "decode_batch", die)
    write(tmp_path / "archive", "tar", named(2000))
    with pytest.raises(InputError, match="a worker process was killed or ran out of memory; run again"):
        pack.pack(tmp_path / "archive", ".png", SIDE, RGB, tmp_path / "out" / "i.npy", tmp_path / "out" / "i.csv")
    assert tree(tmp_path / "out") == []


@pytest.fixture(scope="module")
def endless(tmp_path_factory):
    """Return a small archive that takes long to read: images, then documents of 27 GB of zeros."""
    folder = tmp_path_factory.mktemp("endless")
    write(folder / "images.tar", "tar", [(f"{k}.png", picture(k, 32)) for k in range(3000)])
    images = (folder / "images.tar").read_bytes()
    document = gzip.compress(bytes(1 << 25))
    with (folder / "archive").open("wb") as handle:
        handle.write(gzip.compress(images[: 3000 * 1024], 1))
        for k in range(800):
            info = tarfile.TarInfo(f"{k}.txt")
            info.size = 1 << 25
            handle.write(gzip.compress(info.tobuf()) + document)
    return folder / "archive"


@pytest.fixture
def running(tmp_path, endless):
    """Return a running `python -m stages.pack`, seen to have written its first rows, in a process group of its own."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    command = [sys.executable, "-c", RUN, "cinic10", str(endless), "out/images.npy", "out/index.csv"]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment(), start_new_session=True, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while not any(path.stat().st_size > arrays.HEADER for path in tmp_path.glob("out/.images.npy.*")):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield process
    finally:
        with suppress(ProcessLookupError):  # the group outlives its leader while a worker runs
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("send", [os.kill, os.killpg], ids=["main process", "process group"])
def test_a_stop_in_the_middle_leaves_nothing(running, tmp_path, number, send):
    """Ctrl-C reaches the whole group, `kill` and DVC the main process; the pipes close when the last worker ends."""
    send(running.pid, number)
    _, errors = running.communicate(timeout=30)
    assert running.returncode == 128 + number
    assert errors == "error: stopped: nothing is half-written, run again to go on\n"
    assert tree(tmp_path / "out") == []


STOP_EVERYWHERE = """
import os, signal, sys
from pathlib import Path
from whence import pack
from whence.base import stops

os.cpu_count = lambda: 2
LIBRARY = tuple(os.path.join(*path) for path in (("concurrent", "futures"), ("threading.py",), ("queue.py",)))


def trace(frame, event, _):
    global left
    if not any(part in frame.f_code.co_filename for part in LIBRARY):
        return trace
    frame.f_trace_opcodes = True
    if event == "opcode":
        left -= 1
        if left == 0:
            sys.settrace(None)
            signal.raise_signal(signal.SIGTERM)
    return trace


stops.catch()
pack.BATCH = 8
out = Path("out")
for left in range(1, 1200, 23):
    sys.settrace(trace)
    try:
        pack.pack(Path("archive"), ".png", %d, pack.Settings(modes=["RGB"]), out / "images.npy", out / "index.csv")
        sys.exit("not stopped")
    except KeyboardInterrupt:
        assert not list(out.glob("*")), list(out.glob("*"))
    finally:
        sys.settrace(None)
print("stopped everywhere")
"""


def test_a_stop_in_the_middle_of_a_lock_is_put_off(tmp_path):
    """The signal comes at one bytecode after another of the executor, whose locks no exception may leave behind."""
    write(tmp_path / "archive", "tar", named(60))
    done = subprocess.run(
        [sys.executable, "-c", STOP_EVERYWHERE % SIDE], cwd=tmp_path, env=environment(), text=True, timeout=100,
        capture_output=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "stopped everywhere\n"), done.stderr


def test_being_killed_leaves_no_output_and_no_worker(running, tmp_path):
    running.kill()
    running.communicate(timeout=30)
    assert all(name.startswith(".") for name in tree(tmp_path / "out"))
