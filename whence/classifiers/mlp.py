"""Two hidden layers and no convolution, of the CINIC-10 origin study (AkramAki/cinic10-source-classifier).

Flatten; Linear 256, ReLU; Linear 128, ReLU; Linear to the outputs. On 32×32 pixels and one output 819,713 parameters.
"""

import math

from torch import nn

from whence.estimators.network import recipe


class Settings(recipe.Settings):
    """Section train.mlp."""


def build(shape: tuple[int, int, int], outputs: int, settings: Settings) -> nn.Module:
    """Return the network for images of `shape` (height, width, 3); it takes any size."""
    return nn.Sequential(
        nn.Flatten(),
        *(nn.Linear(math.prod(shape), 256), nn.ReLU()),
        *(nn.Linear(256, 128), nn.ReLU()),
        nn.Linear(128, outputs),
    )
