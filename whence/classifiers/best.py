"""Ours, where a GPU is at hand: the shape of the fastest CIFAR-10 recipes (Jordan 2024, arXiv 2404.00498).

Fixed whitening of 2×2 patches (24 filters), then three blocks of 128, 384 and 384 channels, each
Conv 3×3 → max-pool 2 → BatchNorm → SiLU → Conv 3×3 → BatchNorm → SiLU → Conv 3×3 → BatchNorm → skip past the last two
→ SiLU; the maximum over what is left, Linear. With one output at 32×32×3: 7,411,873 parameters. With a depth of 2, and
64, 256 and 256 channels, it is his fastest, which has no skip: 1,972,769 parameters.
"""

from pydantic import Field
from torch import nn

from whence.estimators.network import recipe
from whence.estimators.network.layers import Whitened


class Settings(recipe.Settings):
    """Section train.best."""

    widths: list[int] = Field(min_length=1)
    """Channels of each block; every block halves the image."""
    depth: int = Field(ge=2)
    """Convolutions of each block."""


def build(shape: tuple[int, int, int], outputs: int, settings: Settings) -> nn.Module:
    """Return the network for images of `shape` (height, width, 3)."""
    return Whitened(settings.widths, outputs, settings.depth)
