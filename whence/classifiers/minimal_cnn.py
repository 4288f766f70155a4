"""Two filters, of the CINIC-10 origin study (AkramAki/cinic10-source-classifier): as little as a network can be.

Conv 2 of 3×3 without padding, ReLU, max-pool 2; flatten; Linear to the outputs. On 32×32 pixels and one output 507
parameters.
"""

from torch import nn

from whence.estimators.network import recipe


class Settings(recipe.Settings):
    """Section train.minimal_cnn."""


def build(shape: tuple[int, int, int], outputs: int, settings: Settings) -> nn.Module:
    """Return the network for images of `shape` (height, width, 3); raises ValueError if they are too small."""
    height, width = ((side - 2) // 2 for side in shape[:2])
    if min(height, width) < 1:
        raise ValueError("expected 4 pixels or more on each side")
    return nn.Sequential(
        *(nn.Conv2d(3, 2, 3), nn.ReLU(), nn.MaxPool2d(2)),
        nn.Flatten(),
        nn.Linear(2 * height * width, outputs),
    )
