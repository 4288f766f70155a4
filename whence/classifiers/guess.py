"""Chance, second kind: a coin per image. Its ROC curve is the diagonal, whatever the classes' shares."""

import hashlib

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from whence.base.settings import Section
from whence.models import Learnt
from whence.table.rows import Rows


class Settings(Section):
    """Section train.guess."""

    seed: int = Field(ge=0, lt=2**32)


def fit(train: Rows, valid: Rows, settings: Settings) -> Learnt:
    """Learn nothing: the seed is all."""
    return {"seed": np.asarray(settings.seed)}


def score(learnt: Learnt, x: NDArray[np.generic]) -> NDArray[np.float64]:
    """Return (n,) drawn evenly from [0, 1): a hash of row and seed, so that no batch or order changes them.

    A keyed hash, not a checksum: checksums under two seeds differ by a constant, so that such coins fall alike.
    """
    key = int(learnt["seed"]).to_bytes(8, "little")
    drawn = b"".join(hashlib.blake2b(row.tobytes(), digest_size=8, key=key).digest() for row in x)
    return (np.frombuffer(drawn, "<u8") >> 11) / 2**53
