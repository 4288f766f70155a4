"""Tables as csv: a header, columns of one length, the same bytes for the same values."""

import csv
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whence.base.errors import InputError
from whence.base.files import replacing

Strings = NDArray[np.str_]
LINES = 2**16
"""Lines that are Python's texts at once: a text takes several times as much memory as in an array."""


def read_csv(path: Path) -> dict[str, Strings]:
    """Return the columns as text; raises InputError unless every line has as many fields as the header."""
    try:
        with path.open(encoding="utf-8", newline="") as handle:
            lines = csv.reader(handle)
            names = next(lines, [])
            parts: list[list[Strings]] = [[] for _ in names]
            while some := list(islice(lines, LINES)):
                for part, column in zip(parts, zip(*some, strict=True), strict=True):
                    part.append(np.array(column, np.str_))
        if not names:
            raise ValueError("it is empty")
        return {name: np.concatenate([np.zeros(0, np.str_), *part]) for name, part in zip(names, parts, strict=True)}
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{path}: not a readable table ({error}); run dvc repro to make it again") from error


def write_csv(path: Path, columns: Mapping[str, NDArray[Any]]) -> None:
    r"""Write a table whole or not at all: '\n' line ends, the shortest decimals that read back the same."""
    with replacing(path) as partial, partial.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*(column.tolist() for column in columns.values()), strict=True))


def write_frame(path: Path, frame: Any) -> None:
    r"""Write a pandas DataFrame without its index, whole or not at all: '\n' line ends, no text for what is missing."""
    with replacing(path) as partial:
        frame.to_csv(partial, index=False, lineterminator="\n")
