"""Do two runs differ, on the same test rows? Three answers for each pair of them, corrected for asking so often.

A run has a score for each row from each of its members, one training per seed; its ROC AUC and its accuracy are the
means over them. DeLong's and McNemar's tests are about these trainings on other rows; the bootstrap is about other rows
and other trainings.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whence import metrics

Floats = NDArray[np.float64]
Truth = NDArray[np.bool_]


def pairs(positive: Truth, runs: Mapping[str, Floats], settings: metrics.Settings) -> dict[str, NDArray[Any]]:
    """Return a column each, (P,), of all pairs of runs in their order, which may be none.

    `positive` (N,) is the truth, of both classes; `runs` have scores (S, N) in [0, 1]. Columns: `first`, `second`; of
    the first less the second `auc` and its paired bootstrap interval `auc_lo`, `auc_hi`, `accuracy`; the p-values
    `delong` and `mcnemar`, and the same after Holm's correction over the pairs, `delong_holm` and `mcnemar_holm`.
    """
    names = list(itertools.combinations(runs, 2))
    first, second = ([pair[k] for pair in names] for k in (0, 1))
    parts = {name: delong_components(positive, score) for name, score in runs.items()}
    right = {name: ((score >= metrics.THRESHOLD) == positive).astype(float) for name, score in runs.items()}
    auc = {name: float(part[0].mean()) for name, part in parts.items()}
    accuracy = {name: float(each.mean()) for name, each in right.items()}
    drawn = metrics.resampled_auc(positive, list(runs.values()), settings)
    place = {name: k for k, name in enumerate(runs)}
    gap = drawn[:, [place[name] for name in first]] - drawn[:, [place[name] for name in second]]
    tail = (1 - settings.confidence) / 2
    ends = np.nanquantile(gap, [tail, 1 - tail], axis=0) if gap.size else np.full((2, len(names)), np.nan)
    found: dict[str, Any] = {
        "auc": [auc[a] - auc[b] for a, b in names],
        "auc_lo": ends[0],
        "auc_hi": ends[1],
        "accuracy": [accuracy[a] - accuracy[b] for a, b in names],
        "delong": [delong(parts[a], parts[b]) for a, b in names],
        "mcnemar": [mcnemar(right[a], right[b]) for a, b in names],
    }
    found |= {f"{name}_holm": holm(np.array(found[name])) for name in ("delong", "mcnemar")}
    columns = {name: np.asarray(values, float).round(metrics.DECIMALS) + 0.0 for name, values in found.items()}
    return {"first": np.array(first, np.str_), "second": np.array(second, np.str_)} | columns


def delong_components(positive: Truth, score: Floats) -> tuple[Floats, Floats]:
    """Return the structural components of a run's ROC AUC, of the positives (m,) and of the negatives (n,).

    Each is the share of rows of the other class that a row stands on the right side of, ties as half: by midranks
    (Sun & Xu 2014, doi 10.1109/LSP.2014.2337313), and the mean over the members of `score` (S, N).
    """
    above, below = [], []
    for member in score:
        x, y = member[positive], member[~positive]
        together = _midrank(np.concatenate([x, y]))
        above.append((together[: len(x)] - _midrank(x)) / len(y))
        below.append(1 - (together[len(x) :] - _midrank(y)) / len(x))
    return np.mean(above, axis=0), np.mean(below, axis=0)


def delong(first: tuple[Floats, Floats], second: tuple[Floats, Floats]) -> float:
    """Return the two-sided p-value of equal ROC AUC, of the components of two runs (DeLong et al. 1988)."""
    gaps = [a - b for a, b in zip(first, second, strict=True)]
    variance = sum(float(gap.var(ddof=1)) / len(gap) if len(gap) > 1 else math.nan for gap in gaps)
    return _normal(float(gaps[0].mean()), variance)


def mcnemar(first: Floats, second: Floats) -> float:
    """Return the two-sided p-value of equal accuracy, of (S, N), 1 where a member of a run is right and 0 elsewhere.

    Of one member each it is the exact test (McNemar 1947): a binomial of the rows about which just one is right. Of
    several, where a row may be half right, its normal form, the sum of the differences over their root sum of squares.
    """
    gap = first.mean(axis=0) - second.mean(axis=0)
    if len(first) == len(second) == 1:
        better, worse = int((gap > 0).sum()), int((gap < 0).sum())
        count, few = better + worse, min(better, worse)
        return min(1.0, sum(math.comb(count, k) for k in range(few + 1)) / 2 ** (count - 1)) if count else 1.0
    return _normal(float(gap.sum()), float((gap**2).sum()))


def holm(p: Floats) -> Floats:
    """Return p-values (P,) after Holm's step-down correction (1979): how wrong one may be with any of them."""
    order = np.argsort(p, kind="stable")
    corrected = np.empty(len(p))
    corrected[order] = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)).clip(max=1)
    return corrected


def groups(order: Sequence[str], columns: Mapping[str, NDArray[Any]], alpha: float) -> list[int]:
    """Return a group for each run, from 1 on: those from which the best run without one does not differ join it.

    `order` has the best run first, `columns` are those of `pairs`; two runs differ where `delong_holm` is below alpha.
    """
    p = {
        frozenset(names): value
        for *names, value in zip(columns["first"], columns["second"], columns["delong_holm"], strict=True)
    }
    found: dict[str, int] = {}
    for run in order:
        if run not in found:
            number = len(set(found.values())) + 1
            found |= {
                other: number
                for other in order
                if other == run or (other not in found and p[frozenset((run, other))] >= alpha)
            }
    return [found[run] for run in order]


def _midrank(value: Floats) -> Floats:
    """Return (N,), the rank of each value from 1, those of equal ones their mean."""
    _, group, count = np.unique(value, return_inverse=True, return_counts=True)
    return np.asarray((count.cumsum() - (count - 1) / 2)[group])


def _normal(gap: float, variance: float) -> float:
    """Return the two-sided p-value of a difference with this variance; without any, one that is 0 is no difference."""
    if not variance > 0:
        return 1.0 if gap == 0 or math.isnan(variance) else 0.0
    return math.erfc(abs(gap) / math.sqrt(2 * variance))
