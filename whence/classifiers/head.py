"""The head of the CIFAKE hackathon's detector, on the frozen features of a backbone.

BatchNorm → Dense 256 → ReLU → dropout → Dense 64 → ReLU → Dense. The weight decay is its L2 penalty. With one output on
the 2,048 features of ResNet-50: 549,249 parameters.
"""

from pydantic import Field
from torch import nn

from whence.estimators.network import recipe


class Settings(recipe.Settings):
    """Section train.head."""

    dropout: float = Field(ge=0, lt=1)


def build(shape: tuple[int, ...], outputs: int, settings: Settings) -> nn.Module:
    """Return the network for features of `shape` (d,)."""
    (width,) = shape
    return nn.Sequential(
        nn.BatchNorm1d(width),
        nn.Linear(width, 256),
        nn.ReLU(),
        nn.Dropout(settings.dropout),
        nn.Linear(256, 64),
        nn.ReLU(),
        nn.Linear(64, outputs),
    )
