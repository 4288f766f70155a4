"""The nearest neighbours vote: the yardstick for what a space of features puts together."""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from whence.base.errors import InputError
from whence.base.settings import PARAMS, Section
from whence.models import Learnt
from whence.table.rows import Rows

BLOCK = 256
"""Rows whose distances to all that are known are held at once."""
FAR = 1e4
"""Standard deviations, at most: squares of more would leave the range of float32."""
SPARE = 16
"""More candidates than neighbours: a product of matrices rounds, and what it finds is measured again, row by row."""


class Settings(Section):
    """Section train.knn."""

    neighbours: int = Field(ge=1)
    rows: int = Field(ge=1)
    """Most training rows that are kept, drawn at random: each is asked about at every prediction."""
    seed: int = Field(ge=0)


def fit(train: Rows, valid: Rows, settings: Settings) -> Learnt:
    """Keep some training rows, standardised, and their classes; the valid rows are not needed."""
    if settings.neighbours > min(settings.rows, len(train.y)):
        kept = min(settings.rows, len(train.y))
        raise InputError(f"{PARAMS}: train.knn.neighbours: got {settings.neighbours} of {kept:,} rows; make it smaller")
    rows = np.sort(np.random.default_rng(settings.seed).permutation(len(train.y))[: settings.rows])
    x = train.x[rows].astype(np.float32)
    mean, scale = x.mean(0, dtype=np.float64), x.std(0, dtype=np.float64)
    scale[scale == 0] = 1
    known = ((x - mean) / scale).astype(np.float32)
    count = np.asarray(settings.neighbours)
    positive = train.y[rows].astype(np.uint8)
    return {"mean": mean, "scale": scale, "known": known, "positive": positive, "neighbours": count}


def score(learnt: Learnt, x: NDArray[np.generic]) -> NDArray[np.float64]:
    """Return the probability (n,) for x (n, d): (k₊ + 1) / (k + 2) where k₊ of k neighbours are positive (Laplace)."""
    known, k = learnt["known"], int(learnt["neighbours"])
    if learnt["positive"].shape != (len(known),) or not 1 <= k <= len(known):
        raise ValueError(f"{k} neighbours among {len(known)} rows of {len(learnt['positive'])} classes")
    lengths = np.square(known, dtype=np.float64).sum(1)
    found = np.empty(len(x))
    for start in range(0, len(x), BLOCK):
        asked = (x[start : start + BLOCK] - learnt["mean"]) / learnt["scale"]
        asked = asked.clip(-FAR, FAR).astype(np.float32)
        distance = lengths - 2 * (asked @ known.T)
        near = np.argpartition(distance, min(k + SPARE, len(known)) - 1)[:, : k + SPARE]
        near.sort(axis=1)
        exact = np.square(known[near].astype(np.float64) - asked[:, None]).sum(2)
        nearest = np.take_along_axis(near, np.argsort(exact, kind="stable")[:, :k], 1)
        found[start : start + BLOCK] = (learnt["positive"][nearest].sum(1) + 1) / (k + 2)
    return found
