"""Arrays on disk: written in blocks as .npy without knowing how many rows will come, read as memory maps."""

from collections.abc import Iterable
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


def read(path: Path) -> NDArray[Any]:
    """Return the array in a .npy file as a read-only memory map; raises InputError if it is none."""
    try:
        array: NDArray[Any] = np.lib.format.open_memmap(path, mode="r")
        if 0 in array.shape[1:]:
            raise ValueError(f"rows of shape {array.shape[1:]} are empty")
    except (OSError, ValueError, EOFError, OverflowError, TokenError) as error:
        raise InputError(f"{path}: not a readable .npy array ({error}); run dvc repro to make it again") from error
    return array


def _header(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bytes:
    text = repr({"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}).encode("latin1")
    prefix = np.lib.format.magic(1, 0) + (HEADER - 10).to_bytes(2, "little")
    return prefix + text.ljust(HEADER - 11) + b"\n"
