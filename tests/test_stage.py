"""Stages on the command line: what goes in, what comes out, and one message for whatever a user can mend."""

import csv
import errno
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

from stages import evaluate, fetch, label, pack, train
from whence import calibration, curves, metrics, models
from whence.archive import kind, members, write
from whence.base import settings, stage
from whence.base.errors import InputError
from whence.base.files import replacing
from whence.table import rows, tables

ROOT = Path(__file__).parents[1]
FETCH = ("cinic10", "data/local/cinic10", "data/cinic10/archive")
PACK = ("cinic10", "data/cinic10/archive", "data/cinic10/images.npy", "data/cinic10/index.csv")
LABEL = ("cinic10", "data/cinic10/index.csv", "data/cinic10/labels.csv")

MODEL = ("labels.csv", "features.npy", "model.safetensors", "model.json")
TRAIN = ("tasks.fake", "classical", "logistic", "logistic", *MODEL, "training.csv")
CURVES = ("roc.csv", "pr.csv", "reliability.csv", "confusion.csv")
EVALUATED = ("scores.csv", "headline.json", "full.json", *CURVES, "calibration.json")
EVALUATE = ("fake", "classical", "logistic", *MODEL, *EVALUATED)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Stand in a folder of its own with a params.yaml that asks for a tiny sample; SIGTERM is left as it was."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    change(
        {
            "fetch.cinic10.sample": {"cifar": 1, "imagenet": 1, "seed": 3},
            "fetch.cifake.sample": {"train": 2, "test": 1, "seed": 3},
        },
        (ROOT / "params.yaml").read_text(),
    )
    handler = signal.signal(signal.SIGTERM, signal.default_int_handler)
    yield tmp_path
    signal.signal(signal.SIGTERM, handler)


def change(values, text=None):
    """Set dotted keys of ./params.yaml; a value of `...` takes the key away."""
    params = yaml.safe_load(text or Path("params.yaml").read_text())
    for path, value in values.items():
        *folders, key = path.split(".")
        section = params
        for folder in folders:
            section = section[folder]
        if value is ...:
            del section[key]
        else:
            section[key] = value
    Path("params.yaml").write_text(yaml.safe_dump(params))


@pytest.fixture
def command(here, capsys, monkeypatch):
    """Return a function that runs a stage as its command line would: exit code, standard output, standard error."""

    def run(main, *words):
        monkeypatch.setattr(sys, "argv", ["stage", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            stage.run(main)
        out, err = capsys.readouterr()
        return end.value.code or 0, out, err

    return run


@pytest.fixture
def refusal(here, command):
    """Return a function that returns a refused stage's message; it must leave all files as they were."""

    def run(main, *words):
        before = tree(here)
        code, out, err = command(main, *words)
        assert (code, out) == (1, "")
        assert err.startswith("error: ")
        assert "Traceback" not in err
        assert tree(here) == before
        return err.removeprefix("error: ")

    return run


def tree(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def module(name, *words, **options):
    """Run `python -m stages.<name>` in earnest."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    line = [sys.executable, "-m", f"stages.{name}", *words]
    return subprocess.run(line, check=False, env=env, capture_output=True, text=True, **options)


# How a stage ends


def test_arguments_come_from_the_signature(command):
    found = []

    def main(dataset: str, source: Path, target: Path) -> None:
        """Do something with files."""
        found.extend([dataset, source, target])

    assert command(main, "cinic10", "a b/c", "/d") == (0, "", "")
    assert found == ["cinic10", Path("a b/c"), Path("/d")]
    code, out, _ = command(main, "--help")
    assert code == 0
    assert "Do something with files." in out


@pytest.mark.parametrize("words", [(), ("cinic10",), (*FETCH, "params.yaml", "one too many"), ("--unknown", *FETCH)])
def test_wrong_arguments_show_the_usage(command, words):
    code, out, err = command(fetch.main, *words)
    assert (code, out) == (2, "")
    assert "Usage:" in err
    assert re.search(r"Missing argument|unexpected extra argument|No such option", err)


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (InputError("data/x: bad; do this"), 1, "error: data/x: bad; do this\n"),
        (OSError(errno.ENOSPC, "No space left on device"), 1, "No space left on device: free some space and run again"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), 1, "Disk quota exceeded: free some space and run again"),
        (OSError(errno.EFBIG, "File too large"), 1, "File too large: free some space and run again"),
        (KeyboardInterrupt(), 130, "error: stopped: nothing is half-written, run again to go on\n"),
    ],
)
def test_what_a_user_can_mend_is_one_message(command, error, code, message):
    def main() -> None:
        raise error

    found, out, err = command(main)
    assert (found, out) == (code, "")
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("error", [ValueError("a bug"), OSError(errno.EIO, "Input/output error"), ZeroDivisionError()])
def test_a_bug_keeps_its_traceback(here, monkeypatch, error):
    def main() -> None:
        raise error

    monkeypatch.setattr(sys, "argv", ["stage"])
    with pytest.raises(type(error)):
        stage.run(main)


def test_sigterm_ends_a_stage_as_ctrl_c_does(command, here):
    def main() -> None:
        with replacing(here / "output") as partial:
            partial.write_text("half")
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()

    before = tree(here)
    assert command(main) == (143, "", "error: stopped: nothing is half-written, run again to go on\n")
    assert tree(here) == before


# Files


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_a_file_appears_whole_or_not_at_all(tmp_path, error):
    def fail(target):
        with replacing(target) as partial:
            assert partial.parent == target.parent
            partial.write_text("half")
            raise error

    target = tmp_path / "new" / "file.txt"
    with pytest.raises(error):
        fail(target)
    assert tree(tmp_path) == {}
    with replacing(target) as partial:
        assert not target.exists()
        partial.write_text("whole")
    assert tree(tmp_path) == {"new/file.txt": b"whole"}
    with pytest.raises(error):
        fail(target)
    assert tree(tmp_path) == {"new/file.txt": b"whole"}


HOLD = """
import sys
from pathlib import Path
from whence.base.files import replacing
with replacing(Path("file")) as partial:
    partial.write_text("first")
    print("holds", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("killed", [False, True])
def test_two_processes_do_not_write_one_file(here, killed):
    """The second is refused by name, until the first has ended, in whatever way; nothing of the two is mixed."""
    root = str(Path(__file__).resolve().parent.parent)
    pipe, environment = subprocess.PIPE, os.environ | {"PYTHONPATH": root}
    first = subprocess.Popen([sys.executable, "-c", HOLD], stdin=pipe, stdout=pipe, env=environment, text=True)
    assert first.stdout.readline() == "holds\n"
    told = re.escape("file: another process is writing it; wait until that one has ended")
    with pytest.raises(InputError, match=told), replacing(Path("file")):
        pass
    if killed:
        first.kill()
    first.communicate()
    assert Path("file").exists() is not killed
    with replacing(Path("file")) as partial:
        partial.write_text("second")
    assert Path("file").read_text() == "second"
    assert not Path(".file.partial").exists()


def test_a_file_has_the_rights_that_the_umask_grants(tmp_path):
    before = os.umask(0o027)
    try:
        with replacing(tmp_path / "file") as partial:
            partial.write_text("x")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


# fetch


def test_the_sample_holds_what_was_asked(command, here):
    assert command(fetch.main, *FETCH) == (0, "", "")
    assert kind(here / FETCH[2]) == "tar"
    assert len(list(members(here / FETCH[2]))) == 3 * 10 * 2
    assert command(fetch.main, "cifake", "unused", "data/cifake/archive") == (0, "", "")
    assert kind(here / "data/cifake/archive") == "zip"
    assert len(list(members(here / "data/cifake/archive"))) == (2 + 1) * 10 * 2
    assert sorted(tree(here)) == ["data/cifake/archive", "data/cinic10/archive", "params.yaml"]


@pytest.mark.parametrize("container", ["tar", "zip"])
@pytest.mark.parametrize("where", ["my/archive.bin", "my", "{here}/my/archive.bin", "{here}/my"])
def test_a_local_archive_is_copied_as_it_is(command, here, where, container):
    change({"source": "local"})
    (here / "my").mkdir()
    (here / "my" / ".gitkeep").touch()
    write(here / "my" / "archive.bin", container, [("a.png", b"1")])
    assert command(fetch.main, "cinic10", where.format(here=here), FETCH[2]) == (0, "", "")
    assert (here / FETCH[2]).read_bytes() == (here / "my" / "archive.bin").read_bytes()
    assert sorted(tree(here)) == ["data/cinic10/archive", "my/.gitkeep", "my/archive.bin", "params.yaml"]


def test_a_local_folder_must_hold_one_file(refusal, here):
    change({"source": "local"})
    folder = here / "my"
    folder.mkdir()
    way_out = "name your archive with: dvc exp run -S source=local -S fetch.cinic10.archive=PATH\n"
    (folder / ".gitkeep").touch()
    assert refusal(fetch.main, "cinic10", "my", "out") == f"my: holds no archive; put exactly one there, or {way_out}"
    (folder / "b.zip").touch()
    (folder / "a.zip").touch()
    message = refusal(fetch.main, "cinic10", "my", "out")
    assert message == f"my: holds 2 files (a.zip, b.zip); put exactly one there, or {way_out}"


@pytest.mark.parametrize("where", ["missing.zip", "{here}/missing.zip", "missing/folder"])
def test_a_local_archive_that_does_not_exist_is_refused(refusal, here, where):
    change({"source": "local"})
    message = refusal(fetch.main, "cinic10", where.format(here=here), "new/out")
    assert message.startswith(
        f"{where.format(here=here)}: there is no such file or folder; name your archive with: dvc"
    )


@pytest.mark.parametrize("where", ["text.zip", "{here}/text.zip", "empty.tar", "nested"])
def test_what_is_no_local_archive_is_refused(refusal, here, where):
    change({"source": "local"})
    (here / "text.zip").write_text("not a zip")
    (here / "empty.tar").touch()
    (here / "nested" / "deeper").mkdir(parents=True)
    message = refusal(fetch.main, "cinic10", where.format(here=here), "new/out")
    assert message.startswith(where.format(here=here))
    assert "expected a .zip, .tar, .tar.gz or .tar.xz archive" in message


def test_an_unknown_dataset_is_an_error(here):
    done = module("fetch", "imagenet", "a", "new/out", cwd=here)
    assert done.returncode == 1
    assert "imagenet" in done.stderr
    assert list(tree(here)) == ["params.yaml"]


# params.yaml


@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [
        ("source", "Sample", "source: got 'Sample': Input should be 'sample', 'local' or 'published'"),
        ("source", None, "source: got None"),
        ("source", ..., "'source' is missing"),
        ("fetch", ..., "'fetch.cinic10' is missing"),
        ("fetch", None, "'fetch.cinic10' is missing"),
        ("fetch.cinic10", ..., "'fetch.cinic10' is missing: fetch holds cifake"),
        ("fetch.cinic10", None, "fetch.cinic10: got None"),
        ("fetch.cinic10", [1], "fetch.cinic10: got [1]"),
        ("fetch.cinic10.archive", ..., "fetch.cinic10.archive: missing; add it"),
        ("fetch.cinic10.archive", 7, "fetch.cinic10.archive: got 7"),
        ("fetch.cinic10.archive", None, "fetch.cinic10.archive: got None"),
        ("fetch.cinic10.url", "http://x", "fetch.cinic10.url: unknown key; known ones: archive, sample"),
        ("fetch.cinic10.sample", ..., "fetch.cinic10.sample: missing; add it"),
        ("fetch.cinic10.sample", 5, "fetch.cinic10.sample: got 5"),
        ("fetch.cinic10.sample.seed", ..., "fetch.cinic10.sample.seed: missing; add it"),
        ("fetch.cinic10.sample.cats", 1, "fetch.cinic10.sample.cats: unknown key; known ones: cifar, imagenet, seed"),
        ("fetch.cinic10.sample.cifar", 0, "fetch.cinic10.sample.cifar: got 0"),
        ("fetch.cinic10.sample.cifar", 1001, "fetch.cinic10.sample.cifar: got 1001"),
        ("fetch.cinic10.sample.cifar", 2.0, "fetch.cinic10.sample.cifar: got 2.0"),
        ("fetch.cinic10.sample.cifar", "2", "fetch.cinic10.sample.cifar: got '2'"),
        ("fetch.cinic10.sample.cifar", True, "fetch.cinic10.sample.cifar: got True"),
        ("fetch.cinic10.sample.seed", -1, "fetch.cinic10.sample.seed: got -1"),
    ],
)
def test_fetch_refuses_wrong_settings_by_key(refusal, key, value, complaint):
    change({key: value})
    message = refusal(fetch.main, *FETCH)
    assert message.startswith("params.yaml: ")
    assert complaint in message


@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [
        ("pack.cinic10", ..., "'pack.cinic10' is missing: pack holds cifake"),
        ("pack.cinic10.modes", ..., "pack.cinic10.modes: missing; add it"),
        ("pack.cinic10.modes", [], "pack.cinic10.modes: got []"),
        ("pack.cinic10.modes", "RGB", "pack.cinic10.modes: got 'RGB'"),
        ("pack.cinic10.modes", ["RGB", "CMYK"], "pack.cinic10.modes.1: got 'CMYK'"),
        ("pack.cinic10.modes", [1], "pack.cinic10.modes.0: got 1"),
        ("pack.cinic10.workers", 4, "pack.cinic10.workers: unknown key; known ones: modes"),
    ],
)
def test_pack_refuses_wrong_settings_by_key(refusal, here, key, value, complaint):
    write(here / "archive", "tar", [("a.png", b"never looked at")])
    change({key: value})
    message = refusal(pack.main, "cinic10", "archive", "new/images.npy", "new/index.csv")
    assert message.startswith("params.yaml: ")
    assert complaint in message


@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [
        ("label.cinic10", ..., "'label.cinic10' is missing: label holds cifake"),
        ("label.cinic10.valid_share", ..., "label.cinic10.valid_share: missing; add it"),
        ("label.cinic10.valid_share", 0, "label.cinic10.valid_share: got 0"),
        ("label.cinic10.valid_share", 1.0, "label.cinic10.valid_share: got 1.0"),
        ("label.cinic10.valid_share", "0.1", "label.cinic10.valid_share: got '0.1'"),
        ("label.cinic10.valid_share", float("nan"), "label.cinic10.valid_share: got nan"),
        ("label.cinic10.cap", 0, "label.cinic10.cap: got 0"),
        ("label.cinic10.cap", 5.5, "label.cinic10.cap: got 5.5"),
        ("label.cinic10.cap", ..., "label.cinic10.cap: missing; add it"),
        ("label.cinic10.seed", None, "label.cinic10.seed: got None"),
        ("label.cinic10.seed", -3, "label.cinic10.seed: got -3"),
        ("label.cinic10.sed", 1, "label.cinic10.sed: unknown key; known ones: valid_share, cap, seed"),
    ],
)
def test_label_refuses_wrong_settings_by_key(refusal, here, key, value, complaint):
    index(here, cinic10_paths())
    change({key: value})
    message = refusal(label.main, *LABEL)
    assert message.startswith("params.yaml: ")
    assert complaint in message


def test_every_wrong_key_has_a_line(refusal):
    change({"fetch.cinic10.sample.cifar": 0, "fetch.cinic10.sample.seed": "x", "fetch.cinic10.sample.more": 1})
    lines = refusal(fetch.main, *FETCH).splitlines()
    assert [line.split(": ")[1] for line in lines] == [f"fetch.cinic10.sample.{k}" for k in ("cifar", "seed", "more")]
    assert all(line.startswith("params.yaml: ") for line in lines)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"a: [1", "params.yaml: not valid YAML"),
        (b"a: b: c", "params.yaml: not valid YAML"),
        (b"\ta: 1", "params.yaml: not valid YAML"),
        (b"a: \xff", "params.yaml: not valid YAML"),
        (b"a: !!python/object:os.system {}", "params.yaml: not valid YAML"),
        (b"", "params.yaml: expected sections such as 'train:', got NoneType"),
        (b"- a\n- b\n", "params.yaml: expected sections such as 'train:', got list"),
        (None, "params.yaml: cannot be read (No such file or directory); run from the repository's root"),
    ],
)
@pytest.mark.parametrize(("main", "words"), [(fetch.main, FETCH), (pack.main, PACK), (label.main, LABEL)])
def test_a_params_file_that_cannot_be_read_is_refused(refusal, main, words, content, complaint):
    Path("params.yaml").unlink()
    if content is not None:
        Path("params.yaml").write_bytes(content)
    assert refusal(main, *words).startswith(complaint)


# pack


def test_pack_says_how_many_images_there_are(command, here):
    command(fetch.main, *FETCH)
    assert command(pack.main, *PACK) == (0, "60 images\n", "")
    with (here / PACK[3]).open() as handle:
        assert len(list(csv.reader(handle))) == 61


def test_pack_refuses_the_archive_of_another_dataset(refusal, here):
    write(here / "archive", "zip", [("train/REAL/0001.jpg", b"")])
    message = refusal(pack.main, "cinic10", "archive", "new/images.npy", "new/index.csv")
    assert message.startswith("archive: 1 members cannot be used:\n  train/REAL/0001.jpg is neither a .png image nor")


# label


def cinic10_paths():
    return [
        f"{split}/{category}/{stem}.png"
        for split in ("train", "valid", "test")
        for category in ("cat", "dog")
        for stem in ("cifar10-train-1", "n02121620_7")
    ]


def index(here, paths):
    (here / "data" / "cinic10").mkdir(parents=True, exist_ok=True)
    with (here / LABEL[1]).open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(["path", "digest"])
        writer.writerows((path, f"{k:032x}") for k, path in enumerate(paths))


def test_label_counts_the_rows_of_each_split(command, here):
    index(here, cinic10_paths())
    code, out, err = command(label.main, *LABEL)
    assert (code, err) == (0, "")
    assert out == "train: 2 cifar, 2 imagenet\nvalid: 2 cifar, 2 imagenet\ntest: 2 cifar, 2 imagenet\n"
    assert (here / LABEL[2]).read_text().startswith("path,split,official_split,category,domain,group,digest\n")


@pytest.mark.parametrize(
    ("keep", "complaint"),
    [
        (lambda path: not path.startswith("valid/"), "holds no image of split 'valid' and domain 'cifar'"),
        (lambda path: not path.startswith("test/"), "holds no image of split 'test' and domain 'cifar'"),
        (lambda path: "/n0" not in path, "holds no image of split 'train' and domain 'imagenet'"),
        (lambda path: not path.startswith("test/") or "/n0" in path, "of split 'test' and domain 'cifar'"),
    ],
)
def test_label_refuses_an_archive_that_lacks_a_split_or_a_domain(refusal, here, keep, complaint):
    index(here, [path for path in cinic10_paths() if keep(path)])
    message = refusal(label.main, *LABEL)
    assert message.startswith(f"{LABEL[1]}: ")
    assert complaint in message


def test_label_shows_ten_of_the_names_that_fit_no_rule(refusal, here):
    strangers = [f"train/lion/{k}.png" for k in range(1013)]
    index(here, [*cinic10_paths(), *strangers])
    message = refusal(label.main, *LABEL)
    assert message.startswith(f"{LABEL[1]}: 1,013 names fit no rule of the published layout:\n  train/lion/0.png\n")
    assert "train/lion/9.png\n  and 1,003 more\n" in message
    assert "train/lion/10.png" not in message
    assert "take these images out of the archive, or use the published one" in message


def test_label_refuses_two_members_that_stand_for_one_path(refusal, here):
    index(here, [*cinic10_paths(), "CINIC-10/train/cat/n02121620_7.png"])
    message = refusal(label.main, *LABEL)
    assert message.startswith(f"{LABEL[1]}: two members ")
    assert message.endswith("stand for train/cat/n02121620_7.png; keep one of them\n")


@pytest.mark.parametrize("content", [None, b"", b"path,digest\na\n", b"\xff\xfe"])
def test_label_refuses_what_is_no_index(refusal, here, content):
    if content is not None:
        index(here, [])
        (here / LABEL[1]).write_bytes(content)
    assert refusal(label.main, *LABEL).startswith(f"{LABEL[1]}: not a readable table")


@pytest.mark.parametrize(("dataset", "share"), [("cinic10", 0.1), ("cifake", None)])
def test_label_refuses_a_valid_share_that_does_not_fit_the_dataset(refusal, here, dataset, share):
    cifake_paths = [f"{split}/{side}/1.jpg" for split in ("train", "test") for side in ("REAL", "FAKE")]
    index(here, cinic10_paths() if dataset == "cinic10" else cifake_paths)
    change({f"label.{dataset}.valid_share": share})
    message = refusal(label.main, dataset, *LABEL[1:])
    assert re.search(r"valid_share: .*this dataset has (its own|no) valid split; write ", message)


# train and evaluate


def table(**changes):
    """Labels of 110 rows in a mixed order: 40 of train, 30 of valid, 35 of test, the last of them copies of train."""
    split = np.repeat(["train", "valid", "test", "unused"], [40, 30, 35, 5])
    digest = np.array([f"{k:032x}" for k in range(110)])
    columns = {
        "path": np.array([f"x/{k}.jpg" for k in range(110)]),
        "split": split,
        "official_split": np.where(split == "test", "test", "train"),
        "category": np.tile(["cat", "dog", "cat", "ship", "dog"], 22),
        "domain": np.tile(["real", "fake"], 55),
        "group": np.where(np.arange(110) >= 95, np.arange(110) - 95, np.arange(110)),
        "digest": digest,
    }
    order = np.random.default_rng(2).permutation(110)
    return rows.Labels(**{name: column[order] for name, column in (columns | changes).items()})


@pytest.fixture
def data(here):
    """Write labels and features that tell something about the domain; return the labels and the features."""
    labels = table()
    noise = np.random.default_rng(3).normal(size=(110, 2))
    features = (noise + (labels.domain == "fake")[:, np.newaxis]).astype(np.float32)
    tables.write_csv(Path("labels.csv"), labels._asdict())
    np.save("features.npy", features)
    change({"evaluate.metrics.resamples": 0, "objects.both.domains": {"real": 1.0, "fake": 0.5}})
    return labels, features


@pytest.fixture
def played(monkeypatch):
    """Put an estimator in the place of kind 'played': it fits nothing, and its members say what they are told."""

    class Estimator:
        told = None  # (members, N, K), by the number that stands in a row's first feature
        classes_ = np.array(["real", "fake"])
        seen = None

        def __init__(self, entry, settings_, log, section):
            self.log, self.section = log, section

        def fit(self, *arguments):
            type(self).seen = arguments
            self.log({"seed": [0], "epoch": [1]})
            self.log({"seed": [0, 0], "epoch": [1, 2]})
            return self

        def save(self, weights, card):
            weights.touch()
            card.touch()

        @classmethod
        def load(cls, entry, weights, card):
            return cls(entry, None, None, None)

        def member_proba(self, x):
            return self.told[:, x[:, 0].astype(int)]

    monkeypatch.setitem(sys.modules, "whence.estimators.played.estimator", SimpleNamespace(Estimator=Estimator))
    return Estimator


def test_train_and_evaluate_from_end_to_end(command, data, here):
    assert command(train.main, *TRAIN) == (0, "logistic: 40 rows to learn from, 30 to choose by\n", "")
    assert tables.read_csv(here / "training.csv")["epoch"].tolist() == ["0"]
    code, out, err = command(evaluate.main, *EVALUATE)
    assert (code, err) == (0, "")
    headline, full = (json.loads((here / name).read_text()) for name in ("headline.json", "full.json"))
    assert list(headline) == ["roc_auc", "balanced_accuracy", "mcc", "clean_roc_auc"]
    assert out.startswith(f"35 test rows: roc_auc {headline['roc_auc']:.4f}")
    assert {kind: part["n"] for kind, part in full.items() if "n" in part} == {"valid": 30, "official": 35, "clean": 25}
    assert 0.6 < headline["roc_auc"] < 1
    scores = tables.read_csv(here / "scores.csv")
    assert list(scores) == ["row", "path", "split", "clean", "actual", "score_0"]
    assert len(scores["row"]) == 65
    labels = data[0]
    for name, column in (("path", labels.path), ("split", labels.split), ("actual", labels.domain)):
        assert scores[name].tolist() == column[scores["row"].astype(int)].tolist()


def test_train_never_sees_the_test_split(command, data, here):
    """Whatever stands in test and unused rows, the model is the same, byte for byte."""
    labels, features = data
    for section in ("tasks.fake", "objects.both"):
        words = (section, *TRAIN[1:])
        if section == "objects.both":  # two categories, for a classical classifier
            category = np.where(labels.category == "ship", "dog", labels.category)
            labels = labels._replace(category=category)
        tables.write_csv(here / "labels.csv", labels._asdict())
        np.save("features.npy", features)
        assert command(train.main, *words)[0] == 0
        before = [(here / name).read_bytes() for name in TRAIN[6:]]
        hidden = np.isin(labels.split, ["test", "unused"])
        np.save("features.npy", np.where(hidden[:, np.newaxis], 1e6, features).astype(np.float32))
        changed = labels._replace(category=np.where(hidden, "truck", labels.category))
        tables.write_csv(here / "labels.csv", changed._asdict())
        assert command(train.main, *words)[0] == 0
        assert [(here / name).read_bytes() for name in TRAIN[6:]] == before


def test_a_model_of_objects_learns_the_chosen_rows_and_all_their_categories(command, data, played, here):
    labels, features = data
    words = ("objects.both", "played", "lenet", "lenet", *TRAIN[4:])
    code, out, err = command(train.main, *words)
    assert (code, err) == (0, "")
    x, y, x_valid, y_valid, classes = played.seen
    assert out == f"lenet: {len(x)} rows to learn from, {len(x_valid)} to choose by\n"
    assert classes.tolist() == ["cat", "dog", "ship"]
    for split, some, named in (("train", x, y), ("valid", x_valid, y_valid)):
        learnt = [features.tolist().index(row) for row in some.tolist()]
        assert learnt == sorted(learnt)
        assert labels.category[learnt].tolist() == named.tolist()
        assert set(labels.split[learnt]) == {split}
        counts = [(labels.domain[learnt] == domain).sum() for domain in ("real", "fake")]
        whole = ((labels.split == split) & (labels.domain == "real")).sum()
        assert counts[0] == whole
        assert 0 < counts[1] < whole
    assert tables.read_csv(here / "training.csv")["epoch"].tolist() == ["1", "2"], "what was logged last"


def told(count, truth, seed=4):
    """What `count` members say of N rows, better than chance: (members, N, 2)."""
    rng = np.random.default_rng(seed)
    positive = np.clip(0.5 + 0.25 * (2 * truth - 1) + rng.normal(0, 0.3, (count, len(truth))), 0, 1)
    return np.stack([1 - positive, positive], axis=2)


@pytest.mark.parametrize("count", [1, 3])
def test_metrics_are_the_mean_over_the_members_and_curves_take_all_their_rows(command, data, played, here, count):
    labels, _ = data
    np.save("features.npy", np.arange(110, dtype=np.float32)[:, np.newaxis])
    truth = labels.domain == "fake"
    played.told = told(count, truth)
    score = played.told[:, :, 1]
    code, out, _ = command(evaluate.main, "fake", "played", *EVALUATE[2:])
    assert code == 0
    section = settings.load("evaluate", evaluate.Settings)
    test = labels.split == "test"
    masks = {"valid": labels.split == "valid", "official": test, "clean": rows.clean(labels)}
    full = json.loads((here / "full.json").read_text())
    for which, mask in masks.items():
        each = [metrics.summarise(truth[mask], member[mask], section.metrics) for member in score]
        for name, value in full[which].items():
            assert value == pytest.approx(np.mean([one[name] for one in each]), abs=2e-6), (which, name)
    if count == 1:
        assert "together" not in full
    else:
        assert full["together"] == metrics.summarise(truth[test], score.mean(0)[test], section.metrics)
        assert full["together"]["roc_auc"] > full["official"]["roc_auc"]
    valid, wanted = masks["valid"], {"temperature": [], "log_loss": [], "threshold": [], "false_positive_rate": []}
    for member in score:
        by = calibration.temperature(truth[valid], member[valid])
        cool = metrics.summarise(truth[test], calibration.cooled(member[test], by), section.metrics)
        threshold = calibration.at_most(truth[valid], member[valid], section.false_alarm)
        wanted["temperature"].append(by)
        wanted["log_loss"].append(cool["log_loss"])
        wanted["threshold"].append(threshold)
        wanted["false_positive_rate"].append((member[test & ~truth] >= threshold).mean())
    for part, names in (
        ("calibrated", ("temperature", "log_loss")),
        ("false_alarm", ("threshold", "false_positive_rate")),
    ):
        for name in names:
            assert full[part][name] == pytest.approx(np.mean(wanted[name]), abs=2e-6), (part, name)
    assert calibration.read(here / "calibration.json") == np.round(wanted["temperature"], 6).tolist()
    assert full["youden"]["balanced_accuracy"] > 0.6
    assert out.startswith("35 test rows: ")
    scores = tables.read_csv(here / "scores.csv")
    assert list(scores)[5:] == [f"score_{k}" for k in range(count)]
    row = scores["row"].astype(int)
    for k in range(count):
        assert scores[f"score_{k}"].astype(float).tolist() == score[k, row].round(6).tolist()
    pooled = np.tile(truth[test], count), score[:, test].ravel()
    for path, wanted in (
        ("roc.csv", curves.roc(*pooled, section.curve_points)),
        ("pr.csv", curves.precision_recall(*pooled, section.curve_points)),
        ("reliability.csv", curves.reliability(*pooled, section.metrics.ece_bins)),
    ):
        got = tables.read_csv(here / path)
        assert {name: column.astype(float).tolist() for name, column in got.items()} == {
            name: column.tolist() for name, column in wanted.items()
        }
    confusion = tables.read_csv(here / "confusion.csv")
    assert confusion["actual"].tolist() == ["real", "real", "fake", "fake"]
    assert confusion["predicted"].tolist() == ["real", "fake"] * 2
    assert confusion["count"].astype(int).sum() == 35 * count


def test_evaluate_answers_row_by_row_whatever_the_blocks(command, data, played, here, monkeypatch):
    np.save("features.npy", np.arange(110, dtype=np.float32)[:, np.newaxis])
    played.told = told(2, data[0].domain == "fake")
    written = []
    for block in (1, 7, 4096):
        monkeypatch.setattr(models, "BLOCK", block)
        assert command(evaluate.main, "fake", "played", *EVALUATE[2:])[0] == 0
        written.append([(here / name).read_bytes() for name in EVALUATE[7:]])
    assert written[0] == written[1] == written[2]


@pytest.mark.parametrize("classes", [["fake", "real"], ["cifar", "imagenet"], ["real", "fake", "other"], [False, True]])
def test_evaluate_refuses_a_model_of_other_classes(refusal, data, played, classes):
    played.classes_ = np.array(classes)
    message = refusal(evaluate.main, "fake", "played", *EVALUATE[2:])
    assert message == f"model.json: tells {classes} apart, expected ['real', 'fake']; run dvc repro\n"


def test_evaluate_refuses_a_model_that_another_classifier_made(command, refusal, data):
    command(train.main, *TRAIN)
    message = refusal(evaluate.main, "fake", "classical", "guess", *EVALUATE[3:])
    assert message.startswith("model.json: a model of 'logistic', expected 'guess'; run dvc repro")


def test_train_and_evaluate_refuse_rows_that_do_not_belong_together(command, refusal, data):
    command(train.main, *TRAIN)
    np.save("features.npy", data[1][:-1])
    for main, words in ((train.main, TRAIN), (evaluate.main, EVALUATE)):
        message = refusal(main, *words)
        assert message == "features.npy: has 109 rows, the labels 110; run dvc repro to make both again\n"


@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [
        ("train.logistic", ..., "params.yaml: 'train.logistic' is missing"),
        ("train.logistic.c", 1, "params.yaml: train.logistic.c: unknown key; known ones: C, "),
        ("tasks.fake", ..., "params.yaml: 'tasks.fake' is missing: tasks holds origin"),
        ("tasks.fake.positive", "generated", "params.yaml: tasks: expected negative: real, positive: generated, but"),
        ("tasks.fake.label", "category", "params.yaml: tasks.fake.label: got 'category': Input should be 'domain'"),
    ],
)
def test_train_refuses_wrong_settings_by_key(refusal, data, key, value, complaint):
    change({key: value})
    assert refusal(train.main, *TRAIN).startswith(complaint)


def test_one_classifier_has_several_settings(command, refusal, data, here):
    change({"train.logistic_weak": settings.value("train.logistic") | {"C": 1e-6}})
    words = (*TRAIN[:3], "logistic_weak", *TRAIN[4:])
    learnt = []
    for chosen in (TRAIN, words):
        assert command(train.main, *chosen)[0] == 0
        learnt.append((here / "model.safetensors").read_bytes())
    assert learnt[0] != learnt[1]
    assert json.loads((here / "model.json").read_text())["settings"]["C"] == 1e-6
    missing = (*TRAIN[:3], "logistic_strong", *TRAIN[4:])
    assert refusal(train.main, *missing).startswith("params.yaml: 'train.logistic_strong' is missing")
    assert refusal(train.main, "objects.both", *words[1:]).startswith("params.yaml: train.logistic_weak: tells two")


@pytest.mark.parametrize(
    ("split", "found"),
    [
        ({"valid": "unused"}, "a split has 0 rows to learn from; expected two classes at least"),
        ({"train": "unused"}, "a split has 0 rows to learn from; expected two classes at least"),
    ],
)
def test_train_refuses_a_split_without_rows(refusal, data, here, split, found):
    labels, _ = data
    ((old, new),) = split.items()
    changed = labels._replace(split=np.where(labels.split == old, new, labels.split))
    tables.write_csv(here / "labels.csv", changed._asdict())
    assert refusal(train.main, *TRAIN).startswith(found)


# In earnest, in a process of its own


@pytest.mark.parametrize(
    ("name", "words", "most"),
    [("fetch", FETCH, 30_000), ("pack", PACK, 60_000), ("label", LABEL, 300)],
)
def test_a_full_disk_is_one_message_and_leaves_nothing(command, here, name, words, most):
    """No file may grow beyond `most` bytes: that is how a full disk is played without one."""
    if name != "fetch":
        command(fetch.main, *FETCH)
        command(pack.main, *PACK)
        if name == "pack":
            for output in PACK[2:]:
                (here / output).unlink()
    before = tree(here)
    done = module(name, *words, cwd=here, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)))
    assert done.returncode == 1
    assert done.stderr == "error: File too large: free some space and run again; nothing is half-written\n"
    assert tree(here) == before


def test_the_command_line_as_dvc_calls_it(here):
    assert module("fetch", *FETCH, cwd=here).returncode == 0
    done = module("pack", *PACK, cwd=here)
    assert (done.returncode, done.stdout, done.stderr) == (0, "60 images\n", "")
    shutil.copy(here / PACK[1], here / "cut")
    with (here / "cut").open("r+b") as handle:
        handle.truncate(40_000)
    done = module("pack", "cinic10", "cut", "new/images.npy", "new/index.csv", cwd=here)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(
        r"error: cut: truncated or corrupt after \S+ \(.+\); fetch or copy the archive again\n", done.stderr
    )
    assert list((here / "new").iterdir()) == []
