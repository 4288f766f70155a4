"""Images as they come out of JPEG: what a model that was trained on JPEGs expects."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def recode(images: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """Return images (n, H, W, 3) uint8 after encoding and decoding at an IJG `quality`, with Pillow's subsampling."""
    done = np.empty(images.shape, np.uint8)
    for place, image in enumerate(images):
        encoded = io.BytesIO()
        Image.fromarray(image).save(encoded, "JPEG", quality=quality)
        with Image.open(encoded) as decoded:
            done[place] = np.asarray(decoded)
    return done
