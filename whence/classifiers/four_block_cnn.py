"""The second network of the CIFAR-10 study: a block more than the first, and an average instead of the flat pixels.

Four blocks of Conv 3×3 (32, 64, 128 and 256 channels, padded to the same size), BatchNorm, ReLU, max-pool 2; global
average pooling; Linear 256, ReLU, dropout; Linear to the outputs. With ten outputs 458,698 parameters, 960 of them
running statistics, whatever the size of the images. The study's L2 penalty is the weight_decay of the section.
"""

from itertools import pairwise

from pydantic import Field
from torch import nn

from whence.estimators.network import recipe


class Settings(recipe.Settings):
    """Section train.four_block_cnn."""

    dropout: float = Field(ge=0, lt=1)
    """Share of the inputs of the last layer that is set to 0 while learning."""


def build(shape: tuple[int, int, int], outputs: int, settings: Settings) -> nn.Module:
    """Return the network for images of `shape` (height, width, 3); raises ValueError if they are too small."""
    if min(shape[:2]) < 16:
        raise ValueError("expected 16 pixels or more on each side")
    blocks = [
        nn.Sequential(nn.Conv2d(a, b, 3, padding=1), nn.BatchNorm2d(b), nn.ReLU(), nn.MaxPool2d(2))
        for a, b in pairwise((3, 32, 64, 128, 256))
    ]
    return nn.Sequential(
        *blocks,
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        *(nn.Linear(256, 256), nn.ReLU(), nn.Dropout(settings.dropout)),
        nn.Linear(256, outputs),
    )
