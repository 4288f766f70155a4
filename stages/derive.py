"""Derive a dataset for a control from another: its images with something taken away, or its labels changed."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from whence import derive, transforms
from whence.base import arrays, settings
from whence.base.errors import InputError
from whence.base.stage import run
from whence.table import rows, tables

BLOCK = 2048


def main(key: str, labels: Path, images: Path, new_labels: Path, new_images: Path) -> None:
    """Read `labels` (csv) and `images` (.npy, uint8) of the dataset that derived.<key> names; write both anew."""
    where = f"derived.{key}"
    section = settings.load(where, derive.Settings)
    name = f"{settings.PARAMS}: {where}"
    if section.transform is not None and section.transform not in transforms.TRANSFORMS:
        known = ", ".join(transforms.TRANSFORMS)
        raise InputError(f"{name}.transform: got {section.transform!r}; known are {known}, or null")
    table, array = rows.read(labels), arrays.read(images)
    rows.check_aligned(table, array, images)
    changed = derive.relabel(table, section, name)
    digests: list[str] = []

    def blocks() -> Iterator[NDArray[np.uint8]]:
        for start in range(0, len(array), BLOCK):
            block = array[start : start + BLOCK]
            if section.transform is not None:
                rng = np.random.default_rng([section.seed, 4, start])
                block = transforms.TRANSFORMS[section.transform](block, rng)
            digests.extend(map(rows.digest, block))
            yield block

    arrays.write_blocks(new_images, blocks())
    tables.write_csv(new_labels, changed._replace(digest=np.array(digests))._asdict())
    used = {split: int((changed.split == split).sum()) for split in ("train", "valid", "test")}
    print(f"{key}: " + ", ".join(f"{count:,} {split}" for split, count in used.items()))


if __name__ == "__main__":
    run(main)
