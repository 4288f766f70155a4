"""Ours, where time or a GPU is at hand: wider and deeper than `small`, with a skip in every block (Jordan 2024).

Fixed whitening of 2×2 patches (24 filters), then three blocks of 64, 256 and 256 channels, each
Conv 3×3 → max-pool 2 → BatchNorm → SiLU → Conv 3×3 → BatchNorm → SiLU → Conv 3×3 → BatchNorm, added to what came
before these last two, → SiLU; the maximum over what is left, Linear. With one
output at 32×32×3: 3,191,585 parameters.
"""

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from whence.estimators.network import recipe
from whence.estimators.network.layers import Whitened


class Settings(recipe.Settings):
    """Section train.best."""

    widths: list[int] = Field(min_length=1)
    """Channels of each block; every block halves the image."""


class Block(nn.Module):
    """Halve the image, and learn a correction to what is left."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.narrow = nn.Sequential(_conv(inputs, outputs), nn.MaxPool2d(2), nn.BatchNorm2d(outputs), nn.SiLU())
        self.correct = nn.Sequential(
            _conv(outputs, outputs),
            nn.BatchNorm2d(outputs),
            nn.SiLU(),
            _conv(outputs, outputs),
            nn.BatchNorm2d(outputs),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, outputs, H / 2, W / 2)."""
        x = self.narrow(x)
        return functional.silu(x + self.correct(x))


def _conv(inputs: int, outputs: int) -> nn.Module:
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)


def build(shape: tuple[int, int, int], outputs: int, settings: Settings) -> nn.Module:
    """Return the network for images of `shape` (height, width, 3)."""
    return Whitened(Block, settings.widths, outputs)
