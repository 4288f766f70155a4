"""Open the test split: scores per row, metrics with intervals, and the points of the curves."""

import importlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from whence import calibration, curves, metrics, models
from whence.base import arrays, settings
from whence.base.stage import run
from whence.table import rows, tables
from whence.table.tasks import Task

HEADLINE = ("roc_auc", "roc_auc_lo", "roc_auc_hi", "balanced_accuracy", "mcc")
COOLED = ("log_loss", "brier", "ece")
"""The metrics that a temperature changes; it leaves the order of scores, and the side of .5, as they are."""
Answers = tuple[NDArray[np.bool_], NDArray[np.float64]]


class Settings(settings.Section):
    """Section evaluate."""

    metrics: metrics.Settings
    false_alarm: float = Field(ge=0, lt=1)
    """False positive rate that a second threshold, chosen on valid, stays within."""
    curve_points: int = Field(ge=2)


class Scored(NamedTuple):
    """The rows that were scored, valid and test: a column each, (n,), and a score for each member of the model."""

    row: NDArray[np.int64]
    split: tables.Strings
    clean: NDArray[np.bool_]
    positive: NDArray[np.bool_]
    score: NDArray[np.float64]
    """(members, n): the probability of the positive class."""

    def where(self, mask: NDArray[np.bool_]) -> Answers:
        """Return truth and scores of the rows under a mask."""
        return self.positive[mask], self.score[:, mask]


def main(
    task: str,
    kind: str,
    classifier: str,
    labels: Path,
    features: Path,
    weights: Path,
    card: Path,
    scores: Path,
    headline: Path,
    full: Path,
    roc: Path,
    precision_recall: Path,
    reliability: Path,
    confusion: Path,
    calibrated: Path,
) -> None:
    """Score the valid and test rows with a model of `classifier`; write scores and curves (csv), metrics (json).

    `calibrated` (json) holds the temperature that each member has from valid, for those who ask about other images.
    """
    entry = importlib.import_module(f"whence.classifiers.{classifier}")
    estimator = importlib.import_module(f"whence.estimators.{kind}.estimator")
    section, question = settings.load("evaluate", Settings), settings.load(f"tasks.{task}", Task)
    table, array = rows.read(labels), arrays.read(features)
    rows.check_aligned(table, array, features)
    opened = np.flatnonzero(np.isin(table.split, ["valid", "test"]))
    model = estimator.Estimator.load(entry, weights, card)
    question.check_model(model.classes_.tolist(), card)
    score = models.ask(model, array, opened)[:, :, 1]
    clean, positive = rows.clean(table), question.target(table) == question.positive
    scored = Scored(opened, table.split[opened], clean[opened], positive[opened], score)
    valid = scored.where(scored.split == "valid")
    by = [calibration.temperature(valid[0], score) for score in valid[1]]
    _write_metrics(scored, by, section, headline, full)
    calibration.write(calibrated, by)
    _write_scores(scored, table.path[opened], question, scores)
    truth, score = scored.where(scored.split == "test")
    pooled = np.tile(truth, len(score)), score.ravel()  # curves take the rows of all members together
    for path, columns in (
        (roc, curves.roc(*pooled, section.curve_points)),
        (precision_recall, curves.precision_recall(*pooled, section.curve_points)),
        (reliability, curves.reliability(*pooled, section.metrics.ece_bins)),
        (confusion, _confusion(*pooled, question)),
    ):
        tables.write_csv(path, columns)


def _write_metrics(scored: Scored, by: list[float], section: Settings, headline: Path, full: Path) -> None:
    """Write metrics of valid, official and clean test rows, means over the members; `together` is what they say as one.

    The members as one, the mean of their scores, are what answers about other images.
    """
    test = scored.split == "test"
    masks = {"valid": ~test, "official": test, "clean": scored.clean}
    everything = {name: metrics.summarise(*scored.where(mask), section.metrics) for name, mask in masks.items()}
    if len(scored.score) > 1:
        truth, score = scored.where(test)
        everything["together"] = metrics.summarise(truth, score.mean(axis=0), section.metrics)
    official = everything["official"]
    short = {name: official[name] for name in HEADLINE if name in official}
    short["clean_roc_auc"] = everything["clean"]["roc_auc"]
    metrics.write(headline, short)
    metrics.write(full, everything | _calibrated(scored.where(~test), scored.where(test), by, section))
    print(f"{official['n']:,} test rows: " + ", ".join(f"{name} {value:.4f}" for name, value in short.items()))


def _calibrated(valid: Answers, test: Answers, by: list[float], section: Settings) -> dict[str, dict[str, float]]:
    """Return what temperatures and thresholds that each member has from valid do on test, the mean over the members."""
    cool = np.stack([calibration.cooled(score, one) for score, one in zip(test[1], by, strict=True)])
    summary = metrics.summarise(test[0], cool, section.metrics)
    kept = {name: value for name, value in summary.items() if name.startswith(COOLED)}
    found = {"calibrated": {"temperature": metrics.plain(np.mean(by))} | kept}
    for name, chosen in (
        ("youden", [calibration.youden(valid[0], score) for score in valid[1]]),
        ("false_alarm", [calibration.at_most(valid[0], score, section.false_alarm) for score in valid[1]]),
    ):
        does = [calibration.operating(test[0], *each) for each in zip(test[1], chosen, strict=True)]
        means = {key: metrics.plain(np.mean([each[key] for each in does])) for key in does[0]}
        found[name] = {"threshold": metrics.plain(np.mean(chosen))} | means
    return found


def _write_scores(scored: Scored, path: tables.Strings, question: Task, target: Path) -> None:
    columns = {
        "row": scored.row,
        "path": path,
        "split": scored.split,
        "clean": scored.clean,
        "actual": np.array(question.classes)[scored.positive.astype(int)],
    }
    members = {f"score_{k}": score.round(metrics.DECIMALS) for k, score in enumerate(scored.score)}
    tables.write_csv(target, columns | members)


def _confusion(positive: NDArray[np.bool_], score: NDArray[np.float64], question: Task) -> curves.Columns:
    classes = np.array(question.classes)
    counts = curves.confusion(positive, score >= metrics.THRESHOLD)
    return {"actual": classes.repeat(2), "predicted": np.tile(classes, 2), "count": counts.ravel()}


if __name__ == "__main__":
    run(main)
