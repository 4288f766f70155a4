"""How well the pixels of streets are told apart, over all images and with intervals over drives.

An image matters only through its counts: a confusion matrix, and of each class a table of its probability in bins.
Counts add up, so a resample is a weight per drive, how often it was drawn, times the counts of the drives. All are
whole numbers below 2**53, exact in float64 in whatever order BLAS adds them: its threads cannot change a digit.

What has no answer is NaN here, is left out of metrics and stands as "n/a" in tables; it is never counted as 0. A class
without a pixel in the truth has no IoU, Dice, F1 and recall, predicted or not, as in the evaluation of Cityscapes
(Cordts et al. 2016, arXiv 1604.01685), and no average precision; one that is never predicted has no precision.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from whence.base.errors import InputError
from whence.metrics import Floats, Settings, plain
from whence.roads.classes import IGNORED

Counts = NDArray[np.int64]

MEANS = {
    "mean_iou": "iou",
    "mean_dice": "dice",
    "class_accuracy": "recall",
    "mean_precision": "precision",
    "mean_f1": "f1",
    "mean_average_precision": "average_precision",
}
"""Means over the classes that have the figure. `pixel_accuracy` and `weighted_iou` are over pixels."""
HEADLINE = ("mean_iou", "mean_iou_lo", "mean_iou_hi", "pixel_accuracy", "class_accuracy", "mean_average_precision")
DRIVES = 10
"""Images of one drive resemble each other, so drives are resampled; but fewer than these say nothing of others."""
BLOCK = 2**20
"""Bins held at once: 8 MB, and three times as much beside it."""


class Figure(NamedTuple):
    """A figure of each class, (K,), or of all, (), and the ends of its bootstrap interval; NaN where not applicable."""

    value: Floats
    lo: Floats
    hi: Floats


class Summary(NamedTuple):
    """How well a network does on some images."""

    classes: dict[str, Figure]
    """(K,) each: `iou`, `dice`, `precision`, `recall`, `f1`, `average_precision`."""
    means: dict[str, Figure]
    """() each: those of `MEANS`, `pixel_accuracy` and `weighted_iou`."""
    pixels: Counts
    """(K,) pixels of each class in the truth."""
    images: int
    drives: int
    resampled: str
    """What the intervals are over, see `resampled`."""


def confusion(counts: Counts, of_row: NDArray[np.uint8]) -> Counts:
    """Return (n, K, K) int64 pixels, [image, true class, predicted class]; what is ignored is left out.

    `counts` (n, ids, K) int64 says how many pixels with the id of a row were called a class, `of_row` (ids,) of which
    class the id is, or `IGNORED`: rows may be in any order, and several of one class.
    """
    if counts.ndim != 3 or of_row.shape != counts.shape[1:2] or counts.dtype != np.int64:
        shapes = f"counts {counts.shape} {counts.dtype} and classes of its rows {of_row.shape}"
        raise InputError(f"{shapes}: expected (images, ids, classes) int64 and (ids,)")
    classes = counts.shape[2]
    if strange := sorted(set(of_row.tolist()) - {*range(classes), IGNORED}):
        raise InputError(f"classes of the rows: got {strange}, expected 0 to {classes - 1}, or {IGNORED} for ignored")
    member: Counts = (of_row == np.arange(classes)[:, None]).astype(np.int64)
    return member @ counts


def figures(matrices: NDArray[Any]) -> dict[str, Floats]:
    """Return (..., K) `iou`, `dice`, `precision`, `recall` and `f1` of matrices (..., K, K), [true, predicted].

    The recall of a class is its accuracy. Its F1, the harmonic mean of precision and recall, is its Dice by another
    name: the same array. NaN where not applicable, see above.
    """
    hits = np.diagonal(matrices, axis1=-2, axis2=-1)
    truth, called = matrices.sum(axis=-1), matrices.sum(axis=-2)
    dice = _ratio(2 * hits, np.where(truth > 0, truth + called, 0))
    return {
        "iou": _ratio(hits, np.where(truth > 0, truth + called - hits, 0)),
        "dice": dice,
        "precision": _ratio(hits, called),
        "recall": _ratio(hits, truth),
        "f1": dice,
    }


def average_precision(ranked: NDArray[Any]) -> Floats:
    """Return (...), the average precision of pixels (..., 2, B), [not of the class or of it, bin of its probability].

    Bins rise in probability, and the pixels of one are tied: sum over the bins, the highest first, of precision times
    the rise in recall, as in scikit-learn. NaN without a pixel of the class.
    """
    falling = ranked[..., ::-1]
    above = falling.cumsum(axis=-1)
    called = above.sum(axis=-2)
    precision = above[..., 1, :] / np.maximum(called, 1)  # nothing called so far: 0 / 1, and recall does not rise
    return _ratio(np.einsum("...b,...b->...", falling[..., 1, :], precision), above[..., 1, -1])


def summarise(matrices: Counts, ranked: Counts, unit: NDArray[np.str_], settings: Settings) -> Summary:
    """Return the figures of n images together, with percentile bootstrap intervals (Efron & Tibshirani 1993, ch. 13).

    `matrices` (n, K, K) are those of `confusion`; `ranked` (n, K, 2, B) int64 the counted pixels of each image as
    `average_precision` takes them; `unit` (n,) the drive of each. A resample draws as many drives as there are, with
    replacement, and takes all images of a drive as often as it was drawn; of fewer than `DRIVES` drives it draws images
    instead. One that misses a class is skipped for this class and leaves it out of its means. The order of the images
    changes nothing. Raises InputError for counts that do not fit together, and where no pixel counts.
    """
    _check(matrices, unit)
    _check_ranked(ranked, matrices)
    rng = np.random.default_rng(settings.seed)
    weights, (parts, bins) = _resamples(rng, settings, unit, matrices, ranked)
    precision = np.stack([_drawn_precision(weights, bins[:, k]) for k in range(bins.shape[1])], axis=1)
    drawn = _all(_drawn(weights, parts), precision)
    whole = _all(matrices.sum(axis=0), average_precision(ranked.sum(axis=0)))
    found = {name: _figure(value, drawn[name], settings.confidence) for name, value in whole.items()}
    return Summary(
        classes={name: figure for name, figure in found.items() if figure.value.ndim},
        means={name: figure for name, figure in found.items() if not figure.value.ndim},
        pixels=matrices.sum(axis=(0, 2)),
        images=len(matrices),
        drives=len(np.unique(unit)),
        resampled=resampled(unit),
    )


def drops(
    first: Counts, first_unit: NDArray[np.str_], second: Counts, second_unit: NDArray[np.str_], settings: Settings
) -> tuple[Figure, Figure]:
    """Return IoU on the first images less that on the second: (K,), and () the mean over the classes that both hold.

    `first` (n, K, K) and `second` (m, K, K) are confusion matrices of the same classes, units (n,) and (m,) drives. The
    two are resampled as in `summarise`, each on its own.
    """
    _check(first, first_unit)
    _check(second, second_unit)
    if first.shape[1:] != second.shape[1:]:
        raise InputError(f"{first.shape[1]} and {second.shape[1]} classes: a drop needs the same on both sides")
    rng, drawn = np.random.default_rng(settings.seed), []
    for matrices, unit in ((first, first_unit), (second, second_unit)):
        weights, parts = _resamples(rng, settings, unit, matrices)
        drawn.append(figures(_drawn(weights, *parts))["iou"])
    gap = figures(first.sum(axis=0))["iou"] - figures(second.sum(axis=0))["iou"]
    gaps = drawn[0] - drawn[1]
    return _figure(gap, gaps, settings.confidence), _figure(_mean(gap), _mean(gaps), settings.confidence)


def resampled(unit: NDArray[np.str_]) -> str:
    """Return what intervals of images of these drives are over: "drives", or "frames" of fewer than `DRIVES`."""
    return "drives" if len(np.unique(unit)) >= DRIVES else "frames"


def numbers(found: Mapping[str, Figure]) -> dict[str, float]:
    """Return each figure () with `<name>_lo` and `<name>_hi`, as they stand in JSON: without what is not applicable."""
    every = {f"{name}{end}": x for name, each in found.items() for end, x in zip(("", "_lo", "_hi"), each, strict=True)}
    return {name: plain(value) for name, value in every.items() if not np.isnan(value)}


def flat(summary: Summary) -> dict[str, float]:
    """Return the figures that stand for all, `HEADLINE`; `numbers(summary.means)` are the rest too."""
    every = numbers(summary.means)
    return {name: every[name] for name in HEADLINE if name in every}


def table(summary: Summary, names: Sequence[str]) -> dict[str, list[Any]]:
    """Return columns with a row for each of the K classes; `share` is its part of the pixels that count, 0 to 1."""
    if len(names) != len(summary.pixels):
        raise InputError(f"{len(names)} names for {len(summary.pixels)} classes: expected one for each")
    iou = summary.classes["iou"]
    columns = {"iou": iou.value, "iou_lo": iou.lo, "iou_hi": iou.hi}
    columns |= {name: figure.value for name, figure in summary.classes.items() if name != "iou"}
    cells = {name: [cell(value) for value in column] for name, column in columns.items()}
    share = [plain(part) for part in summary.pixels / summary.pixels.sum()]
    return {"class": list(names)} | cells | {"pixels": summary.pixels.tolist(), "share": share}


def cell(value: float) -> float | str:
    """Return a figure as it stands in a table."""
    return "n/a" if np.isnan(value) else plain(value)


def _check(matrices: Counts, unit: NDArray[np.str_]) -> None:
    square = matrices.ndim == 3 and matrices.shape[1] == matrices.shape[2]
    if not square or matrices.dtype != np.int64 or unit.shape != matrices.shape[:1]:
        shapes = f"confusion matrices {matrices.shape} {matrices.dtype} and units {unit.shape}"
        raise InputError(f"{shapes}: expected (images, classes, classes) int64 and a unit for each image")
    if not matrices.any() or (matrices < 0).any():
        raise InputError(f"confusion matrices of {len(matrices)} images: expected counts, and a pixel at least")


def _check_ranked(ranked: Counts, matrices: Counts) -> None:
    if ranked.ndim != 4 or ranked.shape[:3] != (*matrices.shape[:2], 2) or ranked.dtype != np.int64:
        shapes = f"ranked pixels {ranked.shape} {ranked.dtype}, confusion matrices {matrices.shape}"
        raise InputError(f"{shapes}: expected (images, classes, 2, bins) int64 of the same images and classes")
    truth = matrices.sum(axis=2)
    sides = np.stack([truth.sum(axis=1, keepdims=True) - truth, truth], axis=2)
    if len(wrong := np.argwhere((ranked.sum(axis=3) != sides) | (ranked < 0).any(axis=3))):
        i, k, _ = wrong[0]
        got, expected = ranked[i, k].sum(axis=1), sides[i, k]
        raise InputError(f"ranked pixels of image {i}, not of class {k} and of it: {got}, its matrix counts {expected}")


def _resamples(
    rng: np.random.Generator, settings: Settings, unit: NDArray[np.str_], *counts: Counts
) -> tuple[Floats, list[Counts]]:
    """Return (R, G) float64, how often each of G parts is in a resample, G draws, and the counts (G, ...) of the parts.

    Parts are drives, in the order of their names; of too few, images in that of their contents, which begin with what
    the order of the classes does not change.
    """
    if resampled(unit) == "drives":
        parts = [np.stack([each[unit == drive].sum(axis=0) for drive in np.unique(unit)]) for each in counts]
    else:

        def content(i: int) -> tuple[bytes, bytes]:
            whole = hashlib.sha256(b"".join(each[i].tobytes() for each in counts))
            return np.sort(counts[0][i], axis=None).tobytes(), whole.digest()

        order = sorted(range(len(unit)), key=content)
        parts = [each[order] for each in counts]
    size = len(parts[0])
    return rng.multinomial(size, np.full(size, 1 / size), settings.resamples).astype(np.float64), parts


def _drawn(weights: Floats, counts: Counts) -> Floats:
    """Return (R, ...) float64, the counts (G, ...) of resamples with weights (R, G)."""
    total = weights @ counts.reshape(len(counts), -1).astype(np.float64)
    return total.reshape(len(weights), *counts.shape[1:])


def _drawn_precision(weights: Floats, ranked: Counts) -> Floats:
    """Return (R,), the average precision of one class in each resample, of its pixels (G, 2, B); a block at a time."""
    step = max(1, BLOCK // ranked[0].size)
    blocks = [weights[start : start + step] for start in range(0, len(weights), step)]
    return np.concatenate([np.zeros(0), *(average_precision(_drawn(block, ranked)) for block in blocks)])


def _all(matrices: NDArray[Any], precision: Floats) -> dict[str, Floats]:
    """Return the figures of classes (..., K) and the means (...); `precision` (..., K) is average precision."""
    each = figures(matrices) | {"average_precision": precision}
    truth, hits = matrices.sum(axis=-1), np.einsum("...kk->...", matrices)
    found = {mean: _mean(each[name]) for mean, name in MEANS.items()}
    found["pixel_accuracy"] = _ratio(hits, truth.sum(axis=-1))
    found["weighted_iou"] = _ratio(np.nansum(truth * each["iou"], axis=-1), truth.sum(axis=-1))
    return each | found


def _figure(value: Floats, drawn: Floats, confidence: float) -> Figure:
    """Return a value (...) with the ends of its interval, percentiles of resamples (R, ...); NaN where all are NaN."""
    drawn = drawn if len(drawn) else np.full((1, *value.shape), np.nan)
    tail, none = (1 - confidence) / 2, np.isnan(drawn).all(axis=0)
    ends = np.nanquantile(np.where(none, 0, drawn), [tail, 1 - tail], axis=0)  # zeros: NaN alone would be warned about
    return Figure(value, *np.where(none, np.nan, ends))


def _mean(values: Floats) -> Floats:
    """Return (...), the mean over the last axis of what is not NaN; NaN where all is."""
    return _ratio(np.nansum(values, axis=-1), np.count_nonzero(~np.isnan(values), axis=-1))


def _ratio(above: Any, below: Any) -> Floats:
    """Return above / below, and NaN where nothing is below."""
    found = np.full(np.shape(below), np.nan)
    np.divide(above, below, out=found, where=np.not_equal(below, 0))
    return found
