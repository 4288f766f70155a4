"""Near-duplicates: pairs of images that show one photograph, searched for among all pairs.

Photographs are alike in their large, soft shapes, whatever they show. So thumbnails are whitened (Jégou & Chum 2012,
doi 10.1007/978-3-642-33709-3_55), after which unrelated ones are about orthogonal, and pairs with similar thumbnails
are looked at pixel by pixel: those of one photograph share the fine detail, too, others do not.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from whence.base.errors import InputError
from whence.base.settings import PARAMS, Section

Images = NDArray[np.uint8]
Floats = NDArray[np.float32]
Pairs = NDArray[np.int64]

CELLS = 8
"""Thumbnails are CELLS × CELLS."""
COMPONENTS = 128
"""Principal components of the thumbnails that are kept, of 192."""
FLOOR = 0.1
"""Added to the variance of each, in shares of their mean, lest noise be amplified; more where images are few."""
NEAR = 2
"""Detail is what is left of a pixel without the mean of the square around it, as many pixels each way."""
SHIFT = 1
"""Two images are laid on each other in every place up to as many pixels apart."""
BLOCK = 4096
"""Rows that are compared at once, with as many others: 64 MB of similarities."""


class Settings(Section):
    """When two images are near-duplicates."""

    similarity: float = Field(gt=0, lt=1)
    """Least cosine of the whitened thumbnails of a pair that is looked at."""
    detail: float = Field(gt=0, le=1)
    """Least correlation of their fine detail that makes them near-duplicates."""
    rmse: float = Field(gt=0, le=255)
    """Largest root mean square difference of their pixels, in levels, that does."""
    most_pairs: int = Field(ge=1)
    """More pairs with similar thumbnails than this are refused."""


class Near(NamedTuple):
    """Near-duplicates, a row each."""

    pair: Pairs
    """(P, 2) two rows of the images, the smaller first, sorted."""
    detail: Floats
    """(P,) the correlation of their fine detail."""
    rmse: Floats
    """(P,) the root mean square difference of their pixels, in levels of 0 to 255."""


def near_duplicates(images: Images, rows: Pairs, settings: Settings) -> Near:
    """Return the near-duplicates among `rows` (n,), rising, of `images` (N, H, W, 3), which are 8×8 or larger.

    Raises InputError if more than `most_pairs` have similar thumbnails.
    """
    found = [Near(np.zeros((0, 2), np.int64), np.zeros(0, np.float32), np.zeros(0, np.float32))]
    pairs = rows[_similar(_descriptors(images, rows), settings)]
    for part in _blocks(len(pairs)):
        first, second = (images[row] for row in pairs[part].T)
        near = Near(pairs[part], detail(first, second), rmse(first, second))
        kept = (near.detail >= settings.detail) & (near.rmse <= settings.rmse)
        found.append(Near._make(column[kept] for column in near))
    return Near._make(np.concatenate(columns) for columns in zip(*found, strict=True))


def detail(first: Images, second: Images) -> Floats:
    """Return (n,) float32: how the fine detail of images (n, H, W, 3) correlates, best of all shifts by a pixel.

    From -1 to 1; 0 where one of the images has no detail.
    """
    a, b = _high(first), _high(second)
    height, width = a.shape[1] - 2 * SHIFT, a.shape[2] - 2 * SHIFT
    middle = b[:, SHIFT : SHIFT + height, SHIFT : SHIFT + width]
    best = np.full(len(a), -1, np.float32)
    for down in range(2 * SHIFT + 1):
        for right in range(2 * SHIFT + 1):
            best = np.maximum(best, _correlation(a[:, down : down + height, right : right + width], middle))
    return best


def rmse(first: Images, second: Images) -> Floats:
    """Return (n,) float32: the root mean square difference of images (n, H, W, 3), in levels of 0 to 255."""
    difference = first.astype(np.float32) - second.astype(np.float32)
    return np.asarray(np.sqrt((difference**2).mean(axis=(1, 2, 3))))


def _descriptors(images: Images, rows: Pairs) -> Floats:
    """Return (n, COMPONENTS) float32 of length 1: whitened thumbnails, brightness and contrast taken off."""
    small = np.concatenate([_thumbnails(images[rows[part]]) for part in _blocks(len(rows))])
    small -= small.mean(axis=0)
    variance, axes = np.linalg.eigh(small.T @ small / len(small))
    variance, axes = variance[::-1][:COMPONENTS].clip(0), axes[:, ::-1][:, :COMPONENTS]
    # Of few images the variances are guesses, which are drawn towards their mean.
    floor = (FLOOR + small.shape[1] / len(small)) * variance.mean()
    white = small @ (axes / np.sqrt(variance + floor + np.float32(1e-12)))
    return np.asarray(white / np.linalg.norm(white, axis=1, keepdims=True).clip(1e-12))


def _thumbnails(images: Images) -> Floats:
    """Return (n, CELLS · CELLS · 3) float32, means over cells, each image with mean 0 and standard deviation 1."""
    cells = images.astype(np.float32)
    for axis in (1, 2):
        edges = np.arange(CELLS + 1) * images.shape[axis] // CELLS
        sizes = np.diff(edges).astype(np.float32).reshape(-1, *[1] * (3 - axis))
        cells = np.add.reduceat(cells, edges[:-1], axis=axis) / sizes
    flat = cells.reshape(len(cells), CELLS * CELLS * 3)
    flat -= flat.mean(axis=1, keepdims=True)
    flat /= flat.std(axis=1, keepdims=True).clip(1)
    return flat


def _similar(descriptors: Floats, settings: Settings) -> Pairs:
    """Return (P, 2), the places of all pairs whose cosine is `similarity` or more, the smaller first, sorted."""
    found, count = [np.zeros((0, 2), np.int64)], 0
    for here in _blocks(len(descriptors)):
        for there in _blocks(len(descriptors), here.start):
            close = descriptors[here] @ descriptors[there].T >= settings.similarity
            # Counted in one dimension, forty times as fast as in two, which take as long as the product.
            a, b = np.divmod(np.flatnonzero(close), close.shape[1])
            pairs = np.stack([a + here.start, b + there.start], axis=1)
            found.append(pairs[pairs[:, 0] < pairs[:, 1]])
            count += len(found[-1])
            if count > settings.most_pairs:
                got = f"more than {settings.most_pairs:,} pairs have similar thumbnails"
                raise InputError(f"{PARAMS}: audit: similarity: got {settings.similarity}, and {got}; raise it")
    pairs = np.concatenate(found)
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


def _high(images: Images) -> Floats:
    """Return images (n, H, W, 3) less the mean of (2 NEAR + 1)² pixels around each, the edge repeated, float32."""
    side = 2 * NEAR + 1
    levels = images.astype(np.float32)
    # Sums of whole numbers, exact; a window is the difference of two sums that begin at the edge.
    total = np.pad(levels, ((0, 0), (NEAR, NEAR), (NEAR, NEAR), (0, 0)), mode="edge")
    for axis in (1, 2):
        summed = np.cumsum(total, axis=axis)
        ends = np.take(summed, np.arange(side - 1, summed.shape[axis]), axis)
        before = np.take(summed, np.arange(summed.shape[axis] - side), axis)
        shape = [(0, 0)] * 4
        shape[axis] = (1, 0)
        total = ends - np.pad(before, shape)
    return np.asarray(levels - total / side**2)


def _correlation(a: Any, b: Any) -> Floats:
    products = np.einsum("nhwc,nhwc->n", a, b)
    lengths = np.einsum("nhwc,nhwc->n", a, a) * np.einsum("nhwc,nhwc->n", b, b)
    return np.asarray(products / np.sqrt(lengths).clip(1e-6))


def _blocks(count: int, start: int = 0) -> Iterator[slice]:
    return (slice(first, first + BLOCK) for first in range(start, count, BLOCK))
