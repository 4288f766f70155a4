"""What a picture of a classifier's scores needs, as short tables of numbers; drawing them is somebody else's work.

Every table is a dictionary of columns of one length, finite, rounded to 6 decimals, as `whence.table.tables` writes it.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from whence.base.errors import InputError
from whence.metrics import DECIMALS, bin_of, check

Floats = NDArray[np.float64]
Columns = dict[str, NDArray[Any]]

NOTHING_POSITIVE = 1.0 + 10.0**-DECIMALS
"""The threshold of the first point of a curve, above every score: finite, since CSV, JSON and Vega have no infinity."""


def sweep(positive: NDArray[np.bool_], score: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
    """Return false and true positives (int64) and thresholds (float64, falling), each (1 + distinct scores,).

    Raises InputError as `metrics.check` does.
    """
    check(positive, score)
    falling, group = np.unique(-score, return_inverse=True)
    fp, tp = (np.bincount(group[rows], minlength=len(falling)).cumsum() for rows in (~positive, positive))
    fp, tp = np.pad(fp, (1, 0)), np.pad(tp, (1, 0))
    return fp, tp, np.concatenate([[NOTHING_POSITIVE], -falling])


def roc(positive: NDArray[np.bool_], score: Floats, points: int) -> Columns:
    """Return `fpr`, `tpr`, `threshold` (at most `points` float64 rows each) from (0, 0) to (1, 1), thresholds falling.

    `positive` (N,) bool, `score` (N,) in [0, 1]; a row is predicted positive where score >= threshold. The points are
    those of every distinct score (Fawcett 2006, algorithm 1) without those inside a straight stretch, thinned as
    `_thin` says. Raises InputError as `metrics.check` does, and for fewer than two points.
    """
    fp, tp, threshold = sweep(positive, score)
    # Counts are whole numbers, so the cross product of two steps is exactly 0 where the curve runs straight.
    right, up = np.diff(fp), np.diff(tp)
    corner = np.concatenate([[True], right[:-1] * up[1:] != up[:-1] * right[1:], [True]])
    fpr, tpr = fp[corner] / fp[-1], tp[corner] / tp[-1]
    return _columns(fpr=fpr, tpr=tpr, threshold=threshold[corner], keep=_thin(fpr, tpr, points))


def precision_recall(positive: NDArray[np.bool_], score: Floats, points: int) -> Columns:
    """Return `recall`, `precision`, `threshold` (at most `points` float64 rows each), recall rising, threshold falling.

    Inputs and errors are those of `roc`. The first point, where nothing is predicted positive, has precision 1 by
    convention (scikit-learn's too); the last, where everything is, has the share of positives. Points inside a vertical
    stretch are left out, the rest is thinned as `_thin` says.
    """
    fp, tp, threshold = sweep(positive, score)
    rising = np.diff(tp) > 0
    corner = np.concatenate([[True], rising[:-1] | rising[1:], [True]])
    fp, tp = fp[corner], tp[corner]
    recall, precision = tp / tp[-1], np.divide(tp, tp + fp, out=np.ones(len(tp)), where=tp + fp > 0)
    return _columns(
        recall=recall, precision=precision, threshold=threshold[corner], keep=_thin(recall, precision, points)
    )


def reliability(positive: NDArray[np.bool_], score: Floats, bins: int) -> Columns:
    """Return `centre`, `mean_score`, `observed` (share of positives) and `count` (int64), a row per bin in use.

    The bins divide the score of the positive class into equal widths (DeGroot & Fienberg 1983; Niculescu-Mizil
    & Caruana 2005). Raises InputError as `metrics.check` does, and for fewer than one bin.
    """
    check(positive, score)
    if bins < 1:
        raise InputError(f"bins: got {bins}, expected at least 1")
    bin_ = bin_of(score, bins)
    count = np.bincount(bin_, minlength=bins)
    used = np.flatnonzero(count)
    mean, observed = (np.bincount(bin_, weights, bins)[used] / count[used] for weights in (score, positive))
    columns = _columns(centre=(used + 0.5) / bins, mean_score=mean, observed=observed, keep=np.arange(len(used)))
    return columns | {"count": count[used]}


def confusion(positive: NDArray[np.bool_], predicted: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the (2, 2) int64 counts [actual, predicted], index 1 is positive; raises InputError if lengths differ."""
    if positive.shape != predicted.shape or positive.ndim != 1:
        raise InputError(f"positive {positive.shape} and predicted {predicted.shape}: expected one of each per row")
    return np.bincount(2 * positive + predicted, minlength=4).reshape(2, 2)


def _thin(x: Floats, y: Floats, points: int) -> NDArray[np.int64]:
    """Return rising indices (int64, at most `points`) of points that lie evenly along the curve; both ends are kept.

    Each of `points` equal steps of arc length takes the point nearest to it, so whatever is left out lies within one
    step, measured along the curve, of a point that is kept. Raises InputError for fewer than two points.
    """
    if points < 2:
        raise InputError(f"points: got {points}, expected at least 2, the two ends of the curve")
    if len(x) <= points:
        return np.arange(len(x))
    length = np.concatenate([[0.0], np.hypot(np.diff(x), np.diff(y)).cumsum()])
    targets = np.linspace(0, length[-1], points)
    after = np.clip(np.searchsorted(length, targets), 1, len(length) - 1)
    nearest = after - (targets - length[after - 1] < length[after] - targets)
    return np.unique(nearest)


def _columns(*, keep: NDArray[np.int64], **columns: Floats) -> Columns:
    return {name: column[keep].round(DECIMALS) + 0.0 for name, column in columns.items()}
