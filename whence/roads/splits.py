"""Which frames are learnt from, which choose and which test: whole drives, and a share of each drive's frames."""

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from whence.base.errors import InputError
from whence.base.settings import Section
from whence.table import tables
from whence.table.tables import Strings

SPLITS = ("train", "valid", "test")
LEFT_OUT = "left out"


class Settings(Section):
    """Section split.<dataset>."""

    test: list[str]
    """The official splits that test; the others are learnt from."""
    valid_share: float = Field(ge=0, lt=1)
    """Of these others, in whole drives, to choose by."""
    share: float = Field(gt=0, le=1)
    """Of every drive's training frames, at least one."""
    seed: int = Field(ge=0)


class Frames(NamedTuple):
    """A row per frame, as images and masks have them, (N,) each."""

    split: Strings
    """train, valid or test, or left out."""
    drive: Strings
    frame: Strings


def settle(index: Path, settings: Settings) -> Frames:
    """Return the split of every frame of `index` (csv: split, drive, frame).

    Frames of a drive that also stands in a split that tests are left out of training. Raises InputError where a named
    split is not there.
    """
    table = tables.read_csv(index)
    official, drive = table["split"], table["drive"]
    if missing := sorted(set(settings.test) - set(official.tolist())):
        raise InputError(f"{index}: has no split {', '.join(missing)}, only {', '.join(np.unique(official))}")
    test = np.isin(official, settings.test)
    rng = np.random.default_rng(settings.seed)
    free = ~test & ~np.isin(drive, drive[test])
    valid = free & np.isin(drive, _valid_drives(drive[free], settings.valid_share, rng))
    train = _drawn(free & ~valid, drive, settings.share, rng)
    split = np.select([test, valid, train], [np.full(len(test), name) for name in reversed(SPLITS)], LEFT_OUT)
    return Frames(split, drive, table["frame"])


def _valid_drives(drive: Strings, share: float, rng: np.random.Generator) -> list[str]:
    """Return drives, drawn one after the other until their frames are as near to a share of all as can be."""
    names, counts = np.unique(drive, return_counts=True)
    order = rng.permutation(len(names))[: max(0, len(names) - 1)]  # one is left to learn from
    taken = np.cumsum(counts[order])
    wanted = share * len(drive)
    if not share or not len(order):
        return []
    return list(names[order[: int(np.abs(taken - wanted).argmin()) + 1]])


def _drawn(mask: NDArray[np.bool_], drive: Strings, share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return a share of the rows under a mask, of every drive the same, at least one."""
    kept = np.zeros_like(mask)
    for name in np.unique(drive[mask]):
        rows = np.flatnonzero(mask & (drive == name))
        kept[rng.permutation(rows)[: math.ceil(round(share * len(rows), 6))]] = True
    return kept


def read(path: Path) -> Frames:
    """Return what `settle` found, from a table; raises InputError if it is none."""
    columns = tables.read_csv(path)
    if missing := [name for name in Frames._fields if name not in columns]:
        raise InputError(f"{path}: has no column {', '.join(missing)}; run dvc repro to make it again")
    return Frames(*(columns[name] for name in Frames._fields))


def counts(frames: Frames) -> str:
    """Return how many frames and drives each split has, in words."""
    names = [name for name in (*SPLITS, LEFT_OUT) if name in frames.split]
    parts = [(name, frames.split == name) for name in names]
    return ", ".join(f"{name} {mask.sum():,} of {len(np.unique(frames.drive[mask])):,} drives" for name, mask in parts)
