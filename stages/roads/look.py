"""Show a dataset of streets: how often each class occurs, and some frames with their masks."""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from whence.base import settings
from whence.base.stage import run
from whence.metrics import plain
from whence.roads import classes, data, pictures
from whence.roads.splits import SPLITS, Frames
from whence.table import tables


class Settings(settings.Section):
    """Section look."""

    frames: int = Field(ge=1)
    """That are shown, evenly spaced: the first of as many drives, where there are so many."""


def main(
    params: Path, dataset: str, frames: Path, images: Path, masks: Path, target: Path, bars: Path, shown: Path
) -> None:
    """Read frames and masks; write `target` (csv: class, split, pixels, share, frames) and two pictures (png)."""
    section, kinds = settings.load("look", Settings, params), data.kinds(dataset, data.SEVEN)
    table, x, ids = data.read(frames, images, masks)
    found = _distribution(table, ids, kinds)
    tables.write_frame(target, found)
    source = settings.value("source", params)
    title = f"{dataset} ({source}): what its pixels are"
    pictures.save(pictures.distribution(found, title), bars)
    rows = np.sort(np.unique(table.drive, return_index=True)[1])  # the first frame of each drive
    if len(rows) < section.frames:
        rows = np.arange(len(table.drive))
    rows = rows[np.linspace(0, len(rows) - 1, min(section.frames, len(rows))).round().astype(int)]
    titles = [f"{table.drive[row]}/{table.frame[row]}, {table.split[row]}" for row in rows]
    pictures.save(pictures.frames(x[rows], kinds.of_id[ids[rows]], kinds.names, kinds.colours, titles), shown)


def _distribution(table: Frames, ids: NDArray[np.uint8], kinds: classes.Classes) -> pd.DataFrame:
    parts = []
    for split in SPLITS:
        rows = np.flatnonzero(table.split == split)
        if not len(rows):
            continue
        by_id = classes.pixels(ids[rows])
        pixels = [int(by_id[kinds.of_id == k].sum()) for k in range(len(kinds.names))]
        share = [plain(count / max(1, sum(pixels))) for count in pixels]
        parts.append(
            pd.DataFrame({"class": kinds.names, "split": split, "pixels": pixels, "share": share, "frames": len(rows)})
        )
    return pd.concat(parts, ignore_index=True)


if __name__ == "__main__":
    run(main)
