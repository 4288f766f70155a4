"""Frames, masks and splits of a dataset, read together and checked against each other."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from whence.base import arrays, settings
from whence.base.errors import InputError
from whence.roads import classes, splits
from whence.roads.tables import TABLES

SEVEN = "seven"


def listed(params: Path) -> list[str]:
    """Return the datasets that are asked about; raises InputError for one that has no table of ids."""
    found: list[str] = settings.value("datasets", params)
    for dataset in found:
        table(dataset)
    return found


def kinds(dataset: str, which: str) -> classes.Classes:
    """Return the classes that a dataset's masks are brought to: the `seven` of all, or its `own`."""
    if which not in (SEVEN, "own"):
        raise InputError(f"classes: got {which!r}, expected seven or own")
    return classes.seven(table(dataset)) if which == SEVEN else classes.own(table(dataset))


def judged(dataset: str, train_on: str, which: str) -> str:
    """Return by which classes a network is judged: on what it has learnt from by its own, elsewhere by the seven."""
    return which if dataset == train_on else SEVEN


def table(dataset: str) -> Sequence[classes.Class]:
    """Return the ids of a dataset."""
    if dataset not in TABLES:
        raise InputError(f"{dataset}: has no table of ids; expected one of {', '.join(TABLES)}")
    return TABLES[dataset]


def read(frames: Path, images: Path, masks: Path) -> tuple[splits.Frames, NDArray[Any], NDArray[Any]]:
    """Return the splits, the frames (N, H, W, 3) and the masks (N, H, W); InputError unless they are of one size."""
    table, x, ids = splits.read(frames), arrays.read(images), arrays.read(masks)
    if not len(table.split) == len(x) == len(ids) or x.shape[1:3] != ids.shape[1:]:
        found = f"{len(table.split)} rows, {x.shape} and {ids.shape}"
        raise InputError(f"{frames}, {images} and {masks}: {found} do not belong together; run dvc repro")
    return table, x, ids
