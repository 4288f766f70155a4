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
    first = [_matrix(side, to, there) for side, to in zip(sides, others, strict=True)]
    last = [_matrix(to, side, back) for side, to in zip(sides, others, strict=True)]
    between = np.rint(np.einsum("ih,nhwc,jw->nijc", first[0], x, first[1], optimize=True)).clip(0, 255)
    return np.asarray(np.einsum("hi,nijc,wj->nhwc", last[0], between, last[1], optimize=True))


def blurred(x: Levels, sigma: float, reach: int) -> Levels:
    """Return fields (n, H, W, c) blurred by a Gaussian of `sigma` pixels, cut off at `reach`; the edge is reflected."""
    weights = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * sigma**2))
    weights = (weights / weights.sum()).astype(np.float32)
    for axis in (1, 2):
        frame = [(0, 0)] * 4
        frame[axis] = (reach, reach)
        framed, side = np.pad(x, frame, mode="symmetric"), x.shape[axis]
        parts = (weight * np.take(framed, range(k, k + side), axis) for k, weight in enumerate(weights))
        x = np.asarray(sum(parts), np.float32)
    return x


@cache
def _matrix(side: int, to: int, filter_: Image.Resampling) -> Levels:
    """Return the matrix (to, side) by which Pillow resizes a line: what it makes of the lines of the identity."""
    return np.asarray(Image.fromarray(np.eye(side, dtype=np.float32)).resize((side, to), filter_))
