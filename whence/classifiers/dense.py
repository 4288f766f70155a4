"""One hidden layer on colour, of the CIFAKE classifier study (MinaAlmasi/CIFAKE-image-classifiers).

Flatten; Linear 128, ReLU; Linear to the outputs. On 32×32 pixels and ten outputs 394,634 parameters. The study itself
looked at grey images: see `dense_grey`.
"""

from torch import nn

from whence.estimators.network import recipe


class Settings(recipe.Settings):
    """Section train.dense."""


def build(shape: tuple[int, int, int], outputs: int, settings: Settings) -> nn.Module:
    """Return the network for images of `shape` (height, width, 3); it takes any size."""
    height, width, channels = shape
    return nn.Sequential(nn.Flatten(), nn.Linear(height * width * channels, 128), nn.ReLU(), nn.Linear(128, outputs))
