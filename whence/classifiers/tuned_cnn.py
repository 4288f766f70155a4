"""The network that the CINIC-10 origin study searched over (AkramAki/cinic10-source-classifier).

Conv without padding, ReLU, max-pool 2; the same again; flatten, dropout; Linear, ReLU; Linear to the outputs. The best
of its search has 40 filters of 3×3 twice and 128 units: on 32×32 pixels and one output 200,137 parameters.
"""

from typing import Literal

from pydantic import Field
from torch import nn

from whence.estimators.network import recipe


class Settings(recipe.Settings):
    """Section train.tuned_cnn."""

    first_filters: int = Field(ge=1)
    second_filters: int = Field(ge=1)
    kernel: Literal[3, 5]
    """Side of the filters in pixels."""
    dense: int = Field(ge=1)
    """Units before the last layer."""
    dropout: float = Field(ge=0, lt=1)
    """Share of the convolutions' answers that is set to 0 while learning."""


def build(shape: tuple[int, int, int], outputs: int, settings: Settings) -> nn.Module:
    """Return the network for images of `shape` (height, width, 3); raises ValueError if they are too small."""
    first, second, kernel, less = settings.first_filters, settings.second_filters, settings.kernel, settings.kernel - 1
    height, width = (((side - less) // 2 - less) // 2 for side in shape[:2])
    if min(height, width) < 1:
        raise ValueError(f"expected {3 * less + 4} pixels or more on each side")
    return nn.Sequential(
        *(nn.Conv2d(3, first, kernel), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(first, second, kernel), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Dropout(settings.dropout)),
        *(nn.Linear(second * height * width, settings.dense), nn.ReLU()),
        nn.Linear(settings.dense, outputs),
    )
