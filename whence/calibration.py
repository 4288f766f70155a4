"""Probabilities made honest on valid: one temperature (Guo et al. 2017, arXiv 1706.04599), and other thresholds.

`actual` (n,) are the true numbers of K classes, `proba` (n, K) their probabilities. Of two classes `positive` (n,) bool
is the truth, `score` (n,) in [0, 1] the probability of the positive one.
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from whence import metrics
from whence.base.errors import InputError
from whence.base.files import replacing
from whence.base.settings import Section, check
from whence.curves import sweep

Floats = NDArray[np.float64]
Truth = NDArray[np.bool_]

COLDEST, HOTTEST = 1 / 20, 20.0
"""Temperatures are sought between these: where valid has no error, none is the best."""
EDGE = 1e-7
"""Probabilities are kept as far from 0 and 1, whose logarithms have no end."""
STEPS = 60
"""Halvings of the range of temperatures: more than float64 can tell apart."""
DECIMALS = 6
"""Of temperatures in a file."""


class Calibration(Section):
    """A file beside the model, for those who ask it about other images."""

    temperatures: list[Annotated[float, Field(ge=COLDEST, le=HOTTEST)]] = Field(min_length=1)
    """One per member."""


def fitted(actual: NDArray[np.int64], proba: Floats) -> float:
    """Return the temperature T whose `tempered` probabilities have the lowest log loss; raises InputError without rows.

    The loss is convex in 1/T, so that its slope changes sign once.
    """
    if not len(actual):
        raise InputError("no valid rows to choose a temperature by; raise valid_share, the cap, or a domain's share")
    z = _logarithms(proba)
    given = np.take_along_axis(z, actual[:, np.newaxis], axis=1).sum()
    low, high = math.log(1 / HOTTEST), math.log(1 / COLDEST)
    for _ in range(STEPS):
        middle = (low + high) / 2
        if float((_softmax(math.exp(middle) * z) * z).sum() - given) > 0:
            high = middle
        else:
            low = middle
    return math.exp(-(low + high) / 2)


def tempered(proba: Floats, by: float) -> Floats:
    """Return the probabilities (n, K) whose logarithms are divided by a temperature: above 1 they come closer."""
    return _softmax(_logarithms(proba) / by)


def temperature(positive: Truth, score: Floats) -> float:
    """Return the temperature of two classes; raises InputError as `metrics.check` does."""
    metrics.check(positive, score)
    return fitted(positive.astype(np.int64), _both(score))


def cooled(score: Floats, by: float) -> Floats:
    """Return scores (n,) whose log odds are divided by a temperature: above 1 they move towards a half."""
    return tempered(_both(score), by)[:, 1]


def youden(positive: Truth, score: Floats) -> float:
    """Return the threshold with the largest true less false positive rate (Youden 1950), of equals the highest."""
    fp, tp, threshold = sweep(positive, score)
    return float(threshold[np.argmax(tp / tp[-1] - fp / fp[-1])])


def at_most(positive: Truth, score: Floats, rate: float) -> float:
    """Return the lowest threshold at which the false positive rate is at most `rate`, above every score if need be."""
    fp, _, threshold = sweep(positive, score)
    return float(threshold[np.flatnonzero(fp <= rate * fp[-1])[-1]])


def operating(positive: Truth, score: Floats, threshold: float) -> dict[str, float]:
    """Return what a threshold does: true and false positive rate, balanced accuracy."""
    predicted = score >= threshold
    true, false = float(predicted[positive].mean()), float(predicted[~positive].mean())
    return {"true_positive_rate": true, "false_positive_rate": false, "balanced_accuracy": (1 + true - false) / 2}


def write(path: Path, found: Sequence[float]) -> None:
    """Write the temperature of each member, whole or not at all."""
    content = Calibration(temperatures=[round(by, DECIMALS) for by in found])
    with replacing(path) as partial:
        partial.write_text(json.dumps(content.model_dump(), indent=2) + "\n", encoding="utf-8")


def read(path: Path) -> list[float]:
    """Return what `write` wrote; raises InputError if the file holds anything else."""
    again = "run dvc repro to make it again"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: not readable temperatures ({error}); {again}") from error
    return check(content, Calibration, str(path)).temperatures


def _both(score: Floats) -> Floats:
    """Return (n, 2) the probabilities of both classes."""
    return np.stack([1 - score, score], axis=1)


def _logarithms(proba: Floats) -> Floats:
    return np.asarray(np.log(proba.clip(EDGE, 1 - EDGE)))


def _softmax(z: Floats) -> Floats:
    high = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(high / high.sum(axis=1, keepdims=True))
