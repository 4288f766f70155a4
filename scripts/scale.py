"""What each stage costs as images become more, from nothing each time: `python -m scripts.scale 1000 10000 100000`.

The images are drawn: smooth noise of 32×32, no two alike, as an archive of CIFAKE's layout; one in ten is of test.
Stages run as `dvc repro` runs them, one at a time, in a clone of the last commit. One is left out where it would take
longer than `--most` seconds, its last time times the growth. A line of a Markdown table is printed as each ends:
wall-clock seconds, microseconds per image, and the largest memory of a process.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
import yaml
from dvc.repo import Repo
from PIL import Image

from scripts import study
from whence import archive
from whence.base.stage import run
from whence.datasets import cifake
from whence.names import CATEGORIES, Name

STAGES = (
    *("fetch@cifake", "pack@cifake", "label@cifake", "audit@cifake", "profile@cifake"),
    *("extract@cifake-colour", "extract@cifake-pixels", "extract@cifake-spectrum"),
    *("weights@mobilenet_v2", "embed@cifake-mobilenet_v2"),
    *("train@fake-spectrum-logistic", "train@fake-pixels-forest", "train@fake-small"),
    *("evaluate@fake-spectrum-logistic", "evaluate@fake-small"),
)
ROOT = Path(__file__).resolve().parent.parent
DRAWN = 1000
"""Images that are drawn together."""


def main(
    counts: Annotated[list[int], typer.Argument(help="Images, a multiple of 1,000 each.")],
    most: Annotated[float, typer.Option(help="Seconds that a stage may be expected to take.")] = 900,
) -> None:
    """Print a line for each stage and number of images."""
    print("| stage | images | seconds | µs per image | GB resident |\n|---|---|---|---|---|", flush=True)
    taken: dict[str, tuple[int, float]] = {}
    for count in sorted(counts):
        with tempfile.TemporaryDirectory() as name:
            for stage, seconds, memory in measured(Path(name), count, taken, most):
                taken[stage] = count, seconds
                each = f"{seconds / count * 1e6:,.0f}"
                print(f"| `{stage}` | {count:,} | {seconds:,.1f} | {each} | {memory:.2f} |", flush=True)


def measured(
    folder: Path, count: int, taken: dict[str, tuple[int, float]], most: float
) -> Iterator[tuple[str, float, float]]:
    """Yield each stage, its seconds of wall-clock time, and the most memory (GB) that its processes held."""
    source, clone = folder / "drawn.tar", folder / "clone"
    archive.write(source, "tar", drawn(count))
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    with contextlib.chdir(clone):
        asked(source)
        commands = {stage.addressing: stage.cmd for stage in Repo().index.stages}
        for stage in STAGES:
            rows, seconds = taken.get(stage, (count, 0.0))
            if seconds * count / rows > most:
                print(f"| `{stage}` | {count:,} | more than {most:,.0f} | | |", flush=True)
                continue
            start = time.perf_counter()
            process = subprocess.Popen(
                ["bash", "-c", f"exec {commands[stage]}"], stdout=subprocess.DEVNULL, stderr=sys.stderr
            )
            _, status, used = os.wait4(process.pid, 0)
            if status:
                raise SystemExit(f"{stage}: exit status {status}")
            yield stage, time.perf_counter() - start, used.ru_maxrss / 1e6


def asked(source: Path) -> None:
    """Make params.yaml, here, read an archive, and learn one epoch."""
    wanted = {
        "source": "local",
        "fetch": {"cifake": {"archive": str(source)}},
        "train": {"small": {"epochs": 1}},
    }
    changes = source.with_name("changes.yaml")
    changes.write_text(yaml.safe_dump(wanted), encoding="utf-8")
    study.main(changes)


def drawn(count: int) -> Iterator[tuple[str, bytes]]:
    """Yield the path and the JPEG bytes of so many images, half of each domain, a tenth of each category."""
    import simplejpeg

    rng = np.random.default_rng(0)
    for start in range(0, count, DRAWN):
        coarse = rng.integers(256, size=(DRAWN, 8, 8, 3), dtype=np.uint8)
        for place, each in enumerate(coarse, start):
            pixels = np.asarray(Image.fromarray(each).resize((cifake.PIXELS, cifake.PIXELS), Image.Resampling.BICUBIC))
            domain, category = cifake.DOMAINS[place % 2], CATEGORIES[place // 2 % 10]
            split = "test" if place // 20 % 10 == 0 else "train"
            yield (
                cifake.path(Name(split, category, domain, f"{place:07d}")),
                simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality=cifake.QUALITY, colorsubsampling="420"),
            )


if __name__ == "__main__":
    run(main)
