"""What a classifier has learnt, in two files: arrays (.safetensors), and a card (.json) that says what they are.

Data, not a program: nothing in a stranger's file is executed.
"""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator
from safetensors import SafetensorError
from safetensors.numpy import load as decode
from safetensors.numpy import save as encode

from whence.base.errors import InputError
from whence.base.files import replacing
from whence.base.settings import Section, check

Learnt = dict[str, NDArray[Any]]
COLUMNS = ("seed", "epoch", "learning_rate", "train_loss", "train_accuracy", "valid_loss", "valid_accuracy")
History = dict[str, list[float]]
"""How a training went: a list per column, a value per seed and epoch; of a model without epochs one value each."""
BLOCK = 4096
"""Rows that a model is asked about at once: images need not fit in memory."""
AGAIN = "run dvc repro to train it again"
LARGEST = 2**24
"""Numbers in a row of x, at most: more memory than that is not taken on the word of a card."""


class Model:
    """What every estimator can do once it says `member_proba`: the rest of scikit-learn's contract for classifiers."""

    classes_: NDArray[Any]
    history_: History
    best_epoch: list[int]
    """As in `Card`."""

    def member_proba(self, x: NDArray[Any]) -> NDArray[np.float64]:
        """Return (members, n, K), the probability of each of `classes_` by each member: a member per seed."""
        raise NotImplementedError

    def predict_proba(self, x: NDArray[Any]) -> NDArray[np.float64]:
        """Return (n, K), the probability of each of `classes_`, the mean over the members."""
        return np.asarray(self.member_proba(x).mean(axis=0))

    def predict(self, x: NDArray[Any]) -> NDArray[Any]:
        """Return (n,), the likeliest class of each row."""
        return np.asarray(self.classes_[self.predict_proba(x).argmax(axis=1)])


def ask(
    model: Model, array: NDArray[Any], rows: NDArray[np.int64], seen_as: Callable[[Any], Any] = np.asarray
) -> NDArray[np.float64]:
    """Return (members, len(rows), K), what a model says of some rows of a memory map, each block through `seen_as`."""
    blocks = (array[rows[start : start + BLOCK]] for start in range(0, len(rows), BLOCK))
    return np.concatenate([model.member_proba(seen_as(block)) for block in blocks], axis=1)


class Card(Section):
    """What stands beside the arrays: all that is needed to use them."""

    classifier: str
    """The module in whence/classifiers."""
    classes: list[str | int | bool]
    """In the order of the probabilities."""
    shape: list[Annotated[int, Field(ge=1)]] = Field(min_length=1)
    """Of one row of x: (height, width, 3), or (features,)."""
    settings: dict[str, Any]
    """The section train.<classifier> that it was trained with."""
    preprocessing: dict[str, list[float]]
    """What is done to x first, for instance mean and std per channel."""
    parameters: int = Field(ge=0)
    """Numbers that were learnt, of one member."""
    best_epoch: list[Annotated[int, Field(ge=0)]]
    """Of each member (seed): the epoch whose weights were taken; 0 where there are no epochs."""

    @field_validator("classes")
    @classmethod
    def _differ(cls, classes: list[str | int | bool]) -> list[str | int | bool]:
        if not 2 <= len(classes) == len(set(classes)) or len(set(map(type, classes))) > 1:
            raise ValueError("expected two or more classes, of one type, each once")
        return classes

    @field_validator("shape")
    @classmethod
    def _fits_memory(cls, shape: list[int]) -> list[int]:
        if math.prod(shape) > LARGEST:
            raise ValueError(f"expected {LARGEST:,} numbers at most")
        return shape


def save(learnt: Learnt, card: Card, weights: Path, beside: Path) -> None:
    """Write arrays and card, both whole or neither; the same content gives the same bytes, in any order of names."""
    with replacing(weights) as arrays, replacing(beside) as text:
        # Not np.ascontiguousarray, which makes a lone number a row of one.
        arrays.write_bytes(encode({name: np.asarray(array, order="C") for name, array in learnt.items()}))
        text.write_text(json.dumps(card.model_dump(), indent=2) + "\n", encoding="utf-8")


def load(weights: Path, beside: Path, classifier: str) -> tuple[Learnt, Card]:
    """Return what `save` wrote; raises InputError if the files are no model, or one of another classifier."""
    try:
        learnt = decode(weights.read_bytes())
        for name, array in learnt.items():
            if array.dtype.kind not in "biuf" or not np.isfinite(array).all():
                raise ValueError(f"{name}: expected finite numbers")
    except KeyError as error:
        raise InputError(f"{weights}: not a readable model (NumPy has no numbers of type {error}); {AGAIN}") from error
    except (OSError, SafetensorError, ValueError) as error:
        raise InputError(f"{weights}: not a readable model ({error}); {AGAIN}") from error
    try:
        content = json.loads(beside.read_text(encoding="utf-8"), object_pairs_hook=_once)
        card = check(content, Card, str(beside))
    except InputError as error:
        raise InputError(f"{error}; {AGAIN}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{beside}: not a readable card ({error}); {AGAIN}") from error
    if card.classifier != classifier:
        raise InputError(f"{beside}: a model of {card.classifier!r}, expected {classifier!r}; {AGAIN}")
    return learnt, card


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object; raises ValueError where a key stands twice, of which json would keep the last."""
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError(f"a key stands twice among {', '.join(map(repr, content))}")
    return content
