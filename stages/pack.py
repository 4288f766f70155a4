"""Decode every image of an archive into one array, without unpacking it."""

import importlib
from pathlib import Path

from whence.base import settings
from whence.base.stage import run
from whence.pack import Settings, pack


def main(dataset: str, archive: Path, images: Path, index: Path) -> None:
    """Read `archive`; write `images` (.npy, uint8, N×H×W×3, RGB) and `index` (csv: path, digest), row by row."""
    module = importlib.import_module(f"whence.datasets.{dataset}")
    section = settings.load(f"pack.{dataset}", Settings)
    rows = pack(archive, module.SUFFIX, module.PIXELS, section, images, index)
    print(f"{rows:,} images")


if __name__ == "__main__":
    run(main)
