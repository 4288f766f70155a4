"""How well scores answer a yes-or-no question, each number with its bootstrap interval.

A row matters only through its score and its class, so a set of rows is a table of counts, [class, distinct score]: the
rows themselves are one table, a bootstrap resample is another, and one function turns tables into metrics. A run of
several members, one training per seed, has a table for each: its metrics are their means, and its intervals cover
seeds and rows. Counts are whole numbers, exact in float64. No step calls BLAS: its threads would cost more than they
give when other programs run, and their number would change the last bits.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from whence.base.errors import InputError
from whence.base.files import replacing
from whence.base.settings import Section

Floats = NDArray[np.float64]

THRESHOLDED = ("accuracy", "balanced_accuracy", "precision", "recall", "f1", "mcc")
"""The metrics that see only on which side of .5 a score lies."""
NAMES = (*THRESHOLDED, "roc_auc", "average_precision", "log_loss", "brier", "ece")
THRESHOLD = 0.5
"""A row is predicted positive where its score is at least this."""
DECIMALS = 6
"""Far below any standard error here, far above the rounding that differs between machines: JSON stays byte-stable."""
BLOCK = 2**20
"""Draws held at once: about 70 MB of temporaries. Smaller blocks ask for memory more often and are slower."""


class Settings(Section):
    """How metrics are computed: the bootstrap and the bins of the calibration error."""

    resamples: int = Field(ge=0)
    """Bootstrap resamples; 0 gives no intervals."""
    confidence: float = Field(gt=0, lt=1)
    """Coverage of the intervals, .95 is usual."""
    ece_bins: int = Field(ge=1)
    """Equal-width bins of confidence, 15 is usual."""
    seed: int = Field(ge=0)
    """Seed of the resampling draws."""


class _Table(NamedTuple):
    """Rows by cell: cell c is class c // G and distinct score c % G, highest first. Arrays but `cell` are (2G,)."""

    cell: NDArray[np.int64]
    """(N,) the cell of each row, in the order of the rows."""
    cut: int
    """How many of the G distinct scores are at least .5."""
    loss: Floats
    squared: Floats
    gap: Floats
    """Correctness minus confidence: its absolute sum over a bin's rows is the bin's term of the ECE, without counts."""
    bin: NDArray[np.int64]


def summarise(positive: NDArray[np.bool_], score: Floats, settings: Settings) -> dict[str, float]:
    """Return `n`, `n_positive` and, for each of `NAMES`, its value, `<name>_lo` and `<name>_hi`.

    `positive` (N,) bool is the truth, `score` (N,) or (S, N) in [0, 1] the probability of the positive class, from one
    training or from S, the members: each value is the mean over them. A row is predicted positive where its score is at
    least .5. Definitions are scikit-learn's: precision, recall, F1 and MCC are 0 where undefined, ROC AUC counts ties
    as half, average precision sums steps over distinct scores, log loss is in nats and clips at the float64 epsilon.
    ECE is that of Guo et al. 2017 (arXiv 1706.04599), over confidence max(p, 1 - p) in equal-width bins. Raises
    InputError as `check` does, for no members, and where no resample drew both classes.

    Intervals are those of `interval`. Resamples that drew one class only have no ROC AUC and no balanced accuracy,
    those without a positive no average precision: these metrics skip them.
    """
    members = np.atleast_2d(score)
    if not len(members):
        raise InputError(f"score {score.shape}: no members, expected (N,) or (S, N) with S of at least 1")
    for s, member in enumerate(members):
        check(positive, member, "score" if len(members) == 1 else f"score of member {s}")
    # Sorted, so that the draws, and with them the intervals, do not depend on the order of the rows.
    order = np.lexsort((*-members[::-1], positive))
    tables = [_tabulate(positive[order], member[order], settings.ece_bins) for member in members]

    def measure(drawn: NDArray[np.int64]) -> Floats:
        return np.stack([_metrics(_counts(table.cell[drawn], len(table.bin)), table) for table in tables])

    values = measure(np.arange(len(positive))[np.newaxis])[:, 0].mean(axis=0)
    ends = interval(measure, len(positive), settings) if settings.resamples else None
    summary: dict[str, float] = {"n": len(positive), "n_positive": int(positive.sum())}
    for i, name in enumerate(NAMES):
        summary[name] = plain(values[i])
        if ends is not None:
            summary[f"{name}_lo"], summary[f"{name}_hi"] = plain(ends[0, i]), plain(ends[1, i])
    return summary


def check(positive: NDArray[np.bool_], score: Floats, name: str = "score") -> None:
    """Raise InputError unless there are as many booleans as scores, both classes, and every score is in [0, 1].

    `positive` and `score` are (N,); messages call the scores by `name`.
    """
    if positive.ndim != 1 or positive.shape != score.shape:
        raise InputError(f"positive {positive.shape} and {name} {score.shape}: expected one of each per row, (N,)")
    if positive.dtype != np.bool_:
        raise InputError(f"positive: got {positive.dtype}, expected booleans: labels == the positive class")
    if not len(positive):
        raise InputError("no rows: metrics need at least one row of each class; check the split that was selected")
    wrong = np.flatnonzero(~((score >= 0) & (score <= 1)))  # NaN fails both comparisons
    if len(wrong):
        row, more = wrong[0], f"({len(wrong)} such rows)"
        raise InputError(f"{name} of row {row}: got {score[row]}, expected a probability in [0, 1] {more}")
    if positive.all() or not positive.any():
        kind = "positive" if positive[0] else "negative"
        raise InputError(f"all {len(positive)} rows are {kind}: metrics need both classes; check the positive class")


def interval(measure: Callable[[NDArray[np.int64]], Floats], n: int, settings: Settings) -> Floats:
    """Return (2, M), the lower and the upper ends of the intervals of M metrics of `n` rows.

    `measure` takes B resamples, (B, n) int64 rows, and returns (S, B, M), the metrics of each of S members on them; a
    metric is NaN where it is undefined, for every member or for none. Raises InputError where no resample defines it.

    A resample draws n rows with replacement, the same for all members, and S members with replacement, and takes the
    mean over these; ends are percentiles (Efron & Tibshirani 1993, chapter 13). Rows and members drawn apart are the
    pigeonhole bootstrap of Owen 2007 (doi 10.1214/07-AOAS122); one member makes it the bootstrap over rows. S draws
    from S members understate the variance between seeds: it comes out (S - 1) / S times as large (Hesterberg 2015,
    "narrowness bias", arXiv 1411.5279), half of it for two members, nothing for one.
    """
    rng, step = np.random.default_rng(settings.seed), max(1, BLOCK // n)
    sizes = [min(step, settings.resamples - start) for start in range(0, settings.resamples, step)]
    each = np.concatenate([measure(rng.integers(n, size=(size, n))) for size in sizes], axis=1)
    # Members are drawn last: the rows drawn are the same whatever their number.
    member = rng.integers(len(each), size=(len(each), settings.resamples))
    values = each[member, np.arange(settings.resamples)].mean(axis=0)
    if np.isnan(values).all(axis=0).any():
        raise InputError(f"resamples: none of {len(values)}, {n} rows each, drew both classes; raise it or set it to 0")
    tail = (1 - settings.confidence) / 2
    ends: Floats = np.nanquantile(values, [tail, 1 - tail], axis=0)
    return ends


def resampled_auc(positive: NDArray[np.bool_], runs: Sequence[Floats], settings: Settings) -> Floats:
    """Return (resamples, R) the ROC AUC of R runs, scores (S, N) each, all on the same resampled rows; NaN as above.

    Rows and, of each run apart, members are drawn as `interval` draws them.
    """
    rng, step, n = np.random.default_rng(settings.seed), max(1, BLOCK // len(positive)), len(positive)
    tables = [[_tabulate(positive, member, settings.ece_bins) for member in run] for run in runs]
    blocks = []
    for start in range(0, settings.resamples, step):
        drawn = rng.integers(n, size=(min(step, settings.resamples - start), n))
        most = np.prod([positive[drawn].sum(axis=1), (~positive)[drawn].sum(axis=1)], axis=0, dtype=float)
        each = []
        for members in tables:
            counted = [_counts(table.cell[drawn], len(table.bin)) for table in members]
            auc = np.stack([_auc(counts, counts[:, 1].cumsum(axis=1), most) for counts in counted])
            chosen = rng.integers(len(members), size=auc.shape)
            each.append(np.take_along_axis(auc, chosen, axis=0).mean(axis=0))
        blocks.append(np.stack(each, axis=1))
    return np.concatenate([np.zeros((0, len(runs))), *blocks])


def bin_of(value: Floats, bins: int) -> NDArray[np.int64]:
    """Return (N,) int64, the bin of each value in [0, 1]: bin m is (m / bins, (m + 1) / bins], and 0 is in bin 0."""
    return np.searchsorted(np.arange(1, bins) / bins, value, side="left")


def plain(value: Any) -> float:
    """Return a number as it stands in JSON: a float rounded to `DECIMALS`, never -0.0."""
    return round(float(value), DECIMALS) + 0.0  # the sum turns -0.0 into 0.0


def _tabulate(positive: NDArray[np.bool_], score: Floats, bins: int) -> _Table:
    falling, group = np.unique(-score, return_inverse=True)
    truth, score = np.repeat([False, True], len(falling)), np.tile(-falling, 2)
    confidence = np.maximum(score, 1 - score)
    epsilon = np.finfo(np.float64).eps
    return _Table(
        cell=positive * len(falling) + group,
        cut=int(np.count_nonzero(falling <= -THRESHOLD)),
        loss=-np.log(np.clip(np.where(truth, score, 1 - score), epsilon, 1 - epsilon)),
        squared=(score - truth) ** 2,
        gap=(truth == (score >= THRESHOLD)) - confidence,
        bin=bin_of(confidence, bins),
    )


def _counts(cell: NDArray[np.int64], cells: int) -> Floats:
    """Return (B, 2, G) float64: how many of the rows of each of the B sets, (B, N), lie in each cell."""
    offset = np.arange(len(cell))[:, np.newaxis] * cells
    counts = np.bincount((cell + offset).ravel(), minlength=len(cell) * cells)
    return counts.reshape(len(cell), 2, -1).astype(np.float64)


def _metrics(counts: Floats, table: _Table) -> Floats:
    """Return (B, len(NAMES)) for the tables (B, 2, G); NaN where a metric is undefined, see `summarise`."""
    negatives, positives = counts.sum(axis=2).T
    fp, tp = counts[:, :, : table.cut].sum(axis=2).T
    fn, tn, n = positives - tp, negatives - fp, positives + negatives
    flat = counts.reshape(len(counts), -1)
    recall = _ratio(tp, positives, np.nan)
    scale = np.sqrt((tp + fp) * positives * (tn + fn) * negatives)
    columns = [
        (tp + tn) / n,
        (recall + _ratio(tn, negatives, np.nan)) / 2,
        _ratio(tp, tp + fp, 0.0),
        np.nan_to_num(recall),
        _ratio(2 * tp, 2 * tp + fp + fn, 0.0),
        _ratio(tp * tn - fp * fn, scale, 0.0),
        *_ranking(counts, positives, negatives),
        np.einsum("bc,c->b", flat, table.loss) / n,
        np.einsum("bc,c->b", flat, table.squared) / n,
        _calibration(flat, table) / n,
    ]
    return np.column_stack(columns)


def _ranking(counts: Floats, positives: Floats, negatives: Floats) -> tuple[Floats, Floats]:
    """Return ROC AUC and average precision, both (B,)."""
    negative, positive = counts[:, 0], counts[:, 1]
    above = positive.cumsum(axis=1)
    auc = _auc(counts, above, positives * negatives)
    selected = negative.cumsum(axis=1)
    selected += above
    np.maximum(selected, 1, out=selected)  # nothing drawn so far: precision 0 / 1 counts for nothing
    steps = np.einsum("bg,bg->b", positive, np.divide(above, selected, out=selected))
    return auc, _ratio(steps, positives, np.nan)


def _auc(counts: Floats, above: Floats, most: Floats) -> Floats:
    """Return ROC AUC (B,) (Mann & Whitney 1947, ties as half), of `above` (B, G), the positives down to each score.

    `most` (B,) is the number of pairs of a positive and a negative; of none, it is NaN.
    """
    negative, positive = counts[:, 0], counts[:, 1]
    pairs = np.einsum("bg,bg->b", negative, above) - np.einsum("bg,bg->b", negative, positive) / 2
    return _ratio(pairs, most, np.nan)


def _calibration(flat: Floats, table: _Table) -> Floats:
    """Return (B,), the sum over the bins of |gap|, for counts (B, 2G)."""
    # A bin is a few runs of neighbouring cells, as these are sorted by score: sum each run, then the runs of each bin.
    runs = np.flatnonzero(np.diff(table.bin, prepend=-1))
    order = np.argsort(table.bin[runs], kind="stable")
    firsts = np.flatnonzero(np.diff(table.bin[runs][order], prepend=-1))
    sums = np.add.reduceat(flat * table.gap, runs, axis=1)[:, order]
    gaps: Floats = np.abs(np.add.reduceat(sums, firsts, axis=1)).sum(axis=1)
    return gaps


def _ratio(above: Floats, below: Floats, undefined: float) -> Floats:
    return np.divide(above, below, out=np.full_like(above, undefined), where=below != 0)


def write(path: Path, content: dict[str, Any]) -> None:
    """Write metrics as JSON, whole or not at all."""
    with replacing(path) as partial:
        partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
