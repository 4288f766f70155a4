"""One hidden layer on grey, of the CIFAKE classifier study (MinaAlmasi/CIFAKE-image-classifiers).

Luma; flatten; Linear 128, ReLU; Linear to the outputs. On 32×32 pixels and ten outputs 132,490 parameters.
"""

from torch import Tensor, nn

from whence.estimators.network import recipe
from whence.estimators.network.augment import GREY


class Settings(recipe.Settings):
    """Section train.dense_grey."""


class Luma(nn.Module):
    """The weights of ITU-R BT.601, of channels as they are normalised: each has been divided by its own deviation."""

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, H, W) of x (B, 3, H, W)."""
        red, green, blue = (weight * channel for weight, channel in zip(GREY, x.unbind(1), strict=True))
        return red + green + blue


def build(shape: tuple[int, int, int], outputs: int, settings: Settings) -> nn.Module:
    """Return the network for images of `shape` (height, width, 3); it takes any size."""
    height, width, _ = shape
    return nn.Sequential(Luma(), nn.Flatten(), nn.Linear(height * width, 128), nn.ReLU(), nn.Linear(128, outputs))
