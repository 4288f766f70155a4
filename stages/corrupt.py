"""Ask a run about test images that are made worse, in each way and severity: how far do its answers outlast it?"""

import importlib
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field
from tqdm import tqdm

from whence import corruptions, metrics, models
from whence.base import arrays, settings
from whence.base.stage import run
from whence.table import rows, tables, tasks

KEPT = ("accuracy", "roc_auc")
SEVERITIES = range(1, corruptions.SEVERITIES + 1)


class Settings(settings.Section):
    """Section corrupt."""

    rows: int = Field(ge=2)
    """Most test rows that are made worse: evenly spaced, none is drawn."""
    seed: int = Field(ge=0)
    """Of the draws of noise and the like: the same for every run."""


def main(
    task: str,
    kind: str,
    classifier: str,
    labels: Path,
    images: Path,
    weights: Path,
    card: Path,
    answers: Path,
    figures: Path,
) -> None:
    """Make `images` (.npy, uint8) of `labels` (csv) worse, and ask a model of images about them.

    Writes `answers` (csv: a line for the clean rows, severity 0, and for each corruption and severity) and `figures`
    (json: the means over severities, and over all corruptions).
    """
    entry = importlib.import_module(f"whence.classifiers.{classifier}")
    estimator = importlib.import_module(f"whence.estimators.{kind}.estimator")
    section, question = settings.load("corrupt", Settings), settings.load(f"tasks.{task}", tasks.Task)
    measure = settings.load("evaluate.metrics", metrics.Settings)
    table, array = rows.read(labels), arrays.read(images)
    rows.check_aligned(table, array, images)
    model = estimator.Estimator.load(entry, weights, card)
    question.check_model(model.classes_.tolist(), card)
    test = rows.spaced(np.flatnonzero(table.split == "test"), section.rows)
    positive, x = question.target(table)[test] == question.positive, array[test]
    lines = []
    for name in tqdm(["clean", *corruptions.CORRUPTIONS], unit="corruption", disable=None):
        severities = SEVERITIES if name in corruptions.CORRUPTIONS else range(1)
        worse = [corruptions.corrupt(x, name, severity, section.seed) if severity else x for severity in severities]
        score = models.ask(model, np.concatenate(worse), np.arange(len(worse) * len(x)))[:, :, 1]
        for severity, part in zip(severities, np.split(score, len(worse), axis=1), strict=True):
            found = metrics.summarise(positive, part, measure)
            kept = {key: value for key, value in found.items() if key.removesuffix("_lo").removesuffix("_hi") in KEPT}
            lines.append({"corruption": name, "severity": severity, "n": len(x)} | kept)
    tables.write_csv(answers, {key: np.array([line[key] for line in lines]) for key in lines[0]})
    means = _means(lines)
    metrics.write(figures, {"clean": {key: lines[0][key] for key in ("n", *KEPT)}} | means)
    said = ", ".join(f"{key} {lines[0][key]:.4f} clean, {means['mean'][key]:.4f} corrupted" for key in KEPT)
    print(f"{len(x):,} test rows: {said}")


def _means(lines: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Return the mean over the severities of each corruption, and over all; `error`, that of accuracy, is 1 less it."""
    found = {}
    for name in corruptions.CORRUPTIONS:
        some = [line for line in lines if line["corruption"] == name]
        found[name] = {key: metrics.plain(np.mean([line[key] for line in some])) for key in KEPT}
    mean = {key: metrics.plain(np.mean([each[key] for each in found.values()])) for key in KEPT}
    return {"mean": mean | {"error": metrics.plain(1 - mean["accuracy"])}} | found


if __name__ == "__main__":
    run(main)
