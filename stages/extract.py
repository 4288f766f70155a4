"""Compute one kind of features for every image of a dataset."""

import importlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from whence.base import arrays, settings
from whence.base.stage import run
from whence.estimators.network import processes

BLOCK = 1024


def main(extractor: str, images: Path, target: Path) -> None:
    """Read `images` (.npy, uint8, N×H×W×3); write `target` (.npy, float32, N×D), row by row."""
    module = importlib.import_module(f"whence.features.{extractor}")
    section = settings.load(f"extract.{extractor}", module.Settings)
    array = arrays.Stored(images)

    def make(blocks: range) -> Iterator[NDArray[Any]]:
        starts = (number * BLOCK for number in blocks)
        return pool.map(lambda start: module.extract(array[start : start + BLOCK], section), starts)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        processes.write_blocks(target, -(-len(array) // BLOCK), make)


if __name__ == "__main__":
    run(main)
