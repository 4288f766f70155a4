"""What is wrong with a dataset before any model has seen it: copies, placeholders, and how its files were coded."""

import hashlib
import io
import itertools
from collections import Counter
from collections.abc import Iterable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field

from whence import photos
from whence.base.errors import InputError
from whence.similar import Settings as Similar

Images = NDArray[np.uint8]
Pairs = NDArray[np.int64]
BLOCK = 4096
LEVELS = 16
"""Shades per channel that count as different colours: of 256, so that noise does not make new ones."""


class Settings(Similar):
    """Section audit."""

    few_colours: int = Field(ge=1)
    """An image of so few colours (of 16 shades per channel), and …"""
    one_colour: float = Field(gt=0, le=1)
    """… with such a share of its pixels in one of them, is a placeholder."""
    shown: int = Field(ge=1)
    """Pairs in the gallery, at most."""


class Coding(NamedTuple):
    """How a file was coded."""

    format: str
    """Pillow's name of it: PNG, JPEG, …"""
    mode: str
    """Pillow's name of the colour mode."""
    size: str
    """width×height, in pixels."""
    quality: str
    """IJG quality 1 to 100 of a JPEG's tables, 'own' where they are none of these, '' of others."""
    subsampling: str
    """Of a JPEG's colours, 4:4:4, 4:2:2, 4:2:0 or 'other'."""


def copies(group: Pairs) -> Pairs:
    """Return (P, 2), all pairs of rows that have one value in `group` (N,), the smaller row first, sorted."""
    order = np.argsort(group, kind="stable")
    ends = np.flatnonzero(np.diff(group[order])) + 1
    pairs = [
        pair for rows in np.split(order, ends) if len(rows) > 1 for pair in itertools.combinations(rows.tolist(), 2)
    ]
    return np.array(sorted(pairs), np.int64).reshape(-1, 2)


def palette(images: Images) -> tuple[Pairs, NDArray[np.float64]]:
    """Return two columns for images (N, H, W, 3): how many colours each has, and the share of the commonest.

    Colours are told apart by the upper four bits of each channel; one colour is a constant image, or nearly so.
    """
    distinct, share = np.empty(len(images), np.int64), np.empty(len(images))
    for start in range(0, len(images), BLOCK):
        part = slice(start, start + BLOCK)
        red, green, blue = np.moveaxis(images[part].astype(np.int16) // (256 // LEVELS), 3, 0)
        code = np.sort(((red * LEVELS + green) * LEVELS + blue).reshape(len(red), -1), axis=1)
        # A run of equal codes is a colour; the longest is the commonest.
        new = np.pad(code[:, 1:] != code[:, :-1], ((0, 0), (1, 0)), constant_values=True)
        first = np.flatnonzero(new)
        length = np.diff(first, append=new.size)
        distinct[part] = new.sum(axis=1)
        share[part] = np.maximum.reduceat(length, np.searchsorted(first, np.arange(len(new)) * new.shape[1]))
    return distinct, share / (images.shape[1] * images.shape[2])


def placeholders(images: Images, settings: Settings) -> Pairs:
    """Return the rows of images (N, H, W, 3) with few colours, most of it in one: signs and blanks, not photographs."""
    distinct, share = palette(images)
    return np.flatnonzero((distinct <= settings.few_colours) & (share >= settings.one_colour))


def colours(images: Images, cell: Pairs) -> NDArray[np.float64]:
    """Return (K, 6): mean and standard deviation of R, G and B, 0 to 1, of the pixels of each of K cells.

    `cell` (N,) says of which cell, 0 to K - 1, each of images (N, H, W, 3) is; every cell has one. Sums are of whole
    numbers, exact.
    """
    total = np.zeros((int(cell.max()) + 1, 2, 3), np.int64)
    for start in range(0, len(images), BLOCK):
        levels = images[start : start + BLOCK].astype(np.int64)
        each = np.stack([levels.sum(axis=(1, 2)), (levels**2).sum(axis=(1, 2))], axis=1)
        np.add.at(total, cell[start : start + BLOCK], each)
    count = np.bincount(cell)[:, None] * images.shape[1] * images.shape[2]
    mean, square = total[:, 0] / count, total[:, 1] / count
    return np.concatenate([mean, np.sqrt((square - mean**2).clip(0))], axis=1) / 255


def codings(files: Iterable[tuple[int, bytes]], count: int) -> tuple[list[Coding], NDArray[np.str_]]:
    """Return how each of `count` files (row, content) was coded, and the digests of the contents, a row each.

    Raises InputError if a file is no image, or a row has none.
    """
    found: list[Coding | None] = [None] * count
    digest = np.empty(count, "U32")
    for row, content in files:
        found[row], digest[row] = coding(content), hashlib.sha256(content).hexdigest()[:32]
    if None in found:
        raise InputError(f"row {found.index(None)} of the labels has no file in the archive; run dvc repro")
    return [each for each in found if each is not None], digest


def coding(content: bytes) -> Coding:
    """Return how a file was coded, read off its header; raises InputError if it is no image."""
    try:
        with photos.quiet(), Image.open(io.BytesIO(content), formats=photos.formats()) as image:
            about = (image.format or "", image.mode, f"{image.width}×{image.height}")
            if image.format != "JPEG":
                return Coding(*about, "", "")
            tables: dict[int, Any] = getattr(image, "quantization", {})
            return Coding(*about, _quality(tables), _subsampling(getattr(image, "layer", [])))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"holds a file that is no image ({error}); run dvc repro") from error


def told(coded: list[Coding], domain: NDArray[np.str_]) -> float:
    """Return the balanced accuracy, 0 to 1, with which the codings alone tell the classes (N,): 1 / K is chance.

    Of a decision tree of depth 4 (scikit-learn), cross-validated in five parts, or in as many as the smallest domain
    has images.
    """
    domains, known = np.unique(domain, return_inverse=True)
    if len(set(coded)) == 1 or np.bincount(known).min() < 2:
        return 1 / len(domains)
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.tree import DecisionTreeClassifier

    sides = np.array([[int(side) for side in one.size.split("×")] for one in coded])
    named = [
        np.unique([getattr(one, name) for one in coded], return_inverse=True)[1]
        for name in Coding._fields
        if name != "size"
    ]
    tree = DecisionTreeClassifier(max_depth=4, min_samples_leaf=5, class_weight="balanced", random_state=0)
    parts = StratifiedKFold(min(5, int(np.bincount(known).min())), shuffle=True, random_state=0)
    said = cross_val_predict(tree, np.column_stack([sides, *named]), known, cv=parts)
    return float(balanced_accuracy_score(known, said))


def by(columns: Iterable[NDArray[np.str_]], pairs: Pairs) -> Counter[tuple[str, ...]]:
    """Return how many of `pairs` (P, 2) join which values of some columns (N,): (a, b) and (b, a) count as one."""
    column = np.stack(list(columns), axis=1)
    return Counter(tuple("-".join(sorted(set(values))) for values in zip(*rows, strict=True)) for rows in column[pairs])


def _quality(tables: dict[int, Any]) -> str:
    return _ijg().get(tuple(tuple(tables[key]) for key in sorted(tables)), "own")


@cache
def _ijg() -> dict[tuple[tuple[int, ...], ...], str]:
    """Return the quality of each set of quantisation tables that the Independent JPEG Group's encoder uses."""
    known = {}
    for mode in ("L", "RGB"):
        for quality in range(1, 101):
            encoded = io.BytesIO()
            Image.new(mode, (8, 8)).save(encoded, "JPEG", quality=quality)
            with Image.open(encoded) as image:
                tables: dict[int, Any] = getattr(image, "quantization", {})
                known[tuple(tuple(tables[key]) for key in sorted(tables))] = str(quality)
    return known


def _subsampling(layers: list[tuple[int, int, int, int]]) -> str:
    """Return the notation of the colours' sampling, of a JPEG's components (id, horizontal, vertical, table)."""
    factors = tuple(layer[1:3] for layer in layers)
    named = {
        ((1, 1),): "",
        ((1, 1), (1, 1), (1, 1)): "4:4:4",
        ((2, 1), (1, 1), (1, 1)): "4:2:2",
        ((2, 2), (1, 1), (1, 1)): "4:2:0",
    }
    return named.get(factors, "other")
