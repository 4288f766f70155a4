"""Two convolutions, of the CINIC-10 origin study (AkramAki/cinic10-source-classifier).

Conv 32 of 3×3 without padding, ReLU, max-pool 2; Conv 64 of 3×3 without padding, ReLU, max-pool 2; flatten; Linear 64,
ReLU; Linear to the outputs. On 32×32 pixels and one output 166,977 parameters.
"""

from torch import nn

from whence.estimators.network import recipe


class Settings(recipe.Settings):
    """Section train.simple_cnn."""


def build(shape: tuple[int, int, int], outputs: int, settings: Settings) -> nn.Module:
    """Return the network for images of `shape` (height, width, 3); raises ValueError if they are too small."""
    height, width = (((side - 2) // 2 - 2) // 2 for side in shape[:2])
    if min(height, width) < 1:
        raise ValueError("expected 10 pixels or more on each side")
    return nn.Sequential(
        *(nn.Conv2d(3, 32, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2)),
        nn.Flatten(),
        *(nn.Linear(64 * height * width, 64), nn.ReLU()),
        nn.Linear(64, outputs),
    )
