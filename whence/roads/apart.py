"""Can the frames of two datasets be told apart, and by what? Each way of seeing leaves one kind of clue.

Frames of the two are cut to one shape before they are brought to squares: their sizes say nothing by themselves.
"""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from whence import transforms
from whence.estimators.network import augment
from whence.roads.classes import LEVEL1, Mask, palette

Levels = NDArray[np.uint8]
GREY = np.array(augment.GREY, np.float32)
PAINT = palette([each.colour for each in LEVEL1], rest=0)
"""(256, 3): the colour of each of the seven classes, black for what counts as nothing."""


def cut(frames: Levels, ratio: float) -> Levels:
    """Return the middle of frames or masks (n, H, W, …), as much of their width as is `ratio` times their height."""
    wide = frames.shape[2]
    kept = min(wide, round(ratio * frames.shape[1]))
    left = (wide - kept) // 2
    return frames[:, :, left : left + kept]


def whole(images: Levels, masks: Mask, side: int, rng: np.random.Generator) -> Levels:
    """Return the frames, small (Pillow's BOX): all clues but the finest detail."""
    return np.stack([np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BOX)) for image in images])


def colour(images: Levels, masks: Mask, side: int, rng: np.random.Generator) -> Levels:
    """Return the pixels of small frames in a random order: their colours alone."""
    return transforms.pixel_shuffle(whole(images, masks, side, rng), rng)


def detail(images: Levels, masks: Mask, side: int, rng: np.random.Generator) -> Levels:
    """Return a square of each frame's own pixels, in grey, less what is smooth: resolution, sharpness, coding."""
    tall, wide = images.shape[1:3]
    span = min(side, tall, wide)
    down, right = rng.integers(0, tall - span + 1, len(images)), rng.integers(0, wide - span + 1, len(images))
    squares = np.stack([image[y : y + span, x : x + span] for image, y, x in zip(images, down, right, strict=True)])
    if span < side:
        squares = np.pad(squares, ((0, 0), (0, side - span), (0, side - span), (0, 0)), mode="reflect")
    grey = np.rint(squares @ GREY).astype(np.uint8)
    return transforms.high_pass(np.repeat(grey[..., None], 3, axis=3), rng)


def layout(images: Levels, masks: Mask, side: int, rng: np.random.Generator) -> Levels:
    """Return the masks, painted, small by nearest: what stands where, and nothing of how it looks."""
    small = [np.asarray(Image.fromarray(mask).resize((side, side), Image.Resampling.NEAREST)) for mask in masks]
    painted: Levels = PAINT[np.stack(small)]
    return painted


CLUES: dict[str, Callable[[Levels, Mask, int, np.random.Generator], Levels]] = {
    "whole": whole, "colour": colour, "detail": detail, "layout": layout,
}  # fmt: skip


def folds(unit: NDArray[np.str_], second: NDArray[np.bool_], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return (n,) the fold of each frame: units are dealt out at random, those of each dataset apart, so evenly."""
    fold = np.zeros(len(unit), np.int64)
    for side in (False, True):
        for place, name in enumerate(rng.permutation(np.unique(unit[second == side]))):
            fold[(unit == name) & (second == side)] = place % count
    return fold


def held_out(fold: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """Yield the frames to learn from, and those that are asked about, of each fold."""
    for k in range(fold.max() + 1):
        yield fold != k, fold == k
