"""Radial power spectrum: how much detail an image has at each scale, where resampling and upsampling leave traces.

Method: the azimuthal average of the power spectrum, as Durall, Keuper and Keuper (CVPR 2020, arXiv 2003.01826) use it
to tell generated images from photographs.
"""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from whence.base.settings import Section

LUMA = (0.299, 0.587, 0.114)
"""Rec. ITU-R BT.601 weights of red, green and blue."""
CORNER = 0.5**0.5
"""The highest spatial frequency of a pixel grid, in cycles per pixel: both axes at their Nyquist frequency of .5."""
FLOOR = 1e-10
"""Added before the logarithm: far below the noise of rounding to 8 bits, 1.3e-9 per frequency at 32×32."""


class Settings(Section):
    """Section extract.spectrum."""

    bins: int = Field(ge=2)


def names(settings: Settings) -> list[str]:
    """Return the feature names: the upper edge of each ring, in cycles per pixel."""
    return [f"log_power_to_{edge:.3f}" for edge in np.linspace(0, CORNER, settings.bins + 1)[1:]]


def extract(images: NDArray[np.uint8], settings: Settings) -> NDArray[np.float32]:
    """Return (n, bins) float32: log10 of the mean power per ring, for images (n, H, W, 3) uint8."""
    red, green, blue = (images[..., k] * (weight / 255) for k, weight in enumerate(LUMA))
    return np.log10(radial_power(red + green + blue, settings.bins) + FLOOR).astype(np.float32)


def radial_power(luma: NDArray[np.floating], bins: int) -> NDArray[np.float64]:
    """Return (n, bins): mean of |F|² / (H·W)² per ring of equal width up to `CORNER`, without the mean (F₀).

    Weighted with the rings' sizes from `rings`, the sum over the rings is the variance of the image (Parseval). The
    corners beyond .5 cycles per pixel have rings of their own: no lens or scanner fills them, resampling does.
    """
    n, height, width = luma.shape
    ring, sizes = rings(height, width, bins)
    # The spectrum of a real image is symmetric: rfft2 gives half of it, whose inner columns count twice.
    column = np.arange(width // 2 + 1)
    weight = np.where((column == 0) | (2 * column == width), 1, 2) / (height * width) ** 2
    transform = np.fft.rfft2(luma)
    power = (np.square(transform.real) + np.square(transform.imag)) * weight
    ring = ring.reshape(height, width)[:, column].ravel()
    order = np.argsort(ring, kind="stable")
    used = np.flatnonzero(sizes)
    first = np.searchsorted(ring[order], used)
    mean = np.zeros((n, bins))
    # Sums, not a matrix product: BLAS rounds an image differently in batches of different length.
    mean[:, used] = np.add.reduceat(power.reshape(n, -1).take(order, axis=1), first, axis=1) / sizes[used]
    return mean


def rings(height: int, width: int, bins: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the ring of each frequency (H·W,), -1 for the mean, and how many frequencies each ring has (bins,)."""
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None, :]).ravel()
    ring = np.minimum(np.ceil(radius / CORNER * bins - 1e-9).astype(np.int64) - 1, bins - 1)
    ring[0] = -1
    return ring, np.bincount(ring[1:], minlength=bins)
