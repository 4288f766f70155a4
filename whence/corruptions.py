"""Images made worse in the ways of CIFAR-10-C, five severities each: does an answer outlast noise, blur and coding?

After Hendrycks & Dietterich 2019 (arXiv 1903.12261), whose severities for images of 32 pixels these are, but for the
kinds of blur, which they leave to other libraries; those kinds that need photographs or drawings of weather are left
out, and `rescale` is added. Images are (n, H, W, 3), whole batches at a time; levels may go beyond 0 to 255 until they
are rounded, and what is random comes from a generator.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from whence import jpeg
from whence.base.resample import Levels, blurred, through

Images = NDArray[np.uint8]
Draws = np.random.Generator
SEVERITIES = 5
REACH = 4
"""Pixels on each side that a blur gathers from."""


def corrupt(images: Images, name: str, severity: int, seed: int) -> Images:
    """Return images (n, H, W, 3) made worse by corruption `name`, severity 1 to 5; the same seed, the same draws.

    Values are rounded and clipped. Raises KeyError for an unknown name.
    """
    rng = np.random.default_rng([seed, list(CORRUPTIONS).index(name), severity])
    changed = CORRUPTIONS[name](images.astype(np.float32), severity - 1, rng)
    return np.rint(changed).clip(0, 255).astype(np.uint8)


def gaussian_noise(x: Levels, level: int, rng: Draws) -> Levels:
    """Add normal noise, of a standard deviation of .04 to .1 of the range."""
    return x + 255 * (0.04, 0.06, 0.08, 0.09, 0.1)[level] * rng.standard_normal(x.shape, np.float32)


def shot_noise(x: Levels, level: int, rng: Draws) -> Levels:
    """Count photons, 500 to 50 of them where a pixel is white."""
    photons = (500, 250, 100, 75, 50)[level]
    return np.asarray(rng.poisson(x / 255 * photons) * (255 / photons), np.float32)


def impulse_noise(x: Levels, level: int, rng: Draws) -> Levels:
    """Set a share of the values, .01 to .07, to 0 or 255."""
    drawn, share = rng.random(x.shape, np.float32), (0.01, 0.02, 0.03, 0.05, 0.07)[level]
    return np.where(drawn < share / 2, np.float32(0), np.where(drawn < share, np.float32(255), x))


def speckle_noise(x: Levels, level: int, rng: Draws) -> Levels:
    """Multiply by normal noise about 1, of a standard deviation of .06 to .2."""
    return x + x * (0.06, 0.1, 0.12, 0.16, 0.2)[level] * rng.standard_normal(x.shape, np.float32)


def gaussian_blur(x: Levels, level: int, _: Draws) -> Levels:
    """Blur by a Gaussian of .4 to 1 pixels."""
    return blurred(x, (0.4, 0.6, 0.7, 0.8, 1.0)[level], REACH)


def defocus_blur(x: Levels, level: int, _: Draws) -> Levels:
    """Blur by a disc with a radius of .6 to 1.8 pixels."""
    radius, fine = (0.6, 0.8, 1.0, 1.4, 1.8)[level], (np.arange(50) + 0.5) / 10 - 2.5
    inside = np.hypot(fine[:, None], fine) <= radius
    return _filter(x, inside.reshape(5, 10, 5, 10).sum(axis=(1, 3)))


def motion_blur(x: Levels, level: int, rng: Draws) -> Levels:
    """Blur along a line within 45° of the horizontal, by a Gaussian of 1 to 2.5 pixels."""
    sigma = (1.0, 1.25, 1.5, 2.0, 2.5)[level]
    angle = rng.uniform(-np.pi / 4, np.pi / 4, (len(x), 1, 1)).astype(np.float32)
    weights = np.exp(-(np.arange(-REACH, REACH + 1) ** 2) / (2 * sigma**2))
    row, column = _grid(x)
    steps = zip(range(-REACH, REACH + 1), weights / weights.sum(), strict=True)
    moved = (w * _sample(x, row + t * np.sin(angle), column + t * np.cos(angle)) for t, w in steps)
    return np.asarray(sum(moved), np.float32)


def zoom_blur(x: Levels, level: int, _: Draws) -> Levels:
    """Average over zooms of 1 up to 1.06 to 1.26, in steps of a hundredth."""
    zooms = 1 + np.arange((6, 11, 16, 21, 26)[level]) / 100
    row, column = _grid(x)
    middle_row, middle_column = (x.shape[1] - 1) / 2, (x.shape[2] - 1) / 2
    total = x.copy()
    for zoom in zooms:
        total += _sample(x, middle_row + (row - middle_row) / zoom, middle_column + (column - middle_column) / zoom)
    return total / np.float32(len(zooms) + 1)


def brightness(x: Levels, level: int, _: Draws) -> Levels:
    """Add .05 to .3 to the value of HSV, hue and saturation kept."""
    value = x.max(axis=3, keepdims=True)
    brighter = (value + 255 * np.float32((0.05, 0.1, 0.15, 0.2, 0.3)[level])).clip(max=255)
    return np.asarray(np.where(value > 0, x * (brighter / value.clip(1)), brighter))


def contrast(x: Levels, level: int, _: Draws) -> Levels:
    """Take each channel towards its mean over the image, .75 to .15 of the distance left."""
    mean = x.mean(axis=(1, 2), keepdims=True)
    return np.asarray(mean + np.float32((0.75, 0.5, 0.4, 0.3, 0.15)[level]) * (x - mean))


def saturate(x: Levels, level: int, _: Draws) -> Levels:
    """Scale the saturation of HSV by .3 and .1, then by 1.5 to 2.5 with up to .2 added; grey stays grey."""
    factor, more = ((0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2))[level]
    value = x.max(axis=3, keepdims=True)
    depth = value - x.min(axis=3, keepdims=True)
    saturation = depth / value.clip(1)
    wanted = (saturation * factor + more).clip(max=1)
    return np.asarray(value - (value - x) * np.where(depth > 0, wanted / saturation.clip(1e-6), 1), np.float32)


def elastic(x: Levels, level: int, rng: Draws) -> Levels:
    """Move pixels by a smooth random field and a random affine map of three points."""
    amount, smooth, corner = ((0, 1, 2.56), (1.6, 6.4, 2.24), (2.56, 1.92, 1.92), (3.2, 1.28, 1.6), (3.2, 0.96, 0.96))[
        level
    ]
    count, height, width = x.shape[:3]
    radius = max(height, width) // 3
    source = np.array([[radius, radius, 1], [radius, -radius, 1], [-radius, -radius, 1]], float)
    moved = source[:, :2] + rng.uniform(-corner, corner, (count, 3, 2))
    affine = np.linalg.inv(source) @ moved  # (n, 3, 2): of places from the centre, with 1
    row, column = _grid(x)
    row, column = row - (height - 1) / 2, column - (width - 1) / 2
    along = np.stack(np.broadcast_arrays(row, column, np.ones_like(row)), axis=-1).reshape(1, -1, 3) @ affine
    field = rng.uniform(-1, 1, (count, height, width, 2)).astype(np.float32)
    field = np.float32(amount) * blurred(field, smooth, round(3 * smooth))
    places = along.reshape(count, height, width, 2) + field
    return _sample(x, places[..., 0] + (height - 1) / 2, places[..., 1] + (width - 1) / 2)


def pixelate(x: Levels, level: int, _: Draws) -> Levels:
    """Reduce to .95 to .65 of the size by averages, and enlarge without any."""
    share = (0.95, 0.9, 0.85, 0.75, 0.65)[level]
    return through(x, share, Image.Resampling.BOX, Image.Resampling.BOX)


def jpeg_compression(x: Levels, level: int, _: Draws) -> Levels:
    """Encode as JPEG at an IJG quality of 80 to 40."""
    return jpeg.recode(x.astype(np.uint8), (80, 65, 58, 50, 40)[level]).astype(np.float32)


def rescale(x: Levels, level: int, _: Draws) -> Levels:
    """Reduce to 28, 24, 20, 16 and 12 of 32 pixels by Lanczos' filter, and enlarge by it."""
    return through(x, (28, 24, 20, 16, 12)[level] / 32, Image.Resampling.LANCZOS, Image.Resampling.LANCZOS)


CORRUPTIONS: dict[str, Callable[[Levels, int, Draws], Levels]] = {
    function.__name__: function
    for function in (
        *(
            gaussian_noise,
            shot_noise,
            impulse_noise,
            speckle_noise,
            gaussian_blur,
            defocus_blur,
            motion_blur,
            zoom_blur,
        ),
        *(brightness, contrast, saturate, elastic, pixelate, jpeg_compression, rescale),
    )
}


def _filter(x: Levels, kernel: NDArray[Any]) -> Levels:
    """Return images filtered by a kernel of odd sides, brought to a sum of 1; beyond the edge they are reflected."""
    down, right = (side // 2 for side in kernel.shape)
    framed = np.pad(x, ((0, 0), (down, down), (right, right), (0, 0)), mode="symmetric")
    total, weights = np.zeros_like(x), (kernel / kernel.sum()).astype(np.float32)
    for i, j in np.argwhere(weights > 1e-7):
        total += weights[i, j] * framed[:, i : i + x.shape[1], j : j + x.shape[2]]
    return total


def _grid(x: Levels) -> tuple[Levels, Levels]:
    """Return the row and the column of every pixel, (1, H, 1) and (1, 1, W)."""
    rows, columns = (np.arange(side, dtype=np.float32) for side in x.shape[1:3])
    return rows[None, :, None], columns[None, None, :]


def _sample(x: Levels, row: NDArray[Any], column: NDArray[Any]) -> Levels:
    """Return the images at places between pixels, (n, H, W) or what spreads to it, bilinear, the edge repeated."""
    shape = x.shape[:3]
    row, column = (
        np.broadcast_to(place, shape).clip(0, side - 1) for place, side in zip((row, column), shape[1:], strict=True)
    )
    top, left = np.floor(row).astype(int), np.floor(column).astype(int)
    bottom, right = np.minimum(top + 1, shape[1] - 1), np.minimum(left + 1, shape[2] - 1)
    down, across = ((place - start)[..., None].astype(np.float32) for place, start in ((row, top), (column, left)))
    each = np.arange(len(x))[:, None, None]
    upper = x[each, top, left] * (1 - across) + x[each, top, right] * across
    lower = x[each, bottom, left] * (1 - across) + x[each, bottom, right] * across
    return np.asarray(upper * (1 - down) + lower * down, np.float32)
