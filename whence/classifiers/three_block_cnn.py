"""The first network of the CIFAR-10 study: three normalised convolutions and a wide layer.

Three blocks of Conv 3×3 (32, 64 and 128 channels, padded to the same size), BatchNorm, ReLU, max-pool 2; flatten;
Linear 256, ReLU, dropout; Linear to the outputs. On 32×32 pixels and ten outputs 621,258 parameters, 448 of them
running statistics.
"""

from itertools import pairwise

from pydantic import Field
from torch import nn

from whence.estimators.network import recipe


class Settings(recipe.Settings):
    """Section train.three_block_cnn."""

    dropout: float = Field(ge=0, lt=1)
    """Share of the inputs of the last layer that is set to 0 while learning."""


def build(shape: tuple[int, int, int], outputs: int, settings: Settings) -> nn.Module:
    """Return the network for images of `shape` (height, width, 3); raises ValueError if they are too small."""
    height, width = (side // 8 for side in shape[:2])
    if min(height, width) < 1:
        raise ValueError("expected 8 pixels or more on each side")
    blocks = [
        nn.Sequential(nn.Conv2d(a, b, 3, padding=1), nn.BatchNorm2d(b), nn.ReLU(), nn.MaxPool2d(2))
        for a, b in pairwise((3, 32, 64, 128))
    ]
    return nn.Sequential(
        *blocks,
        nn.Flatten(),
        *(nn.Linear(128 * height * width, 256), nn.ReLU(), nn.Dropout(settings.dropout)),
        nn.Linear(256, outputs),
    )
