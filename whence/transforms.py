"""Images with something taken away: what of an answer is left says where it came from.

Each takes images (n, H, W, 3) uint8 and gives the same back. Those that resample treat every image alike, so that a
difference in how two domains were made small is gone; the others are the transforms of Zeng et al. 2024 (arXiv
2412.01876), and of Fourier analysis.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from whence.base.resample import blurred, through

Images = NDArray[np.uint8]
SIGMA = 1.5
"""Of the Gaussian that parts low frequencies from high ones, in pixels."""
PATCH = 4
"""Side of the patches that are shuffled, in pixels."""
GREY = 127.5


def box16(images: Images, _: np.random.Generator) -> Images:
    """Reduce to half of the size by means, and enlarge by them."""
    return _through(images, 1 / 2, Image.Resampling.BOX)


def lanczos24(images: Images, _: np.random.Generator) -> Images:
    """Reduce to three quarters of the size by Lanczos' filter, and enlarge by it."""
    return _through(images, 3 / 4, Image.Resampling.LANCZOS)


def enlarged(images: Images, _: np.random.Generator) -> Images:
    """Enlarge eight times by the bicubic filter, and reduce by it: 32 pixels to 256 and back."""
    return _through(images, 8, Image.Resampling.BICUBIC)


def low_pass(images: Images, _: np.random.Generator) -> Images:
    """Keep what a Gaussian of 1.5 pixels leaves."""
    return _levels(blurred(images.astype(np.float32), SIGMA, round(3 * SIGMA)))


def high_pass(images: Images, _: np.random.Generator) -> Images:
    """Keep what a Gaussian of 1.5 pixels takes away, about grey."""
    levels = images.astype(np.float32)
    return _levels(levels - blurred(levels, SIGMA, round(3 * SIGMA)) + GREY)


def patch_shuffle(images: Images, rng: np.random.Generator) -> Images:
    """Put the patches of 4 × 4 pixels in a random order, another for each image."""
    return _shuffled(images, PATCH, rng)


def pixel_shuffle(images: Images, rng: np.random.Generator) -> Images:
    """Put the pixels in a random order, another for each image."""
    return _shuffled(images, 1, rng)


def mean_colour(images: Images, _: np.random.Generator) -> Images:
    """Give every pixel the mean colour of its image."""
    return np.broadcast_to(_levels(images.mean(axis=(1, 2), keepdims=True)), images.shape).copy()


def edges(images: Images, _: np.random.Generator) -> Images:
    """Keep how steep the luma is (Sobel), in grey."""
    luma = np.pad(images @ np.array([0.299, 0.587, 0.114], np.float32), ((0, 0), (1, 1), (1, 1)), mode="edge")
    smooth_down = luma[:, :-2] + 2 * luma[:, 1:-1] + luma[:, 2:]
    smooth_right = luma[:, :, :-2] + 2 * luma[:, :, 1:-1] + luma[:, :, 2:]
    across, down = smooth_down[:, :, 2:] - smooth_down[:, :, :-2], smooth_right[:, 2:] - smooth_right[:, :-2]
    return _levels(np.repeat(np.hypot(across, down)[..., None] / 4, 3, axis=3))


def amplitude(images: Images, rng: np.random.Generator) -> Images:
    """Keep how strong each frequency is, and where each wave lies from noise, the same for all images."""
    noise = np.fft.rfft2(rng.normal(size=(1, *images.shape[1:])), axes=(1, 2))
    waves = np.fft.rfft2(images, axes=(1, 2))
    mixed = np.abs(waves) * np.exp(1j * np.angle(noise))
    mixed[:, 0, 0] = waves[:, 0, 0]  # the mean
    return _levels(np.fft.irfft2(mixed, s=images.shape[1:3], axes=(1, 2)))


def phase(images: Images, _: np.random.Generator) -> Images:
    """Keep where each wave lies, and give all the strength that falls with frequency as that of photographs does."""
    height, width = images.shape[1:3]
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)).clip(1 / max(height, width))
    waves = np.exp(1j * np.angle(np.fft.rfft2(images, axes=(1, 2)))) / frequency[None, :, :, None]
    waves[:, 0, 0] = 0
    fields = np.fft.irfft2(waves, s=(height, width), axes=(1, 2))
    return _levels(GREY + 50 * fields / fields.std(axis=(1, 2, 3), keepdims=True).clip(1e-9))


TRANSFORMS: dict[str, Callable[[Images, np.random.Generator], Images]] = {
    function.__name__: function
    for function in (
        *(box16, lanczos24, enlarged, low_pass, high_pass, patch_shuffle, pixel_shuffle, mean_colour),
        *(edges, amplitude, phase),
    )
}


def _levels(values: NDArray[Any]) -> Images:
    return np.asarray(np.rint(values).clip(0, 255), np.uint8)


def _through(images: Images, share: float, filter_: Image.Resampling) -> Images:
    return _levels(through(images.astype(np.float32), share, filter_, filter_))


def _shuffled(images: Images, side: int, rng: np.random.Generator) -> Images:
    """Return the images with their squares of `side` pixels in random order; what is left over at an edge stays."""
    count, rows, columns = len(images), images.shape[1] // side, images.shape[2] // side
    inside = images[:, : rows * side, : columns * side]
    squares = inside.reshape(count, rows, side, columns, side, 3).swapaxes(2, 3).reshape(count, -1, side, side, 3)
    order = rng.random(squares.shape[:2]).argsort(axis=1)
    mixed: Images = np.take_along_axis(squares, order[:, :, None, None, None], axis=1)
    done: Images = np.array(images)
    done[:, : rows * side, : columns * side] = (
        mixed.reshape(count, rows, columns, side, side, 3).swapaxes(2, 3).reshape(inside.shape)
    )
    return done
