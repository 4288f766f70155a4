"""Arrays on disk: written in blocks as .npy without knowing how many rows will come, read as memory maps or by rows."""

import os
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whence.base.errors import InputError
from whence.base.files import replacing

HEADER = 128
"""Bytes reserved for the .npy header (format 1.0), written last when the number of rows is known."""


def write_blocks(path: Path, blocks: Iterable[NDArray[Any]]) -> tuple[int, ...]:
    """Write blocks of rows, alike in dtype and in all but the first axis, as one C-ordered .npy; return its shape.

    Raises InputError if there is no block. A full disk raises OSError here, where a memory map would end the process.
    """
    rows, row, dtype = 0, None, None
    with replacing(path) as partial, partial.open("wb") as handle:
        handle.write(bytes(HEADER))
        for block in blocks:
            row, dtype = block.shape[1:], block.dtype
            handle.write(np.ascontiguousarray(block).data)
            rows += len(block)
        if row is None or dtype is None:
            raise InputError(f"{path}: there are no rows to write")
        handle.seek(0)
        handle.write(_header((rows, *row), dtype))
    return (rows, *row)


def write_npz(path: Path, content: Mapping[str, NDArray[Any]]) -> None:
    """Write several arrays, whole or not at all, the same bytes for the same values."""
    with replacing(path) as partial, partial.open("wb") as handle:
        np.savez(handle, **content)  # type: ignore[arg-type]  # NumPy takes no more keywords than these


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """Return what `write_npz` wrote; raises InputError if it is none."""
    try:
        with np.load(path, allow_pickle=False) as content:
            return {name: content[name] for name in content.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: not readable arrays ({error}); run dvc repro to make it again") from error


def read(path: Path) -> NDArray[Any]:
    """Return the array in a .npy file as a read-only memory map; raises InputError if it is none."""
    try:
        array: NDArray[Any] = np.lib.format.open_memmap(path, mode="r")
        if 0 in array.shape[1:]:
            raise ValueError(f"rows of shape {array.shape[1:]} are empty")
    except (OSError, ValueError, EOFError, OverflowError, TokenError) as error:
        raise InputError(f"{path}: not a readable .npy array ({error}); run dvc repro to make it again") from error
    return array


class Stored:
    """Some rows of a .npy file, read from it when they are asked for: none stays in memory, as a map's pages may."""

    def __init__(
        self, path: Path, rows: NDArray[np.int64] | None = None, through: NDArray[np.uint8] | None = None
    ) -> None:
        """Take `rows` (n,) of the array, or all of it; raises InputError if the file is no array.

        Values of an array of uint8 are looked up in `through` (256,), where it is given.
        """
        array, file, self.through = read(path), path.stat(), through
        self.path, self.offset = path, array.offset  # type: ignore[attr-defined]
        self.rows = np.arange(len(array)) if rows is None else rows
        self.shape, self.dtype, self.ndim = (len(self.rows), *array.shape[1:]), array.dtype, array.ndim
        self.size = array.strides[0]
        self.about = (file.st_size, file.st_mtime_ns)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, which: Any) -> NDArray[Any]:
        """Return these rows, by a slice or an array of places; raises InputError if the file has grown shorter."""
        rows = self.rows[which]
        found = np.empty((len(rows), *self.shape[1:]), self.dtype)
        with self.path.open("rb", buffering=0) as handle:
            for start, stop in _runs(rows):
                handle.seek(self.offset + int(rows[start]) * self.size)
                part = found[start:stop]
                if handle.readinto(part.data.cast("B")) != part.nbytes:
                    raise InputError(f"{self.path}: ends before row {rows[stop - 1]:,}; run dvc repro to make it again")
        return found if self.through is None else self.through[found]

    def only(self, chosen: NDArray[np.bool_]) -> "Stored":
        """Return the rows under a mask (n,)."""
        return Stored(self.path, self.rows[chosen], self.through)

    def expect(self, which: NDArray[np.int64]) -> None:
        """Tell the system, where it listens, that these places will be asked for soon."""
        if not hasattr(os, "posix_fadvise"):
            return
        rows = np.sort(self.rows[which])
        with self.path.open("rb", buffering=0) as handle:
            for start, stop in _runs(rows):
                begin, length = self.offset + int(rows[start]) * self.size, (stop - start) * self.size
                os.posix_fadvise(handle.fileno(), begin, length, os.POSIX_FADV_WILLNEED)


def _runs(rows: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Yield the places at which rows that follow each other begin and end."""
    ends = np.flatnonzero(np.diff(rows) != 1) + 1
    if len(rows):
        yield from zip([0, *ends.tolist()], [*ends.tolist(), len(rows)], strict=True)


def _header(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bytes:
    text = repr({"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}).encode("latin1")
    prefix = np.lib.format.magic(1, 0) + (HEADER - 10).to_bytes(2, "little")
    return prefix + text.ljust(HEADER - 11) + b"\n"
