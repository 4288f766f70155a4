"""Ours, for two cores: what the fastest CIFAR-10 recipes do (Jordan 2024, arXiv 2404.00498), in 300,000 parameters.

Fixed whitening of 2×2 patches (24 filters), then three blocks of 32, 64 and 128 channels, each
Conv 3×3 → max-pool 2 → BatchNorm → SiLU → Conv 3×3 → BatchNorm → SiLU; the maximum over what is left, Linear. With one
output at 32×32×3: 294,817 parameters.
"""

from pydantic import Field
from torch import nn

from whence.estimators.network import recipe
from whence.estimators.network.layers import Whitened


class Settings(recipe.Settings):
    """Section train.small."""

    widths: list[int] = Field(min_length=1)
    """Channels of each block; every block halves the image."""


def build(shape: tuple[int, int, int], outputs: int, settings: Settings) -> nn.Module:
    """Return the network for images of `shape` (height, width, 3)."""
    return Whitened(settings.widths, outputs)
