"""scikit-learn's contract for the classifiers that learn arrays from features: `fit` learns, NumPy alone applies."""

import math
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from whence import models
from whence.base.errors import InputError
from whence.base.settings import PARAMS, Section, check
from whence.table.rows import Rows


class Estimator(models.Model):
    """One classifier of two classes: `fit`, `classes_`, `predict_proba`, `predict`, `save` and `load`."""

    def __init__(
        self,
        entry: ModuleType,
        settings: Section,
        log: Callable[[models.History], None] | None = None,
        section: str | None = None,
    ) -> None:
        """Take the module and its settings; messages name `section`, train.<classifier> if none is given."""
        self.entry, self.settings, self.log = entry, settings, log or (lambda _: None)
        self.name = entry.__name__.rpartition(".")[2]
        self.section = f"{PARAMS}: {section or f'train.{self.name}'}"
        self.best_epoch = [0]

    def fit(
        self, x: NDArray[Any], y: NDArray[Any], x_valid: NDArray[Any], y_valid: NDArray[Any], classes: Any = None
    ) -> Self:
        """Learn from x (n, …), features or images, and y (n,); `classes` gives their order, else they are sorted.

        Raises InputError unless both splits hold both of two classes.
        """
        self.classes_ = np.unique(y) if classes is None else np.asarray(classes)
        self._check(y, y_valid)
        self.shape = list(x.shape[1:])
        train, valid = (Rows(self._flat(a), b == self.classes_[1]) for a, b in ((x, y), (x_valid, y_valid)))
        self.learnt: models.Learnt = self.entry.fit(train, valid, self.settings)
        figures = [figure for rows in (train, valid) for figure in self._figures(rows)]
        self.history_ = {name: [value] for name, value in zip(models.COLUMNS, (0, 0, 0.0, *figures), strict=True)}
        self.log(self.history_)
        return self

    def _check(self, y: NDArray[Any], y_valid: NDArray[Any]) -> None:
        count = len(self.classes_)
        if count != 2:
            raise InputError(f"{self.section}: tells two classes apart, not {count}; take a network for this task")
        for split, labels in (("train", y), ("valid", y_valid)):
            found = np.unique(labels)
            if not np.array_equal(found, np.sort(self.classes_)):
                raise InputError(
                    f"{self.section}: {split} rows are of {', '.join(map(str, found[:9])) or 'no class'}, "
                    f"expected both of {', '.join(map(str, self.classes_))}"
                )

    def _flat(self, x: NDArray[Any]) -> NDArray[Any]:
        """Return x (n, d)."""
        if list(x.shape[1:]) != self.shape:
            raise InputError(f"{self.name}: learns from rows of {self.shape}, got {list(x.shape[1:])}")
        return x.reshape(len(x), math.prod(self.shape))

    def _figures(self, rows: Rows) -> tuple[float, float]:
        score = self.entry.score(self.learnt, rows.x)
        likely = np.clip(np.where(rows.y, score, 1 - score), np.finfo(float).eps, 1)
        return float(-np.log(likely).mean()), float(((score >= 0.5) == rows.y).mean())

    def member_proba(self, x: NDArray[Any]) -> NDArray[np.float64]:
        """Return (1, n, 2), as networks of several seeds return one table for each."""
        score = self.entry.score(self.learnt, self._flat(x))
        return np.stack([1 - score, score], axis=1)[np.newaxis]

    def save(self, weights: Path, card: Path) -> None:
        """Write arrays and card."""
        about = models.Card(
            classifier=self.name,
            classes=self.classes_.tolist(),
            shape=self.shape,
            settings=self.settings.model_dump(),
            preprocessing={},
            parameters=self._parameters(),
            best_epoch=self.best_epoch,
        )
        models.save(self.learnt, about, weights, card)

    @classmethod
    def load(cls, entry: ModuleType, weights: Path, card: Path) -> Self:
        """Return what `save` wrote; raises InputError if the files are no model of `entry`."""
        learnt, about = models.load(weights, card, entry.__name__.rpartition(".")[2])
        try:
            self = cls(entry, check(about.settings, entry.Settings, "settings"))
            self.learnt, self.classes_, self.shape = learnt, np.asarray(about.classes), about.shape
            self._try(about.parameters)
        except KeyError as error:
            raise InputError(f"{weights}: holds no array {error}; {models.AGAIN}") from error
        except (ArithmeticError, IndexError, RecursionError, TypeError, ValueError, Warning) as error:
            raise InputError(f"{weights}: does not fit {card} ({error}); {models.AGAIN}") from error
        return self

    def _try(self, parameters: int) -> None:
        """Raise one of several errors unless what was learnt gives a row of zeros its probability."""
        if len(self.classes_) != 2:
            raise ValueError(f"{len(self.classes_)} classes, expected two")
        if self._parameters() != parameters:
            raise ValueError(f"{self._parameters()} parameters, expected {parameters}")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            score = self.entry.score(self.learnt, np.zeros((1, math.prod(self.shape)), np.float32))
        if score.shape != (1,) or not 0 <= score[0] <= 1:
            raise ValueError("what it says of zeros is no probability")

    def _parameters(self) -> int:
        return sum(array.size for array in self.learnt.values())
