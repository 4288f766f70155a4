"""Measure what the project promises about speed, each figure against what one would otherwise do, in one run.

`make bench` takes the drawn sample; `make bench DATA=folder` takes cifake.tar.xz from a folder of real archives.
"""

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from whence import archive, metrics, settings
from whence.datasets import cifake

ROUNDS = 3
WORKERS = 2


def seconds(work: Callable[[], object]) -> float:
    """Return the wall-clock seconds that `work` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def compare(title: str, ours: Callable[[], float], theirs: Callable[[], float], count: int, unit: str) -> None:
    """Print both rates and their ratio, the median of pairs that run in turn; both return seconds."""
    pairs = [(ours(), theirs()) for _ in range(ROUNDS)]
    ratio = statistics.median(b / a for a, b in pairs)
    a, b = (statistics.median(times) for times in zip(*pairs, strict=True))
    print(f"{title}: {count / a:,.0f} {unit}/s against {count / b:,.0f}, {ratio:.1f} times as fast", flush=True)


def bench_pack(source: Path, folder: Path) -> None:
    """The whole stage, start-up included, against unpacking and ImageFolder + DataLoader without their imports."""
    import torch
    import torchvision

    outputs = [str(folder / name) for name in ("images", "index")]

    def ours() -> float:
        command = [sys.executable, "-m", "stages.pack", "cifake", str(source), *outputs]
        return seconds(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))

    def theirs() -> float:
        with tempfile.TemporaryDirectory(dir=folder) as unpacked:
            return seconds(lambda: load(Path(unpacked)))

    def load(unpacked: Path) -> None:
        if archive.kind(source) == "zip":
            shutil.unpack_archive(source, unpacked, "zip")
        else:
            subprocess.run(["tar", "xf", str(source), "-C", str(unpacked)], check=True)
        for split in ("train", "test"):
            images = torchvision.datasets.ImageFolder(str(unpacked / split), torchvision.transforms.ToTensor())
            for _ in torch.utils.data.DataLoader(images, batch_size=256, num_workers=WORKERS):
                pass

    count = sum(name.endswith(cifake.SUFFIX) for name, _ in archive.members(source))
    compare(f"pack {source.name}, {count:,} images", ours, theirs, count, "images")


def bench_bootstrap() -> None:
    """All metrics with intervals against a loop over scikit-learn's (20 of its resamples, taken times 100)."""
    from sklearn import metrics as sk

    rng = np.random.default_rng(0)
    positive = rng.random(20_000) < 0.5
    score = np.clip(rng.normal(0.4 + 0.2 * positive, 0.2), 0, 1)
    section = settings.load("evaluate.metrics", metrics.Settings)

    def loop() -> None:
        for _ in range(20):
            rows = rng.integers(len(score), size=len(score))
            y, p = positive[rows], score[rows]
            sk.precision_recall_fscore_support(y, p >= metrics.THRESHOLD, average="binary")
            for metric in (sk.accuracy_score, sk.balanced_accuracy_score, sk.matthews_corrcoef):
                metric(y, p >= metrics.THRESHOLD)
            for metric in (sk.roc_auc_score, sk.average_precision_score, sk.log_loss, sk.brier_score_loss):
                metric(y, p)

    ours, theirs = (lambda: seconds(lambda: metrics.summarise(positive, score, section))), (lambda: 100 * seconds(loop))
    compare("bootstrap of 20,000 rows", ours, theirs, section.resamples, "resamples")


def bench_repro(folder: Path) -> None:
    """A fresh clone: the whole sample, then nothing to do."""
    clone = folder / "clone"
    subprocess.run(["git", "clone", "--quiet", ".", str(clone)], check=True)

    def repro() -> float:
        return seconds(lambda: subprocess.run(["dvc", "repro"], cwd=clone, check=True, stdout=subprocess.DEVNULL))

    print(f"dvc repro of the whole sample in a fresh clone: {repro():.0f} s", flush=True)
    print(f"dvc repro with nothing to do: {statistics.median(repro() for _ in range(ROUNDS)):.1f} s", flush=True)


def main(data: Path | None) -> None:
    """Run all benchmarks, on the archive in `data` or on the drawn sample."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = data / "cifake.tar.xz" if data else folder / "sample.zip"
        if not data:
            sample = settings.load("fetch.cifake.sample", cifake.Sample)
            archive.write(source, cifake.CONTAINER, cifake.draw(sample))
        bench_pack(source, folder)
        bench_bootstrap()
        bench_repro(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
