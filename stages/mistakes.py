"""How far the test rows that a run gets wrong lie from their class and another, in the space of some features."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from whence import distances as far
from whence import metrics
from whence.base import arrays, settings
from whence.base.errors import InputError
from whence.base.stage import run
from whence.table import rows, tables, tasks

FLOOR = 1e-6
"""Shorter distances count as this in a ratio, which so stays finite."""
QUANTILES = (5, 25, 50, 75, 95)
"""Of the ratio, in percent."""
NEAREST = -1
"""In place of a class: the other one whose centroid is nearest."""
Rows = NDArray[np.int64]
Columns = dict[str, NDArray[Any]]


class Settings(settings.Section):
    """Section distances."""

    neighbours: int = Field(ge=1)
    """Nearest rows of train that count, of all, and of each class."""
    right_rows: int = Field(ge=1)
    """Most right test rows that the wrong ones are held against: evenly spaced, none is drawn."""


def main(section: str, labels: Path, features: Path, scores: Path, distances: Path, figures: Path) -> None:
    """Read `features` (.npy, N×…) and a run's `scores` (csv); write `distances` (csv) and `figures` (json).

    `section` is what the run was asked, tasks.<name> or objects.<name>. A line of distances is a test row that the run
    gets wrong. Figures hold these against right rows, whose nearest other class stands where the predicted one does; of
    no rows there are no figures but n.
    """
    how, asked = settings.load("distances", Settings), tasks.load(section)
    table, array = rows.read(labels), arrays.read(features)
    rows.check_aligned(table, array, features)
    target = asked.target(table)
    names = asked.classes if isinstance(asked, tasks.Task) else np.unique(target).tolist()
    code = np.array([names.index(name) for name in target.tolist()], np.int64)
    train, test = (np.flatnonzero(table.split == split) for split in ("train", "test"))
    _check_enough(code[train], names, how.neighbours)
    said, score = _answers(scores, table, asked, names, test)
    agrees = said == code[test]
    wrong, right = test[~agrees], rows.spaced(test[agrees], how.right_rows)
    other = np.concatenate([said[~agrees], np.full(len(right), NEAREST)])
    scale, measured = _measured(array, code, train, np.concatenate([wrong, right]), other, how.neighbours)
    if not all(np.isfinite(column).all() for column in measured.values()):
        raise InputError(f"{features}: holds what is no finite number; run dvc repro to make it again")
    of_wrong = {name: column[: len(wrong)] for name, column in measured.items()}
    of_right = {name: column[len(wrong) :] for name, column in measured.items()}
    about = {
        "row": wrong,
        "path": table.path[wrong],
        "category": table.category[wrong],
        "true": target[wrong],
        "predicted": np.array(names, np.str_)[said[~agrees]],
        "score": score[~agrees].round(metrics.DECIMALS),
    }
    tables.write_csv(distances, about | _named(of_wrong))
    total = {"n": len(test), "wrong": len(wrong), "scale": metrics.plain(scale)}
    metrics.write(figures, {"all": total, "wrong": _figures(of_wrong), "right": _figures(of_right)})
    print(f"{len(wrong):,} of {len(test):,} test rows are wrong, {len(right):,} right ones are held against them")


def _check_enough(code: Rows, names: list[str], k: int) -> None:
    """Raise InputError unless k rows of train are of each class."""
    for name, count in zip(names, np.bincount(code, minlength=len(names)), strict=True):
        if count < k:
            found = f"{count} train rows of {name!r} are too few for {k} neighbours"
            raise InputError(f"{settings.PARAMS}: distances: {found}; make neighbours smaller, or train larger")


def _answers(
    path: Path, table: rows.Labels, asked: tasks.Task | tasks.Objects, names: list[str], test: Rows
) -> tuple[Rows, far.Floats]:
    """Return what the run says of the rows `test` (n,), as places in `names`, and its score; the mean over the seeds.

    Of categories it is what most of its seeds say, of equally many the first, and the score how sure they are. Raises
    InputError if the scores are of other rows.
    """
    scored = tables.read_csv(path)
    again = "run dvc repro to make it again"
    two = isinstance(asked, tasks.Task)
    wanted = {"row": test.astype(np.str_), "path": table.path[test], "actual": asked.target(table)[test]}
    try:
        here = scored["split"] == "test"
        same = [np.array_equal(scored[name][here], column) for name, column in wanted.items() if two or name != "path"]
        kind = "score_" if two else "confidence_"
        score = [column[here].astype(float) for name, column in scored.items() if name.startswith(kind)]
        said = [column[here] for name, column in scored.items() if name.startswith("predicted_")]
        places = [[names.index(name) for name in column.tolist()] for column in said]
    except (KeyError, ValueError) as error:
        raise InputError(f"{path}: not the scores of a run ({error}); {again}") from error
    if not score or not all(same):
        raise InputError(f"{path}: its test rows are not the {len(test):,} of the labels; {again}")
    mean = np.asarray(np.mean(score, axis=0))
    if two:
        return (mean >= metrics.THRESHOLD).astype(np.int64), mean
    votes = (np.array(places)[:, :, None] == np.arange(len(names))).sum(axis=0)
    return votes.argmax(axis=1), mean


def _measured(array: NDArray[Any], code: Rows, train: Rows, chosen: Rows, other: Rows, k: int) -> tuple[float, Columns]:
    """Return the unit of a space, and of `chosen` rows a column each (n,): distances in it, and who the neighbours are.

    `other` (n,) is the class that the true one is held against, or `NEAREST`. The unit is `distances.spread` of the
    rows of train; rows that are all alike have none, their distances stay.
    """
    known, x, each, count = array[train], array[chosen], np.arange(len(chosen)), int(code.max()) + 1
    true = code[chosen]
    centres = far.centroids(known, code[train], count)
    scale = far.spread(known, code[train], centres) or 1.0
    to, near = far.to_points(x, centres) / scale, far.near(x, known, code[train], count, k)
    nearest = np.where(np.arange(count) == true[:, None], np.inf, to).argmin(axis=1)
    other = np.where(other == NEAREST, nearest, other)
    return scale, {
        "to_true": to[each, true],
        "to_other": to[each, other],
        "nearest": near.mean / scale,
        "nearest_true": near.by_class[each, true] / scale,
        "nearest_other": near.by_class[each, other] / scale,
        "agree": near.share[each, true],
    }


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
