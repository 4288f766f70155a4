"""Mean colour: mean and standard deviation of each channel, the baseline that sees no structure at all."""

import numpy as np
from numpy.typing import NDArray

from whence.settings import Section


class Settings(Section):
    """Section extract.colour: nothing to set."""


def names(settings: Settings) -> list[str]:
    """Return the six feature names."""
    return [f"{moment}_{channel}" for moment in ("mean", "std") for channel in ("red", "green", "blue")]


def extract(images: NDArray[np.uint8], settings: Settings) -> NDArray[np.float32]:
    """Return (n, 6) float32 for images (n, H, W, 3) uint8: channel means and standard deviations on a 0 to 1 scale."""
    pixels = np.divide(images, 255, dtype=np.float32).reshape(len(images), -1, 3)
    return np.concatenate([pixels.mean(axis=1), pixels.std(axis=1)], axis=1)
