"""Chance, first kind: always answer the larger class of the training rows, with its share as probability."""

import numpy as np
from numpy.typing import NDArray

from whence.base.settings import Section
from whence.models import Learnt
from whence.table.rows import Rows


class Settings(Section):
    """Section train.majority: nothing to set."""


def fit(train: Rows, valid: Rows, settings: Settings) -> Learnt:
    """Learn the share of positive rows, and nothing from x."""
    return {"share": np.asarray(train.y.mean())}


def score(learnt: Learnt, x: NDArray[np.generic]) -> NDArray[np.float64]:
    """Return the same probability (n,) for every row of x (n, d)."""
    return np.full(len(x), float(learnt["share"]))
