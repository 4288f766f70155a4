"""Images blurred, and resized by Pillow's filters, whole batches at a time."""

from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Levels = NDArray[np.float32]


def through(x: Levels, share: float, there: Image.Resampling, back: Image.Resampling) -> Levels:
    """Return images (n, H, W, 3) of 0 to 255, resized to a share of their sides, to whole levels there, and back."""
    sides = x.shape[1:3]
    others = [max(1, int(side * share)) for side in sides]
    first = [resizing(side, to, there) for side, to in zip(sides, others, strict=True)]
    last = [resizing(to, side, back) for side, to in zip(sides, others, strict=True)]
    between = np.rint(np.einsum("ih,nhwc,jw->nijc", first[0], x, first[1], optimize=True)).clip(0, 255)
    return np.asarray(np.einsum("hi,nijc,wj->nhwc", last[0], between, last[1], optimize=True))


def blurred(x: Levels, sigma: float, reach: int) -> Levels:
    """Return fields (n, H, W, c) blurred by a Gaussian of `sigma` pixels, cut off at `reach`; the edge is reflected."""
    down, along = (blurring(side, sigma, reach) for side in x.shape[1:3])
    return np.asarray(np.einsum("ih,nhwc,jw->nijc", down, x, along, optimize=True))


@cache
def blurring(side: int, sigma: float, reach: int) -> Levels:
    """Return the matrix (side, side) by which a line is blurred."""
    weights = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * sigma**2))
    framed = np.pad(np.eye(side), ((reach, reach), (0, 0)), mode="symmetric")
    parts = [weight * framed[k : k + side] for k, weight in enumerate(weights / weights.sum())]
    return np.asarray(np.sum(parts, axis=0), np.float32)


@cache
def resizing(side: int, to: int, filter_: Image.Resampling) -> Levels:
    """Return the matrix (to, side) by which Pillow resizes a line: what it makes of the lines of the identity."""
    return np.asarray(Image.fromarray(np.eye(side, dtype=np.float32)).resize((side, to), filter_))
