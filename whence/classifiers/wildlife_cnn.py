"""The network of the wildlife study, written for images of 128×128 pixels and built here for any size from 16×16 on.

Conv 32 of 3×3, ReLU, max-pool 4; Conv 64 of 3×3, ReLU, max-pool 2; Conv 128 of 3×3, ReLU, max-pool 2, all padded to the
same size; flatten; Linear to the outputs. On 128×128 pixels and ten outputs 175,178 parameters.
"""

from torch import nn

from whence.estimators.network import recipe


class Settings(recipe.Settings):
    """Section train.wildlife_cnn."""


def build(shape: tuple[int, int, int], outputs: int, settings: Settings) -> nn.Module:
    """Return the network for images of `shape` (height, width, 3); raises ValueError if they are too small."""
    height, width = (side // 16 for side in shape[:2])
    if min(height, width) < 1:
        raise ValueError("expected 16 pixels or more on each side")
    return nn.Sequential(
        *(nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(4)),
        *(nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(64, 128, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        nn.Flatten(),
        nn.Linear(128 * height * width, outputs),
    )
