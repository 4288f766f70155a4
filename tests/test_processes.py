"""Several processes, as srun or torchrun start them: one array, in order; a lost one ends the others by name."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from whence.base.errors import InputError
from whence.estimators.network import processes

ROWS = 40 * 1024 + 7
"""More than two processes have read before one of them is killed, and a last block that is shorter."""


@pytest.fixture
def images(tmp_path):
    """A stage's images, and its settings."""
    (tmp_path / "params.yaml").write_text("extract:\n  spectrum: {bins: 16}\n")
    np.save(tmp_path / "images.npy", np.random.default_rng(0).integers(256, size=(ROWS, 16, 16, 3), dtype=np.uint8))
    return tmp_path


def started(folder, rank, world, port, target="several.npy"):
    """Start a process of several, without torchrun."""
    root = str(Path(__file__).resolve().parent.parent)
    about = {"RANK": rank, "WORLD_SIZE": world, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": 1}
    environment = os.environ | {"PYTHONPATH": root} | {name: str(value) for name, value in about.items()}
    command = [sys.executable, "-m", "stages.extract", "spectrum", "images.npy", target]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=pipe, stderr=pipe, text=True)


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def test_two_processes_write_what_one_writes_each_row_once(images):
    port = free_port()
    both = [started(images, rank, 2, port) for rank in (0, 1)]
    said = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert [out for out, _ in said] == [f"{ROWS:,} rows × 16 features\n", ""], "the first alone speaks"
    alone = started(images, 0, 1, port, "one.npy")
    assert alone.wait(timeout=120) == 0
    assert (images / "several.npy").read_bytes() == (images / "one.npy").read_bytes()
    assert len(np.load(images / "one.npy", mmap_mode="r")) == ROWS


def test_a_killed_process_ends_the_other_with_a_message_and_no_file(images):
    port = free_port()
    first, second = (started(images, rank, 2, port) for rank in (0, 1))
    partial = images / ".several.npy.partial"
    while first.poll() is None and not (partial.exists() and partial.stat().st_size > 128):
        time.sleep(0.002)
    os.kill(second.pid, signal.SIGKILL)
    second.communicate()
    _, said = first.communicate(timeout=120)
    assert first.returncode == 1
    assert said.splitlines()[-1] == f"error: {processes.LOST}"
    assert sorted(path.name for path in images.iterdir()) == ["images.npy", "params.yaml"]


def test_one_process_needs_no_other(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert processes.joined() == (0, 1)
    made = []

    def make(blocks):
        made.extend(blocks)
        return (np.full((3 if number < 2 else 1, 2), number, np.float32) for number in blocks)

    processes.write_blocks(tmp_path / "x.npy", 3, make)
    assert made == [0, 1, 2]
    assert np.load(tmp_path / "x.npy")[:, 0].tolist() == [0, 0, 0, 1, 1, 1, 2]
    assert capsys.readouterr().out == "7 rows × 2 features\n"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("[../third_party/gloo/gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:5", InputError),
        ("NCCL communicator was aborted on rank 0", InputError),
        ("mat1 and mat2 shapes cannot be multiplied", RuntimeError),
    ],
)
def test_only_what_tells_of_another_process_is_taken_for_one(said, expected):
    with pytest.raises(RuntimeError if expected is RuntimeError else InputError) as caught, processes.together():
        raise RuntimeError(said)
    assert type(caught.value) is expected
