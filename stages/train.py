"""Fit one classifier to one kind of features for one task. The valid rows choose; the test rows stay sealed."""

import importlib
import os
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from whence.base import arrays, settings
from whence.base.errors import InputError
from whence.base.stage import run
from whence.table import rows, tables, tasks


def main(
    section: str,
    kind: str,
    classifier: str,
    settings_key: str,
    labels: Path,
    features: Path,
    weights: Path,
    card: Path,
    training: Path,
    start: Annotated[Path | None, typer.Argument()] = None,
) -> None:
    """Read `labels` (csv) and `features` (.npy, N×…), row by row the same images; write the model.

    `section` says what is asked: tasks.<name> or objects.<name>; `settings_key` how, train.<name>. `training` (csv)
    gets a line per seed and epoch, as they end; a classical model has one line. `start` holds the weights of a backbone
    (.safetensors), where the network begins with them.
    """
    entry = importlib.import_module(f"whence.classifiers.{classifier}")
    estimator = importlib.import_module(f"whence.estimators.{kind}.estimator")
    wanted, asked = settings.load(f"train.{settings_key}", entry.Settings), tasks.load(section)
    table, array = rows.read(labels), arrays.read(features)
    rows.check_aligned(table, array, features)
    target, chosen = asked.target(table), asked.chosen(table)
    classes = asked.classes if isinstance(asked, tasks.Task) else np.unique(target[chosen])
    train_rows, valid_rows = (chosen & (table.split == split) for split in ("train", "valid"))
    source: Any = array if getattr(wanted, "window", None) is None else arrays.Stored(features)
    train, valid = rows.take(source, target, train_rows), rows.take(source, target, valid_rows)

    def log(history: dict[str, list[float]]) -> None:
        columns = {name: np.array(column) for name, column in history.items()}
        tables.write_csv(training, columns)

    if hasattr(entry, "begin") != (start is not None):
        found, lists = ("no weights", "transfers") if start is None else ("weights", "runs")
        raise InputError(f"{settings.PARAMS}: {classifier} got {found} to begin with; list it under {lists}")
    begun = {}
    if start is not None:
        tested = [asked.dataset] if isinstance(asked, tasks.Task) else list(settings.value("leaks"))  # objects: on all
        begun = {"start": entry.begin(start, wanted, tested)}
    model = estimator.Estimator(entry, wanted, log, f"train.{settings_key}", **begun)
    model.fit(*train, *valid, classes)
    model.save(weights, card)
    if os.environ.get("RANK", "0") == "0":  # of torchrun's processes the first alone speaks
        print(f"{classifier}: {len(train[1]):,} rows to learn from, {len(valid[1]):,} to choose by")


if __name__ == "__main__":
    run(main)
