"""The LeNet (after LeCun et al. 1998) of the CIFAKE classifier study (MinaAlmasi/CIFAKE-image-classifiers).

Conv 32 of 3×3, ReLU, max-pool 2; Conv 50 of 5×5, ReLU, max-pool 2, both padded to the same size; flatten; Linear 128,
ReLU; Linear to the outputs. On 32×32 pixels and ten outputs 451,964 parameters.
"""

from torch import nn

from whence.estimators.network import recipe


class Settings(recipe.Settings):
    """Section train.lenet."""


def build(shape: tuple[int, int, int], outputs: int, settings: Settings) -> nn.Module:
    """Return the network for images of `shape` (height, width, 3); raises ValueError if they are too small."""
    height, width = (side // 4 for side in shape[:2])
    if min(height, width) < 1:
        raise ValueError("expected 4 pixels or more on each side")
    return nn.Sequential(
        *(nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 50, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
        nn.Flatten(),
        *(nn.Linear(50 * height * width, 128), nn.ReLU()),
        nn.Linear(128, outputs),
    )
