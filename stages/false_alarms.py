"""Ask a detector about another dataset's images, none of them positive: how many does it call so?"""

import importlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whence import arrays, jpeg, metrics, models
from whence.base import settings
from whence.base.errors import InputError
from whence.base.stage import run
from whence.table import rows, tables, tasks


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
    lines = []
    for name, paths in (("own", (labels, images)), ("other", (other_labels, other_images))):
        table, array = rows.read(paths[0]), arrays.read(paths[1])
        rows.check_aligned(table, array, paths[1])
        mine = name == "own"
        if not mine and question.positive in table.domain:
            raise InputError(f"{other_labels}: has images of {question.positive}: expected none, or no alarm is false")
        asked = (table.split == "test") & (table.domain == question.negative) if mine else table.split == "test"
        unseen = rows.clean(table) if mine else ~rows.named(table, rows.CIFAR_TRAIN)
        for coding, seen_as in _codings(quality, recode=not mine):
            score = models.ask(model, array, np.flatnonzero(asked), seen_as)[:, :, 1]
            for domain in np.unique(table.domain[asked]).tolist():
                for which, chosen in (("all", table.domain == domain), ("unseen", unseen & (table.domain == domain))):
                    part = score[:, chosen[asked]]
                    if part.size:
                        about = {"domain": domain, "coding": coding, "rows": which, "n": part.shape[1]}
                        lines.append(about | _called(part >= metrics.THRESHOLD, measure))
    tables.write_csv(answers, {key: np.array([line[key] for line in lines]) for key in lines[0]})
    metrics.write(figures, _figures(lines))
    told = "\n".join("{called:.3f} of {n:,} {domain} ({coding}, {rows})".format(**line) for line in lines)
    print(f"called {question.positive}:\n{told}")


def _codings(quality: int | None, *, recode: bool) -> list[tuple[str, Callable[[Any], Any]]]:
    """Return names of codings, and what they make of images: what the detector learnt from was JPEG, if anything."""
    stored: list[tuple[str, Callable[[Any], Any]]] = [("stored", np.asarray)]
    if quality is None or not recode:
        return stored
    return [*stored, (f"jpeg_{quality}", partial(jpeg.recode, quality=quality))]


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
