"""The best of the search over architectures in the CINIC-10 origin study (AkramAki/cinic10-source-classifier).

Conv 40 of 3×3 without padding, ReLU, max-pool 2; the same again; flatten, dropout; Linear 128, ReLU; Linear to the
outputs. On 32×32 pixels and one output 200,137 parameters.
"""

from pydantic import Field
from torch import nn

from whence.estimators.network import recipe


class Settings(recipe.Settings):
    """Section train.tuned_cnn."""

    dropout: float = Field(ge=0, lt=1)
    """Share of the convolutions' answers that is set to 0 while learning."""


def build(shape: tuple[int, int, int], outputs: int, settings: Settings) -> nn.Module:
    """Return the network for images of `shape` (height, width, 3); raises ValueError if they are too small."""
    height, width = (((side - 2) // 2 - 2) // 2 for side in shape[:2])
    if min(height, width) < 1:
        raise ValueError("expected 10 pixels or more on each side")
    return nn.Sequential(
        *(nn.Conv2d(3, 40, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(40, 40, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Dropout(settings.dropout)),
        *(nn.Linear(40 * height * width, 128), nn.ReLU()),
        nn.Linear(128, outputs),
    )
