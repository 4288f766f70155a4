"""The table that gives every row of every array its meaning, and the one check that they belong together."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from whence.base.errors import InputError
from whence.table.tables import Strings, read_csv

CIFAR_TRAIN = ("/cifar10-train-", "/cifar-10-train-")
"""What the path of a CIFAR-10 training image holds in CINIC-10, as published and as its README writes it."""
CIFAR_TEST = ("/cifar10-test-", "/cifar-10-test-")


class Labels(NamedTuple):
    """labels.csv: a column each, (N,), one line per row of images.npy."""

    path: Strings
    """The member's name in the published layout."""
    split: Strings
    """train, valid, test, or unused: capped, or in valid a copy of a training image."""
    official_split: Strings
    """As published."""
    category: Strings
    """The object."""
    domain: Strings
    """The origin."""
    group: NDArray[np.int64]
    """The first row that has the very same pixels."""
    digest: Strings
    """Of the pixels, see `digest`."""


class Rows(NamedTuple):
    """Some rows of a dataset, as classifiers take them."""

    x: NDArray[Any]
    """(n, d): features float32, or pixels uint8 in a row."""
    y: NDArray[np.bool_]
    """(n,): whether the row is positive."""


def read(path: Path) -> Labels:
    """Return labels.csv; raises InputError if it is not such a table."""
    table = read_csv(path)
    if tuple(table) != Labels._fields:
        raise InputError(f"{path}: has the columns {', '.join(table)}; expected {', '.join(Labels._fields)}")
    try:
        return Labels._make(c.astype(np.int64) if name == "group" else c for name, c in table.items())
    except ValueError as error:
        raise InputError(f"{path}: column group holds what is no row number ({error})") from error


def check_aligned(labels: Labels, array: NDArray[Any], path: Path) -> None:
    """Raise InputError unless row i of `array` (from `path`) can be row i of `labels`: count, and pixels of images."""
    again = "run dvc repro to make both again"
    if len(array) != len(labels.path):
        raise InputError(f"{path}: has {len(array):,} rows, the labels {len(labels.path):,}; {again}")
    if array.dtype == np.uint8 and array.ndim == 4:
        for row in np.linspace(0, len(array) - 1, 16).astype(int):
            if digest(array[row]) != labels.digest[row]:
                raise InputError(f"{path}: row {row} is not {labels.path[row]}; {again}")


def take(array: Any, target: NDArray[Any], chosen: NDArray[np.bool_]) -> tuple[Any, NDArray[Any]]:
    """Return x and y of the rows under a mask (N,); raises InputError unless they are of two classes at least.

    Of an array in memory or mapped x is a copy in memory, of `arrays.Stored` it is such again.
    """
    y = target[chosen]
    classes = np.unique(y).tolist()
    if len(classes) < 2:
        only = f", all of class {classes[0]!r}" if classes else ""
        found = f"a split has {len(y):,} rows to learn from{only}; expected two classes at least"
        raise InputError(f"{found}: raise valid_share, the cap, or the share of a domain")
    return np.asarray(array[chosen]) if isinstance(array, np.ndarray) else array.only(chosen), y


def named(labels: Labels, stems: Sequence[str]) -> NDArray[np.bool_]:
    """Return (N,) whether a path holds one of these."""
    found = np.zeros(len(labels.path), bool)
    for stem in stems:
        found |= np.char.find(labels.path, stem) >= 0
    return found


def spaced(row: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Return all of the rows (n,), or as many as `most` of them, evenly spaced."""
    return row[np.linspace(0, len(row) - 1, min(most, len(row))).astype(np.int64)]


def digest(pixels: NDArray[np.uint8]) -> str:
    """Return the digest of one image as the index has it: half of a SHA-256, in hexadecimal."""
    return hashlib.sha256(np.ascontiguousarray(pixels).data).hexdigest()[:32]


def clean(labels: Labels) -> NDArray[np.bool_]:
    """Return a mask (N,) of the test rows whose pixels do not also stand in the official train or valid split."""
    known = np.unique(labels.group[labels.official_split != "test"])
    return np.asarray((labels.split == "test") & ~np.isin(labels.group, known))
