"""Ask a detector about another dataset's images, none of them positive: how many does it call so?"""

import importlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whence import jpeg, metrics, models
from whence.base import arrays, settings
from whence.base.errors import InputError
from whence.base.stage import run
from whence.table import rows, tables, tasks

Coding = tuple[str, Callable[[Any], Any]]


def main(
    task: str,
    kind: str,
    classifier: str,
    labels: Path,
    images: Path,
    other_labels: Path,
    other_images: Path,
    weights: Path,
    card: Path,
    answers: Path,
    figures: Path,
) -> None:
    """Score the negative test rows of the task's dataset, and all test rows of another, as stored and through JPEG.

    Writes `answers` (csv: a line per domain, coding, and all or unseen rows; `called` is the share with a score of .5
    or more) and `figures` (json, the same). Unseen are rows of which CIFAR-10's training set is no part.
    """
    entry = importlib.import_module(f"whence.classifiers.{classifier}")
    estimator = importlib.import_module(f"whence.estimators.{kind}.estimator")
    question, measure = settings.load(f"tasks.{task}", tasks.Task), settings.load("evaluate.metrics", metrics.Settings)
    quality = settings.value("cross.jpeg_quality").get(question.dataset)
    model = estimator.Estimator.load(entry, weights, card)
    question.check_model(model.classes_.tolist(), card)
    (own, own_array), (other, other_array) = (
        _read(*paths) for paths in ((labels, images), (other_labels, other_images))
    )
    if question.positive in other.domain:
        raise InputError(f"{other_labels}: has images of {question.positive}: expected none, or no alarm is false")
    ours, codings = own.domain == question.negative, _codings(quality)
    lines = _lines(model, own, own_array, ours, rows.clean(own), codings[:1], measure)
    unseen = ~rows.named(other, rows.CIFAR_TRAIN)
    lines += _lines(model, other, other_array, np.ones_like(unseen), unseen, codings, measure)
    tables.write_csv(answers, {key: np.array([line[key] for line in lines]) for key in lines[0]})
    metrics.write(figures, _figures(lines))
    told = "\n".join("{called:.3f} of {n:,} {domain} ({coding}, {rows})".format(**line) for line in lines)
    print(f"called {question.positive}:\n{told}")


def _read(labels: Path, images: Path) -> tuple[rows.Labels, NDArray[Any]]:
    table, array = rows.read(labels), arrays.read(images)
    rows.check_aligned(table, array, images)
    return table, array


def _codings(quality: int | None) -> list[Coding]:
    """Return names of codings, and what they make of images: what the detector learnt from was JPEG, if anything."""
    stored: list[Coding] = [("stored", np.asarray)]
    return stored if quality is None else [*stored, (f"jpeg_{quality}", partial(jpeg.recode, quality=quality))]


def _lines(
    model: models.Model,
    table: rows.Labels,
    array: NDArray[Any],
    asked: NDArray[np.bool_],
    unseen: NDArray[np.bool_],
    codings: list[Coding],
    measure: metrics.Settings,
) -> list[dict[str, Any]]:
    """Return a line for each coding, domain, and all or unseen of the test rows that are asked; a mask each, (N,)."""
    row, lines = np.flatnonzero(asked & (table.split == "test")), []
    domain = table.domain[row]
    for coding, seen_as in codings:
        called = models.ask(model, array, row, seen_as)[:, :, 1] >= metrics.THRESHOLD
        for name in np.unique(domain).tolist():
            for which, chosen in (("all", domain == name), ("unseen", unseen[row] & (domain == name))):
                if chosen.any():
                    about = {"domain": name, "coding": coding, "rows": which, "n": int(chosen.sum())}
                    lines.append(about | _called(called[:, chosen], measure))
    return lines


def _called(called: NDArray[np.bool_], measure: metrics.Settings) -> dict[str, float]:
    """Return the share (members, n) that is called positive, the mean over members, and its interval."""
    found = {"called": metrics.plain(called.mean())}
    if measure.resamples:
        ends = metrics.interval(lambda drawn: called[:, drawn].mean(axis=2)[:, :, None], called.shape[1], measure)
        found |= {f"called_{name}": metrics.plain(end) for name, end in zip(("lo", "hi"), ends[:, 0], strict=True)}
    return found


def _figures(lines: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    figures: dict[str, dict[str, float]] = {}
    for line in lines:
        figures.setdefault(f"{line['domain']}_{line['coding']}", {})[line["rows"]] = line["called"]
    return figures


if __name__ == "__main__":
    run(main)
