"""Pixel statistics: what colour and contrast alone give away, position left out except for the gradients."""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from whence.settings import Section

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Rec. ITU-R BT.601 weights of red, green and blue."""


class Settings(Section):
    """Section extract.pixels."""

    histogram_bins: int = Field(ge=2, le=256)


def names(settings: Settings) -> list[str]:
    """Return the feature names, in the order of the columns."""
    channels = ("red", "green", "blue")
    moments = [f"{moment}_{c}" for moment in ("mean", "std", "skewness", "kurtosis") for c in channels]
    histograms = [f"histogram_{c}_{k}" for c in channels for k in range(settings.histogram_bins)]
    return [*moments, *histograms, "saturation_mean", "saturation_std", "gradient_x", "gradient_y"]


def extract(images: NDArray[np.uint8], settings: Settings) -> NDArray[np.float32]:
    """Return (n, D) float32 for images (n, H, W, 3) uint8; D as in `names`, intensities on a 0 to 1 scale.

    Skewness and excess kurtosis are 0 for a constant channel. Saturation is that of HSV, (max - min) / max, and 0 for
    black (Smith 1978). Gradient energy is the mean squared difference of neighbouring luma values, along x and y.
    """
    pixels = np.divide(images, 255, dtype=np.float32)
    columns = [
        *_moments(pixels),
        _histograms(images, settings.histogram_bins),
        *_saturation(pixels),
        *_gradients(pixels),
    ]
    return np.concatenate([np.asarray(c, np.float32).reshape(len(images), -1) for c in columns], axis=1)


def _moments(pixels: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    flat = pixels.reshape(len(pixels), -1, 3)
    mean = flat.mean(axis=1, keepdims=True)
    centred = flat - mean
    squared = centred * centred
    variance = squared.mean(axis=1)
    scale = np.where(variance > 1e-8, variance, np.inf)
    skewness = (squared * centred).mean(axis=1) / scale**1.5
    kurtosis = np.where(variance > 1e-8, (squared * squared).mean(axis=1) / scale**2 - 3, 0)
    return [mean, np.sqrt(variance), skewness, kurtosis]


def _histograms(images: NDArray[np.uint8], bins: int) -> NDArray[np.float32]:
    """Return (n, 3·bins) shares of equal-width bins of the 256 values, channel by channel."""
    n = len(images)
    cell = (images.reshape(n, -1, 3).astype(np.int64) * bins) >> 8
    cell += (np.arange(n)[:, None, None] * 3 + np.arange(3)) * bins
    counts = np.bincount(cell.ravel(), minlength=n * 3 * bins)
    return (counts.reshape(n, 3 * bins) / images[0, ..., 0].size).astype(np.float32)


def _saturation(pixels: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    high, low = pixels.max(axis=-1), pixels.min(axis=-1)
    saturation = (high - low) / np.where(high > 0, high, 1)
    return [saturation.mean(axis=(1, 2)), saturation.std(axis=(1, 2))]


def _gradients(pixels: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    luma = pixels @ LUMA
    return [np.square(np.diff(luma, axis=axis)).mean(axis=(1, 2)) for axis in (2, 1)]
