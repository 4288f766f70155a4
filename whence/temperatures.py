"""One temperature per member makes the probabilities of any number of classes as sure as they may be.

Guo et al. 2017 (arXiv 1706.04599). `proba` (n, K) are the probabilities of K classes, `actual` (n,) their true numbers.
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from whence.base.errors import InputError
from whence.base.files import replacing
from whence.base.settings import Section, check

Floats = NDArray[np.float64]

COLDEST, HOTTEST = 1 / 20, 20.0
"""Temperatures are sought between these: where valid has no error, none is the best."""
EDGE = 1e-7
"""Probabilities are kept as far from 0 and 1, whose logarithms have no end."""
STEPS = 60
"""Halvings of the range of temperatures: more than float64 can tell apart."""
DECIMALS = 6
"""Of temperatures in a file."""


class Calibration(Section):
    """A file beside the model: what valid has taught about its probabilities."""

    temperatures: list[Annotated[float, Field(ge=COLDEST, le=HOTTEST)]] = Field(min_length=1)
    """One per member."""


def fitted(actual: NDArray[np.int64], proba: Floats) -> float:
    """Return the temperature T whose `cooled` probabilities have the lowest log loss; raises InputError without rows.

    The loss is convex in 1/T, so that its slope changes sign once.
    """
    if not len(actual):
        raise InputError(
            "no valid rows to choose a temperature by; raise valid_share, the cap, or the share of a domain"
        )
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


def cooled(proba: Floats, by: float) -> Floats:
    """Return the probabilities (n, K) whose logarithms are divided by a temperature: above 1 they come closer."""
    return _softmax(_logarithms(proba) / by)


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


def _logarithms(proba: Floats) -> Floats:
    return np.asarray(np.log(proba.clip(EDGE, 1 - EDGE)))


def _softmax(z: Floats) -> Floats:
    high = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(high / high.sum(axis=1, keepdims=True))
