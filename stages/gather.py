"""Bring your own images, files of any format and size, into one array."""

from functools import partial
from pathlib import Path

import numpy as np

from whence import pack, photos
from whence.base import settings
from whence.base.errors import InputError
from whence.base.stage import run
from whence.datasets.folder import Images
from whence.table import tables


def main(dataset: str, source: Path, images: Path, index: Path, unreadable: Path) -> None:
    """Read `source`, a folder or an archive; write `images` (.npy, uint8, N×H×W×3, RGB), `index` (csv), `unreadable`.

    `index` (path, digest) has a line for every row, and `unreadable` (file, reason) for what is left out.
    """
    section = settings.load(f"folders.{dataset}.images", Images)
    if not source.exists():
        raise InputError(f"{source}: there is no such folder or archive; name it at folders.{dataset}.path")
    wanted = photos.squares(section.pixels, section.filter, section.fit)
    advice = f"mend or remove them, or allow more with folders.{dataset}.images.unreadable"
    decoder = partial(photos.decode, wanted=wanted)
    count, bad = pack.gather(source, decoder, section.pixels, section.unreadable, images, index, "image", advice)
    columns = {"file": [name for name, _ in bad], "reason": [why for _, why in bad]}
    tables.write_csv(unreadable, {name: np.array(column, np.str_) for name, column in columns.items()})
    print(f"{count:,} images of {section.pixels}×{section.pixels} pixels, {len(bad):,} files left out")


if __name__ == "__main__":
    run(main)
