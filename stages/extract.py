"""Compute one kind of features for every image of a dataset."""

import importlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from whence import arrays
from whence.base import settings
from whence.base.stage import run

BLOCK = 1024


def main(extractor: str, images: Path, target: Path) -> None:
    """Read `images` (.npy, uint8, N×H×W×3); write `target` (.npy, float32, N×D), row by row."""
    module = importlib.import_module(f"whence.features.{extractor}")
    section = settings.load(f"extract.{extractor}", module.Settings)
    array = arrays.Stored(images)
    starts = range(0, len(array), BLOCK)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        blocks = pool.map(lambda start: module.extract(array[start : start + BLOCK], section), starts)
        shape = arrays.write_blocks(target, blocks)
    print(f"{shape[0]:,} rows × {shape[1]} features")


if __name__ == "__main__":
    run(main)
