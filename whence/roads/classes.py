"""What a pixel of a street can be: the table of a dataset's ids, and how they map onto the seven classes of all.

The seven are level 1 of the Indian Driving Dataset (Varma et al. 2019, arXiv 1811.10200), which every dataset here is
brought to; names, ids and colours of a dataset are its publisher's.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from whence.base.errors import InputError

IGNORED = 255
"""In a mask of class numbers: a pixel that counts as nothing, in training and in every figure."""
Mask = NDArray[np.uint8]


class Level1(NamedTuple):
    """One of the seven classes of all datasets; its number is its place."""

    name: str
    colour: str


LEVEL1 = (
    Level1("drivable", "804080"),
    Level1("non-drivable", "f423e8"),
    Level1("living things", "dc143c"),
    Level1("vehicles", "00008e"),
    Level1("roadside objects", "dcbe28"),
    Level1("far objects", "6b8e23"),
    Level1("sky", "4682b4"),
)
NAMES = tuple(each.name for each in LEVEL1)


class Class(NamedTuple):
    """One id that a dataset's masks hold."""

    id: int
    """0 to 255."""
    name: str
    colour: str
    """Hexadecimal RGB, as the publisher paints it."""
    level1: int | None
    """Its number among the seven, or None: its pixels count as nothing."""


class Classes(NamedTuple):
    """What masks are brought to, and what a network tells apart: the seven, or a dataset's own classes."""

    names: tuple[str, ...]
    colours: tuple[str, ...]
    level1: tuple[int, ...]
    """The number among the seven of each."""
    of_id: NDArray[np.uint8]
    """(256,) the number of the class of each id; `IGNORED` where it counts as nothing."""


def seven(table: Sequence[Class]) -> Classes:
    """Return the seven classes of all, and which of them each id of a dataset is."""
    return Classes(NAMES, tuple(each.colour for each in LEVEL1), tuple(range(len(LEVEL1))), _numbers(table, _seventh))


def own(table: Sequence[Class]) -> Classes:
    """Return the classes of a dataset that count: a class for each name in its table, in the order of the ids."""
    counted = {each.name: each for each in sorted(table) if each.level1 is not None}
    names = list(counted)
    return Classes(
        tuple(names),
        tuple(each.colour for each in counted.values()),
        tuple(each.level1 or 0 for each in counted.values()),
        _numbers(table, lambda each: IGNORED if each.level1 is None else names.index(each.name)),
    )


def _seventh(each: Class) -> int:
    return IGNORED if each.level1 is None else each.level1


def _numbers(table: Sequence[Class], number: Callable[[Class], int]) -> NDArray[np.uint8]:
    numbers = np.full(256, IGNORED, np.uint8)
    for each in table:
        numbers[each.id] = number(each)
    return numbers


def pixels(masks: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return (256,) how many pixels of masks (n, H, W) hold each number; counted mask by mask."""
    counts: NDArray[np.int64] = np.zeros(256, np.int64)
    for start in range(len(masks)):
        counts += np.bincount(masks[start : start + 1].ravel(), minlength=256)
    return counts


def wrong(truth: Mask, called: Mask) -> NDArray[np.bool_]:
    """Return where an answer is wrong; pixels that count as nothing are not."""
    found: NDArray[np.bool_] = (truth != called) & (truth != IGNORED)
    return found


def palette(colours: Sequence[str], rest: int = 255) -> NDArray[np.uint8]:
    """Return (256, 3), the colour of each class number; the levels `rest` for what counts as nothing."""
    table = np.full((256, 3), rest, np.uint8)
    table[: len(colours)] = [tuple(bytes.fromhex(colour)) for colour in colours]
    return table


def check(mask: Mask, table: Sequence[Class]) -> None:
    """Raise InputError, which names them, for ids in a mask (H, W) that the table does not know."""
    if strange := sorted(set(np.flatnonzero(pixels(mask[None])).tolist()) - ids(table)):
        known = ", ".join(map(str, sorted(ids(table))))
        raise InputError(f"holds the id{'s' * (len(strange) > 1)} {', '.join(map(str, strange))}, expected {known}")


def ids(table: Sequence[Class]) -> set[int]:
    """Return the ids of a table."""
    return {each.id for each in table}


class Scene(NamedTuple):
    """A street as its polygons, in the order of painting: what the annotators of IDD and Cityscapes write down."""

    width: int
    height: int
    parts: list[tuple[str, list[tuple[int, int]]]]
    """(name of a class, corners x, y in pixels); they may lie outside of the frame."""
