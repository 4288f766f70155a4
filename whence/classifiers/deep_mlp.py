"""Wide hidden layers, normalised and with dropout, of the CINIC-10 origin study (AkramAki/cinic10-source-classifier).

Flatten; Linear 512, BatchNorm, ReLU, dropout; Linear 256, BatchNorm, ReLU, dropout; Linear to the outputs. On 32×32
pixels and one output 1,708,033 parameters, 1,536 of them running statistics. The study normalises after the ReLU, we
before it (Ioffe & Szegedy 2015): the count is the same.
"""

import math

from pydantic import Field
from torch import nn

from whence.estimators.network import recipe


class Settings(recipe.Settings):
    """Section train.deep_mlp."""

    dropout: float = Field(ge=0, lt=1)
    """Share of the values of each hidden layer that is set to 0 while learning."""


def build(shape: tuple[int, int, int], outputs: int, settings: Settings) -> nn.Module:
    """Return the network for images of `shape` (height, width, 3); it takes any size."""
    return nn.Sequential(
        nn.Flatten(),
        *(nn.Linear(math.prod(shape), 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Dropout(settings.dropout)),
        *(nn.Linear(512, 256), nn.BatchNorm1d(256), nn.ReLU(), nn.Dropout(settings.dropout)),
        nn.Linear(256, outputs),
    )
