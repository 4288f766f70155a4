"""Images resized by Pillow's filters, whole batches at a time: a filter is a matrix on each side."""

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


@cache
def _matrix(side: int, to: int, filter_: Image.Resampling) -> Levels:
    """Return the matrix (to, side) by which Pillow resizes a line: what it makes of the lines of the identity."""
    return np.asarray(Image.fromarray(np.eye(side, dtype=np.float32)).resize((side, to), filter_))
