"""Training frames and their masks, changed at random alike: a part of the frame, mirrored, in other light."""

import math

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from whence.base.settings import Section
from whence.estimators.network.augment import jitter
from whence.estimators.network.data import UNCOUNTED, Scale, constant, send


class Settings(Section):
    """Section augment of a network for streets."""

    flip: bool
    """Mirror frames, alternately: half of them in even epochs, the other half in odd ones."""
    smallest: float = Field(gt=0, le=1)
    """Least factor of the size at which a frame is looked at; as largest."""
    largest: float = Field(ge=1, le=4)
    jitter: float = Field(ge=0, lt=1)
    """Brightness, contrast and saturation each times a factor within 1 ± jitter."""
    crop_height: int = Field(ge=16)
    """Of the part that is learnt from, in pixels; multiples of 16, as crop_width."""
    crop_width: int = Field(ge=16)


def change(
    x: Tensor, y: Tensor, height: int, mirrored: Tensor, settings: Settings, scale: Scale, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return parts (B, 3, h, w) of frames (B, 3, H, W), and of masks (B, H, W) of class numbers the same parts.

    A frame is brought to `height` times a factor, drawn evenly on a logarithmic scale; where the part then goes over
    its edge, it has the mean colour, and its pixels count as nothing. `mirrored` (B,) bool says which are turned round.
    """
    most = round(height * settings.largest)
    if x.shape[2] > most:  # a grid takes single pixels, which of a much larger frame are aliases
        size = (most, round(x.shape[3] * most / x.shape[2]))
        x = functional.interpolate(x, size, mode="bilinear", antialias=True, align_corners=False)
    grid = _grid(x, height, mirrored, settings, generator)
    frames = functional.grid_sample(x, grid, padding_mode="zeros", align_corners=False)
    # Numbers above 0, so that what is beyond the edge, 0, is told apart.
    numbers = (y - UNCOUNTED).float()[:, None]
    masks = functional.grid_sample(numbers, grid, mode="nearest", padding_mode="zeros", align_corners=False)[:, 0]
    if settings.jitter:
        mean, std = (constant(part, x.device)[:, None, None] for part in scale)
        frames = (jitter(frames * std + mean, settings.jitter, generator) - mean) / std
    return frames.contiguous(memory_format=torch.channels_last), masks.round().long() + UNCOUNTED


def _grid(x: Tensor, height: int, mirrored: Tensor, settings: Settings, generator: torch.Generator) -> Tensor:
    """Return (B, h, w, 2), where in a frame, from -1 to 1 along both sides, each pixel of its part comes from."""
    count, _, tall, wide = x.shape
    low, high = math.log(settings.smallest), math.log(settings.largest)
    size, down, right = send(torch.rand((3, count), generator=generator), x.device)
    factor = (low + size * (high - low)).exp() * height / tall  # of the frame's own pixels
    shares = [settings.crop_height / (factor * tall), settings.crop_width / (factor * wide)]
    # A part that is smaller than the frame lies anywhere in it, a larger one has it anywhere within itself.
    shifts = [(1 - share).abs() * (2 * place - 1) for share, place in zip(shares, (down, right), strict=True)]
    turned = torch.where(settings.flip & mirrored, -1.0, 1.0)
    zero = torch.zeros_like(factor)
    along = torch.stack([shares[1] * turned, zero, shifts[1]], dim=1)
    across = torch.stack([zero, shares[0], shifts[0]], dim=1)
    shape = [count, 3, settings.crop_height, settings.crop_width]
    return functional.affine_grid(torch.stack([along, across], dim=1), shape, align_corners=False)
