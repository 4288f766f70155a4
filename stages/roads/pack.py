"""Decode the frames of a dataset of streets, and their masks, into two arrays, without unpacking the archive."""

import importlib
from pathlib import Path

from whence.base import settings
from whence.base.stage import run
from whence.roads.frames import Settings, pack


def main(params: Path, dataset: str, archive: Path, images: Path, masks: Path, index: Path) -> None:
    """Read `archive`; write `images` (.npy, N×H×W×3, RGB) and `masks` (.npy, N×H×W, ids), uint8, and `index` (csv)."""
    module = importlib.import_module(f"whence.datasets.{dataset}")
    frames = pack(archive, module, settings.load(f"pack.{dataset}", Settings, params), images, masks, index)
    print(f"{frames:,} frames")


if __name__ == "__main__":
    run(main)
