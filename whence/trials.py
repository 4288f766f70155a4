"""One trial of a search: a network learns from train with a trial's settings, and valid judges it."""

import importlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import optuna

from whence import search
from whence.base import arrays, settings
from whence.base.errors import InputError
from whence.estimators.network.estimator import Estimator
from whence.table import rows, tasks


class Question(NamedTuple):
    """What every trial answers, in every process."""

    task: str
    classifier: str
    settings_key: str
    labels: Path
    features: Path


class Learner:
    """Trains a network with a trial's settings and returns its loss on valid."""

    def __init__(self, question: Question, section: search.Settings) -> None:
        """Read the train and valid rows."""
        self.section, self.where = section, f"{settings.PARAMS}: train.{question.settings_key}"
        self.entry = importlib.import_module(f"whence.classifiers.{question.classifier}")
        self.content = settings.value(f"train.{question.settings_key}")
        self.task = settings.load(f"tasks.{question.task}", tasks.Task)
        table, array = rows.read(question.labels), arrays.read(question.features)
        rows.check_aligned(table, array, question.features)
        target = self.task.target(table)
        self.splits = [rows.take(array, target, table.split == split) for split in ("train", "valid")]

    def begin(self, name: str) -> dict[str, search.Value]:
        """Return the settings as they stand; raises InputError unless every setting of the space exists and fits."""
        start = {}
        for path, values in self.section.space.items():
            try:
                start[path] = search.present(self.content, path)
            except KeyError as error:
                raise InputError(
                    f"tune.{name}.space.{path}: train has no such setting; name one that it has"
                ) from error
            for value in values.ends:
                where = f"tune.{name}.space.{path}: {value!r}"
                settings.check(search.changed(self.content, {path: value}), self.entry.Settings, where)
        return {path: value for path, value in start.items() if self.section.space[path].holds(value)}

    def __call__(self, trial: optuna.Trial) -> float:
        """Return the loss on valid, in nats, of the epoch that a training keeps, the mean over seeds."""
        values = {path: space.suggest(trial, path) for path, space in self.section.space.items()}
        wanted = settings.check(search.changed(self.content, values), self.entry.Settings, self.where)

        def log(history: dict[str, list[float]]) -> None:
            losses = history["valid_loss"]
            if not losses:
                return
            trial.report(losses[-1], len(losses))
            if trial.should_prune():
                raise optuna.TrialPruned

        model = Estimator(self.entry, wanted, log)
        (x, y), (x_valid, y_valid) = self.splits
        try:
            model.fit(x, y, x_valid, y_valid, self.task.classes)
        except InputError as error:
            if "diverged" not in str(error):
                raise
            raise optuna.TrialPruned from error
        finally:
            for checkpoint in model.checkpoints:
                checkpoint.unlink(missing_ok=True)
        history = {name: np.array(column) for name, column in model.history_.items()}
        kept = [
            (history["seed"] == seed) & (history["epoch"] == epoch)
            for seed, epoch in zip(wanted.seeds, model.best_epoch, strict=True)
        ]
        trial.set_user_attr("accuracy", float(np.mean([history["valid_accuracy"][row][0] for row in kept])))
        trial.set_user_attr("epochs", int(np.mean(model.best_epoch)))
        return float(np.mean([history["valid_loss"][row][0] for row in kept]))
