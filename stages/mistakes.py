"""How far the test rows that a run gets wrong lie from their class and the other, in the space of some features."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from whence import arrays, metrics
from whence import distances as far
from whence.base import settings
from whence.base.errors import InputError
from whence.base.stage import run
from whence.table import rows, tables, tasks

FLOOR = 1e-6
"""Shorter distances count as this in a ratio, which so stays finite."""
QUANTILES = (5, 25, 50, 75, 95)
"""Of the ratio, in percent."""
Rows = NDArray[np.int64]
Columns = dict[str, NDArray[Any]]


class Settings(settings.Section):
    """Section distances."""

    neighbours: int = Field(ge=1)
    """Nearest rows of train that count, of all, and of each class."""
    right_rows: int = Field(ge=1)
    """Most right test rows that the wrong ones are held against: evenly spaced, none is drawn."""


def main(task: str, labels: Path, features: Path, scores: Path, distances: Path, figures: Path) -> None:
    """Read `features` (.npy, N×…) and a run's `scores` (csv) on `task`; write `distances` (csv) and `figures` (json).

    A line of distances is a test row that the run gets wrong. Figures hold these against right rows, whose other class
    stands where the predicted one does; of no rows there are no figures but n.
    """
    section, question = settings.load("distances", Settings), settings.load(f"tasks.{task}", tasks.Task)
    table, array = rows.read(labels), arrays.read(features)
    rows.check_aligned(table, array, features)
    code = (question.target(table) == question.positive).astype(np.int64)
    train, test = (np.flatnonzero(table.split == split) for split in ("train", "test"))
    _check_enough(code[train], question, section.neighbours)
    score = _score(scores, table, question, test)
    agrees = (score >= metrics.THRESHOLD) == code[test]
    wrong, right = test[~agrees], rows.spaced(test[agrees], section.right_rows)
    scale, measured = _measured(array, code, train, np.concatenate([wrong, right]), section.neighbours)
    if not all(np.isfinite(column).all() for column in measured.values()):
        raise InputError(f"{features}: holds what is no finite number; run dvc repro to make it again")
    of_wrong = {name: column[: len(wrong)] for name, column in measured.items()}
    of_right = {name: column[len(wrong) :] for name, column in measured.items()}
    tables.write_csv(distances, _about(table, question, wrong, score[~agrees]) | _named(of_wrong))
    total = {"n": len(test), "wrong": len(wrong), "scale": metrics.plain(scale)}
    metrics.write(figures, {"all": total, "wrong": _figures(of_wrong), "right": _figures(of_right)})
    print(f"{len(wrong):,} of {len(test):,} test rows are wrong, {len(right):,} right ones are held against them")


def _check_enough(code: Rows, question: tasks.Task, k: int) -> None:
    """Raise InputError unless k rows of train are of each class."""
    for name, count in zip(question.classes, np.bincount(code, minlength=2), strict=True):
        if count < k:
            found = f"{count} train rows of {name!r} are too few for {k} neighbours"
            raise InputError(f"{settings.PARAMS}: distances: {found}; make neighbours smaller, or train larger")


def _score(path: Path, table: rows.Labels, question: tasks.Task, test: Rows) -> far.Floats:
    """Return the scores (n,) of the rows `test`, the mean over the seeds; raises InputError if they are of others."""
    scored = tables.read_csv(path)
    again = "run dvc repro to make it again"
    try:
        here = scored["split"] == "test"
        about = [scored[name][here] for name in ("row", "path", "actual")]
        members = [column[here].astype(float) for name, column in scored.items() if name.startswith("score_")]
    except (KeyError, ValueError) as error:
        raise InputError(f"{path}: not the scores of a run ({error}); {again}") from error
    wanted = [test.astype(np.str_), table.path[test], question.target(table)[test]]
    if not members or not all(map(np.array_equal, about, wanted)):
        raise InputError(f"{path}: its test rows are not the {len(test):,} of the labels; {again}")
    return np.asarray(np.mean(members, axis=0))


def _measured(array: NDArray[Any], code: Rows, train: Rows, chosen: Rows, k: int) -> tuple[float, Columns]:
    """Return the unit of a space, and of `chosen` rows a column each (n,): distances in it, and who the neighbours are.

    The unit is `distances.spread` of the rows of train; rows that are all alike have none, their distances stay.
    """
    known, x, each = array[train], array[chosen], np.arange(len(chosen))
    true, other = code[chosen], 1 - code[chosen]
    centres = far.centroids(known, code[train], 2)
    scale = far.spread(known, code[train], centres) or 1.0
    to, near = far.to_points(x, centres) / scale, far.near(x, known, code[train], 2, k)
    return scale, {
        "to_true": to[each, true],
        "to_other": to[each, other],
        "nearest": near.mean / scale,
        "nearest_true": near.by_class[each, true] / scale,
        "nearest_other": near.by_class[each, other] / scale,
        "agree": near.share[each, true],
    }


def _about(table: rows.Labels, question: tasks.Task, wrong: Rows, score: far.Floats) -> Columns:
    """Return what is known of the wrong rows (n,), a column each."""
    true = question.target(table)[wrong]
    predicted = np.where(true == question.positive, question.negative, question.positive)
    named = {"row": wrong, "path": table.path[wrong], "category": table.category[wrong]}
    return named | {"true": true, "predicted": predicted, "score": score.round(metrics.DECIMALS)}


def _named(measured: Columns) -> Columns:
    """Return the columns as they stand in the table of wrong rows, where the other class is the predicted one."""
    return {name.replace("other", "predicted"): c.round(metrics.DECIMALS) for name, c in measured.items()}


def _figures(measured: Columns) -> dict[str, float]:
    """Return n and, of n > 0 rows, means, medians, the share nearer to the other class, and quantiles of the ratio.

    The ratio is log2 of the distance to the true centroid over that to the other: above 0, the other is nearer.
    """
    count = len(measured["agree"])
    if not count:
        return {"n": 0}
    true, other = measured["to_true"], measured["to_other"]
    found: dict[str, float] = {"n": count, "nearer_other": metrics.plain((other < true).mean())}
    for name, column in measured.items():
        found[f"{name}_mean"] = metrics.plain(column.mean())
        if name != "agree":
            found[f"{name}_median"] = metrics.plain(np.median(column))
    ratio = np.log2(np.maximum(true, FLOOR) / np.maximum(other, FLOOR))
    for percent, value in zip(QUANTILES, np.percentile(ratio, QUANTILES), strict=True):
        found[f"log2_ratio_q{percent:02}"] = metrics.plain(value)
    return found


if __name__ == "__main__":
    run(main)
