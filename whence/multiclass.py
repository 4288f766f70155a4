"""How well probabilities answer a question of K classes, each number with its bootstrap interval.

A resample is a weight per row, how often it was drawn, the same for every member of a run. Weights, summed by actual
and predicted class, are a confusion table, exact in float64, and most metrics need no more. No step calls BLAS: see
`whence.metrics`, which also draws the resamples and says what the intervals cover.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from whence.base.errors import InputError
from whence.metrics import Floats, Settings, bin_of, interval, plain

NAMES = ("accuracy", "balanced_accuracy", "macro_f1", "weighted_f1", "mcc", "log_loss", "ece")
PER_CLASS = ("f1", "precision", "recall")
"""Metrics of each class, as `<metric>_<class>`."""
WITHOUT_INTERVAL = ("precision", "recall")
TOLERANCE = 1e-4
"""How far from 1 a row's probabilities may sum: a softmax in float32 stays far within it, one in half precision not."""


class _Member(NamedTuple):
    """What counts of each row, (N,) each, as one member answered it."""

    cell: NDArray[np.int64]
    """Actual class * K + predicted class."""
    bin: NDArray[np.int64]
    gap: Floats
    """Correctness minus confidence: its absolute sum over a bin's rows is the bin's term of the ECE, without counts."""
    loss: Floats


def summarise(actual: NDArray[np.int64], proba: Floats, names: Sequence[str], settings: Settings) -> dict[str, float]:
    """Return `n`; each of `NAMES` and `f1_<class>`, with `_lo` and `_hi`; `precision_<class>` and `recall_<class>`.

    `actual` (N,) int64 are codes of the K classes `names`, `proba` (S, N, K) the probabilities that each of S members,
    trainings of one model, gives each class: a value is the mean over the members. Predicted is the most probable
    class, the first on ties. Definitions are scikit-learn's: what is undefined is 0; balanced accuracy means over the
    classes in `actual`, macro F1 over all K, so that a class which is neither actual nor predicted counts as 0; MCC is
    that of Gorodkin 2004 (doi 10.1016/j.compbiolchem.2004.09.006); log loss is in nats and clips at the float64
    epsilon. ECE is that of Guo et al. 2017 (arXiv 1706.04599), over the predicted class's probability in equal-width
    bins. All hold for resamples too: a rare class that one misses counts as 0 in its macro F1, which widens that
    interval downwards.

    Intervals are those of `metrics.interval`. Raises InputError for shapes or codes that do not fit, no rows, names
    that make equal keys, and probabilities outside [0, 1] or that sum to 1 with an error above 1e-4.
    """
    check(actual, proba, len(names))
    keys = [*NAMES, *(f"{metric}_{name}" for name in names for metric in PER_CLASS)]
    ranged = [not key.startswith(WITHOUT_INTERVAL) for key in keys]
    # Sorted, so that the draws, and with them the intervals, do not depend on the order of the rows.
    order = np.lexsort((*proba.transpose(0, 2, 1).reshape(-1, len(actual)), actual))
    members = [_member(actual[order], answers[order], settings.ece_bins) for answers in proba]

    def measure(drawn: NDArray[np.int64]) -> Floats:
        weights = _weights(drawn)
        return np.stack([_metrics(weights, member, len(names), settings.ece_bins) for member in members])

    values = measure(np.arange(len(actual))[np.newaxis])[:, 0].mean(axis=0)
    ends = interval(measure, len(actual), settings) if settings.resamples else None
    pairs: list[tuple[str, float]] = [("n", len(actual))]
    for i, key in enumerate(keys):
        pairs.append((key, plain(values[i])))
        if ends is not None and ranged[i]:
            pairs += [(f"{key}_lo", plain(ends[0, i])), (f"{key}_hi", plain(ends[1, i]))]
    summary = dict(pairs)
    if len(summary) < len(pairs):
        raise InputError(f"names {list(names)}: two of the metrics' keys are equal; give each class a name of its own")
    return summary


def check(actual: NDArray[np.int64], proba: Floats, classes: int) -> None:
    """Raise InputError unless (N,) codes and (S, N, K) probabilities fit together and are what `summarise` expects."""
    if actual.ndim != 1 or proba.ndim != 3 or proba.shape[1:] != (len(actual), classes) or not len(proba):
        shapes = f"actual {actual.shape}, proba {proba.shape} and {classes} names"
        raise InputError(f"{shapes}: expected (N,), (members, N, classes) with a member at least, and a name per class")
    if not len(actual):
        raise InputError("no rows: metrics need at least one; check the split that was selected")
    _check_codes("actual", actual, classes)
    wrong = np.argwhere(~((proba >= 0) & (proba <= 1)))  # NaN fails both comparisons
    if len(wrong):
        s, row, k = wrong[0]
        where = f"probability of class {k}, row {row}, member {s}"
        raise InputError(f"{where}: got {proba[s, row, k]}, expected one in [0, 1] ({len(wrong)} such)")
    total = proba.sum(axis=2)
    wrong = np.argwhere(abs(total - 1) > TOLERANCE)
    if len(wrong):
        s, row = wrong[0]
        where = f"probabilities of row {row}, member {s}"
        raise InputError(f"{where}: sum to {total[s, row]}, expected 1 within {TOLERANCE} ({len(wrong)} such rows)")


def confusion(actual: NDArray[np.int64], predicted: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """Return the (K, K) int64 counts [actual, predicted] of (N,) codes; raises InputError where they do not fit."""
    if actual.shape != predicted.shape or actual.ndim != 1:
        raise InputError(f"actual {actual.shape} and predicted {predicted.shape}: expected one of each per row, (N,)")
    _check_codes("actual", actual, classes)
    _check_codes("predicted", predicted, classes)
    return np.bincount(actual * classes + predicted, minlength=classes**2).reshape(classes, classes)


def _check_codes(name: str, codes: NDArray[np.int64], classes: int) -> None:
    if codes.dtype != np.int64:
        raise InputError(f"{name}: got {codes.dtype}, expected int64 codes of the classes")
    wrong = np.flatnonzero((codes < 0) | (codes >= classes))
    if len(wrong):
        raise InputError(f"{name}: row {wrong[0]} has class {codes[wrong[0]]}, expected 0 to {classes - 1}")


def _member(actual: NDArray[np.int64], proba: Floats, bins: int) -> _Member:
    predicted = proba.argmax(axis=1)
    confidence, given = (np.take_along_axis(proba, k[:, np.newaxis], axis=1)[:, 0] for k in (predicted, actual))
    epsilon = np.finfo(np.float64).eps
    return _Member(
        cell=actual * proba.shape[1] + predicted,
        bin=bin_of(confidence, bins),
        gap=(predicted == actual) - confidence,
        loss=-np.log(np.clip(given, epsilon, 1 - epsilon)),
    )


def _weights(drawn: NDArray[np.int64]) -> Floats:
    """Return (B, N) float64: how often each of the N rows was drawn in each of the B resamples, (B, N)."""
    b, n = drawn.shape
    offset = np.arange(b)[:, np.newaxis] * n
    return np.bincount((drawn + offset).ravel(), minlength=b * n).reshape(b, n).astype(np.float64)


def _metrics(weights: Floats, member: _Member, classes: int, bins: int) -> Floats:
    """Return (B, M), the metrics in the order of `summarise`, for the weights (B, N) of the rows."""
    b, n = weights.shape
    table = _sums(weights, member.cell, classes**2).reshape(b, classes, classes)
    hits, actual, predicted = np.einsum("bkk->bk", table), table.sum(axis=2), table.sum(axis=1)
    recall, precision, f1 = _ratio(hits, actual), _ratio(hits, predicted), _ratio(2 * hits, actual + predicted)
    # Gorodkin's correlation: of the indicators of the classes, summed over them, and with n**2 in front of everything.
    together = n * hits.sum(axis=1) - (actual * predicted).sum(axis=1)
    scale = np.sqrt((n**2 - (actual**2).sum(axis=1)) * (n**2 - (predicted**2).sum(axis=1)))
    columns = [
        hits.sum(axis=1) / n,
        recall.sum(axis=1) / np.count_nonzero(actual, axis=1),
        f1.mean(axis=1),
        (f1 * actual).sum(axis=1) / n,
        _ratio(together, scale),
        np.einsum("bn,n->b", weights, member.loss) / n,
        abs(_sums(weights * member.gap, member.bin, bins)).sum(axis=1) / n,
    ]
    return np.concatenate([np.stack(columns, axis=1), np.stack([f1, precision, recall], axis=2).reshape(b, -1)], axis=1)


def _sums(values: Floats, group: NDArray[np.int64], groups: int) -> Floats:
    """Return (B, groups) float64, the sums of the values (B, N) by the group (N,) of their column."""
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    sums = np.zeros((len(values), groups))
    sums[:, group[order][starts]] = np.add.reduceat(np.take(values, order, axis=1), starts, axis=1)
    return sums


def _ratio(above: Floats, below: Floats) -> Floats:
    return np.divide(above, below, out=np.zeros_like(above), where=below != 0)
