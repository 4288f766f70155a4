"""How far rows lie from others in a feature space: from the centroids of classes, and from their nearest neighbours.

Nothing is drawn or approximated. Distances are Euclidean, in float64; rows become float64 a block at a time, so that
a large array may stay float32 or uint8.
"""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
BLOCK = 2048
"""Rows that are float64 at once, and the side of a block of distances: 34 MB."""


class Near(NamedTuple):
    """The k nearest of some rows."""

    mean: Floats
    """(n,) the mean distance to the k nearest of all classes."""
    share: Floats
    """(n, K) the share of these that each class has."""
    by_class: Floats
    """(n, K) the mean distance to the k nearest of each class."""


def centroids(x: NDArray[Any], code: Codes, count: int) -> Floats:
    """Return (count, d), the mean row of each class; `code` (n,) says of which class, 0 to count - 1, a row of x is.

    Every class has a row at least.
    """
    total = np.zeros((count, math.prod(x.shape[1:])))
    for part in _blocks(len(x)):
        block = _flat(x[part])
        for k in range(count):
            total[k] += block[code[part] == k].sum(axis=0)
    return np.asarray(total / np.bincount(code, minlength=count)[:, None])


def spread(x: NDArray[Any], code: Codes, centres: Floats) -> float:
    """Return the root mean square distance of rows x (n, …) to the centroid of their own class, of `centres` (K, d).

    Divided by it, distances of different spaces can be compared: 1 is how far a row usually lies from its centroid.
    """
    squares = sum(float(((_flat(x[part]) - centres[code[part]]) ** 2).sum()) for part in _blocks(len(x)))
    return math.sqrt(squares / len(x))


def to_points(x: NDArray[Any], points: Floats) -> Floats:
    """Return (n, K), the distance of each row of x (n, …) to each of `points` (K, d)."""
    found = np.empty((len(x), len(points)))
    for part in _blocks(len(x)):
        block = _flat(x[part])
        for k, point in enumerate(points):
            found[part, k] = np.sqrt(((block - point) ** 2).sum(axis=1))
    return found


def nearest(x: NDArray[Any], others: NDArray[Any], k: int) -> Floats:
    """Return (n, k), how far the k nearest of `others` (m, …) are from each row of x (n, …), the nearest first.

    k is m at most. By |a - b|² = |a|² + |b|² - 2ab: the mean of the others is taken off first, lest large numbers
    cancel each other, and what rounding leaves below nothing is nothing.
    """
    centre = centroids(others, np.zeros(len(others), np.int64), 1)
    rows = _flat(x) - centre
    found = np.full((len(x), k), np.inf)
    for there in _blocks(len(others)):
        block = _flat(others[there]) - centre
        squares = (block**2).sum(axis=1)
        for here in _blocks(len(x)):
            # |a|² is the same for all that a row is compared with, and is added last.
            both = np.hstack([found[here], squares - 2 * (rows[here] @ block.T)])
            found[here] = np.partition(both, k - 1, axis=1)[:, :k]
    found += (rows**2).sum(axis=1, keepdims=True)
    return np.asarray(np.sqrt(np.sort(found, axis=1).clip(0)))


def near(x: NDArray[Any], others: NDArray[Any], code: Codes, count: int, k: int) -> Near:
    """Return what the k nearest of `others` (m, …) are to rows x (n, …); `code` (m,) is as in `centroids`.

    Every class has k rows at least. Of equally near ones, those of the first class count as nearer.
    """
    each = np.stack([nearest(x, others[code == c], k) for c in range(count)], axis=1)
    flat = each.reshape(len(x), count * k)
    order = flat.argsort(axis=1, kind="stable")[:, :k]
    share = (order[:, :, None] // k == np.arange(count)).mean(axis=1)
    return Near(np.take_along_axis(flat, order, axis=1).mean(axis=1), share, each.mean(axis=2))


def _flat(x: NDArray[Any]) -> Floats:
    return x.reshape(len(x), math.prod(x.shape[1:])).astype(np.float64)


def _blocks(count: int) -> Iterator[slice]:
    return (slice(start, start + BLOCK) for start in range(0, count, BLOCK))
