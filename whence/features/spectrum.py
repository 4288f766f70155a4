"""Radial power spectrum: how much detail an image has at each scale, where resampling and upsampling leave traces.

Method: the azimuthal average of the power spectrum, as Durall, Keuper and Keuper (CVPR 2020, arXiv 2003.01826) use it
to tell generated images from photographs.
"""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from whence.settings import Section

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Rec. ITU-R BT.601 weights of red, green and blue."""
FLOOR = 1e-10
"""Added before the logarithm: far below one grey level in one pixel (1.5e-8 at 32×32)."""


class Settings(Section):
    """Section extract.spectrum."""

    bins: int = Field(ge=2)


def names(settings: Settings) -> list[str]:
    """Return the feature names: the upper edge of each ring, in cycles per pixel."""
    return [f"log_power_to_{edge:.3f}" for edge in np.linspace(0, 0.5, settings.bins + 1)[1:]]


def extract(images: NDArray[np.uint8], settings: Settings) -> NDArray[np.float32]:
    """Return (n, bins) float32: log10 of the mean power per ring, for images (n, H, W, 3) uint8."""
    luma = np.divide(images, 255, dtype=np.float32) @ LUMA
    logarithm: NDArray[np.float32] = np.log10(radial_power(luma, settings.bins) + np.float32(FLOOR))
    return logarithm


def radial_power(luma: NDArray[np.float32], bins: int) -> NDArray[np.float32]:
    """Return (n, bins): mean of |F|² / (H·W)² per ring of equal width up to .5 cycles per pixel, without the mean (F₀).

    The corners beyond .5 count to the last ring. Weighted with the rings' sizes from `rings`, the sum over the rings is
    the variance of the image (Parseval).
    """
    _, height, width = luma.shape
    power = np.square(np.abs(np.fft.fft2(luma))).reshape(len(luma), -1) / np.float32(height * width) ** 2
    ring, sizes = rings(height, width, bins)
    mean = np.zeros((height * width, bins), np.float32)
    mean[ring >= 0, ring[ring >= 0]] = 1 / np.maximum(sizes, 1)[ring[ring >= 0]]
    return power.astype(np.float32) @ mean


def rings(height: int, width: int, bins: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the ring of each frequency (H·W,), -1 for the mean, and how many frequencies each ring has (bins,)."""
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None, :]).ravel()
    ring = np.minimum(np.ceil(radius * 2 * bins - 1e-9).astype(np.int64) - 1, bins - 1)
    ring[0] = -1
    return ring, np.bincount(ring[1:], minlength=bins)
