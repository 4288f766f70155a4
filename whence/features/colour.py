"""Mean colour: mean and standard deviation of each channel, the baseline that sees no structure at all."""

import numpy as np
from numpy.typing import NDArray

from whence.base.settings import Section


class Settings(Section):
    """Section extract.colour: nothing to set."""


def names(settings: Settings) -> list[str]:
    """Return the six feature names."""
    return [f"{moment}_{channel}" for moment in ("mean", "std") for channel in ("red", "green", "blue")]


def extract(images: NDArray[np.uint8], settings: Settings) -> NDArray[np.float32]:
    """Return (n, 6) float32 for images (n, H, W, 3) uint8: channel means and standard deviations on a 0 to 1 scale.

    Sums of whole numbers are exact: a flat channel deviates by 0, not by a rounding error.
    """
    channels = np.ascontiguousarray(np.moveaxis(images, -1, 1)).reshape(len(images), 3, -1)
    pixels = channels.shape[2]
    total = channels.sum(axis=2, dtype=np.int64)
    squares = np.square(channels, dtype=np.uint16).sum(axis=2, dtype=np.int64)
    deviation = np.sqrt(pixels * squares - total**2)
    return (np.concatenate([total, deviation], axis=1) / (255 * pixels)).astype(np.float32)
