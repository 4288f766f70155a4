"""Training images, changed at random: each image of a batch in its own way, and in another way every epoch.

All of it is tensor arithmetic on whole batches, on the device where they are. What is 0 or false costs nothing.
"""

import functools
import math

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from whence.base.settings import Section
from whence.estimators.network.data import Scale, constant, send

GREY = (0.299, 0.587, 0.114)
"""Weights of R, G and B in the luma (ITU-R BT.601)."""
BLURS = 16
"""Strengths of blur, evenly spaced, among which it is drawn."""
FILTERS = ("BOX", "BILINEAR", "BICUBIC", "LANCZOS")
"""Pillow's, by which images are made small, and large again."""


class Settings(Section):
    """Section augment of a network: how far an image may be changed."""

    flip: bool
    """Mirror images, alternately: half of them in even epochs, the other half in odd ones (Jordan 2024)."""
    turn: bool
    """Turn half of the images upside down, and transpose half: with flip, all symmetries of a square."""
    shift: int = Field(ge=0)
    """Most whole pixels up, down, left and right; the edge is reflected."""
    rotate: float = Field(ge=0, le=15)
    """Most degrees in either direction."""
    zoom: float = Field(ge=0, lt=1)
    """Scale factor within 1 ± zoom."""
    shear: float = Field(ge=0, lt=1)
    """Most horizontal shear, in pixels per pixel."""
    jitter: float = Field(ge=0, lt=1)
    """Brightness, contrast and saturation each times a factor within 1 ± jitter."""
    cutout: int = Field(ge=0)
    """Side of a square of pixels that is set to the mean (DeVries & Taylor 2017)."""
    blur: float = Field(ge=0, le=5)
    """Greatest standard deviation, in pixels, of the Gaussian by which half of the images are blurred."""
    rescale: int = Field(ge=0)
    """Fewest pixels of a side to which half of the images are reduced, and enlarged again; 0: none is."""


def augment(images: Tensor, mirrored: Tensor, settings: Settings, scale: Scale, generator: torch.Generator) -> Tensor:
    """Return a changed copy of `images` (B, 3, H, W) float, which `scale` has made of pixels.

    `mirrored` (B,) bool says which of them an alternating flip turns round, see `mirror`. Draws come from `generator`,
    which lives on the CPU, so that they are the same on every device.
    """
    if settings.blur or settings.rescale:
        images = wear(images, settings, scale, generator)
    if settings.flip:
        images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
    if settings.turn:
        images = turn(images, generator)
    if settings.shift:
        images = shift(images, settings.shift, generator)
    if settings.rotate or settings.zoom or settings.shear:
        images = warp(images, settings, generator)
    if settings.jitter:
        mean, std = (constant(part, images.device)[:, None, None] for part in scale)
        images = (jitter(images * std + mean, settings.jitter, generator) - mean) / std
    if settings.cutout:
        images = cutout(images, settings.cutout, generator)
    return images


def mirror(rows: Tensor, epoch: int, seed: int) -> Tensor:
    """Return (B,) bool, whether a row (its number, int64) is mirrored in an epoch: the opposite of the epoch before."""
    hashed = (rows * 2654435761 + (seed + 1) * 40503) & 0xFFFFFFFF
    hashed = ((hashed ^ (hashed >> 15)) * 2246822519) & 0xFFFFFFFF
    return ((hashed >> 16) + epoch) % 2 == 1


def turn(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return the square images, half of them upside down, half of them, drawn apart, with rows and columns swapped."""
    drawn = torch.rand((2, len(images)), generator=generator) < 0.5
    down, over = send(drawn, images.device)[:, :, None, None, None]
    images = torch.where(down, images.flip(2), images)
    return torch.where(over, images.transpose(2, 3), images).contiguous(memory_format=torch.channels_last)


def shift(images: Tensor, most: int, generator: torch.Generator) -> Tensor:
    """Return the images moved by up to `most` whole pixels each way, fewer than H and W; the edge is reflected."""
    count, _, height, width = images.shape
    down, right = send(torch.randint(0, 2 * most + 1, (2, count), generator=generator), images.device)
    padded = functional.pad(images, (most, most, most, most), mode="reflect")
    # Every crop that there is, as a view; indexed as NHWC, which is how channels_last images lie in memory.
    crops = padded.permute(0, 2, 3, 1).unfold(1, height, 1).unfold(2, width, 1)
    return crops[torch.arange(count, device=images.device), down, right]


def warp(images: Tensor, settings: Settings, generator: torch.Generator) -> Tensor:
    """Return the images sheared, rotated and zoomed about their centre, bilinear, the edge reflected."""
    height, width = images.shape[2:]
    angle, scale, slant = _uniform(3, images, generator)
    angle, scale, slant = angle * math.radians(settings.rotate), 1 + scale * settings.zoom, slant * settings.shear
    cos, sin, zero = angle.cos() / scale, angle.sin() / scale, torch.zeros_like(angle)
    # Where each pixel comes from; the grid goes from -1 to 1 along both sides, however long they are.
    x = torch.stack([cos, (slant * cos - sin) * height / width, zero], dim=1)
    y = torch.stack([sin * width / height, slant * sin + cos, zero], dim=1)
    grid = functional.affine_grid(torch.stack([x, y], dim=1), list(images.shape), align_corners=False)
    warped = functional.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    return warped.contiguous(memory_format=torch.channels_last)


def jitter(levels: Tensor, most: float, generator: torch.Generator) -> Tensor:
    """Return images with saturation, contrast and brightness times 1 ± `most`; level 0 is black; nothing is clipped."""
    bright, contrast, colour = 1 + most * _uniform(3, levels, generator)[:, :, None, None, None]
    luma = (levels * constant(GREY, levels.device)[:, None, None]).sum(1, keepdim=True)
    mean = luma.mean((2, 3), keepdim=True)
    changed: Tensor = bright * (mean + contrast * (luma - mean + colour * (levels - luma)))
    return changed


def wear(images: Tensor, settings: Settings, scale: Scale, generator: torch.Generator) -> Tensor:
    """Return the square images, half of them blurred and resampled, each in its own way, to whole levels."""
    bank = _wearing(images.shape[2], settings.blur, settings.rescale, images.device)
    count = len(images)
    worn = torch.rand(count, generator=generator) < 0.5
    chosen = [send(torch.randint(0, len(part), (count,), generator=generator) * worn, images.device) for part in bank]
    both = bank[0][chosen[0]] @ bank[1][chosen[1]]
    mean, std = (constant(part, images.device)[:, None, None] for part in scale)
    levels = both[:, None] @ (images * std + mean) @ both.transpose(1, 2)[:, None]
    return ((levels.round().clamp(0, 255) - mean) / std).contiguous(memory_format=torch.channels_last)


@functools.lru_cache(maxsize=8)
def _wearing(side: int, blur: float, smallest: int, where: torch.device) -> tuple[Tensor, Tensor]:
    """Return the matrices (n, side, side) of every blur, and of every size and filter; the first of each does nothing.

    The filter by which an image is made small is drawn, and so is the one by which it is made large again.
    """
    from PIL.Image import Resampling

    from whence.base.resample import blurring, resizing

    sigmas = [blur * k / BLURS for k in range(1, BLURS + 1)] if blur else []
    blurs = [blurring(side, sigma, math.ceil(3 * sigma)) for sigma in sigmas]
    sizes = [
        resizing(to, side, Resampling[back]) @ resizing(side, to, Resampling[there])
        for to in range(smallest or side, side)
        for there in FILTERS
        for back in FILTERS
    ]
    with torch.inference_mode(mode=False):
        blurred, resized = (
            torch.stack([torch.eye(side), *map(torch.from_numpy, part)]).to(where) for part in (blurs, sizes)
        )
    return blurred, resized


def cutout(images: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """Return the images with a square of `side` pixels set to 0, its centre drawn evenly; it may go over the edge."""
    inside = []
    for axis in (2, 3):
        length = images.shape[axis]
        first = send(torch.randint(0, length, (len(images), 1), generator=generator), images.device) - side // 2
        place = torch.arange(length, device=images.device)
        inside.append((place >= first) & (place < first + side))
    square = inside[0][:, :, None] & inside[1][:, None, :]
    return torch.where(square[:, None], 0.0, images)


def _uniform(numbers: int, images: Tensor, generator: torch.Generator) -> Tensor:
    """Return (numbers, B) drawn evenly from [-1, 1), where the images are."""
    return send(2 * torch.rand((numbers, len(images)), generator=generator) - 1, images.device)
