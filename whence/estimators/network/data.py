"""What networks learn from: images, or features, as one tensor on the device, and how they become their input."""

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from whence.base.arrays import Stored
from whence.base.errors import InputError

RUN = 256
"""Rows of a window that stand beside each other on disk."""
BLOCK = 4096
"""Images that are counted at once: counting takes eight bytes for each of theirs."""
NOWHERE = 255
"""In a mask: a pixel of no class."""
UNCOUNTED = -100
"""The same among the numbers that a loss takes."""


class Read:
    """Images that are read from disk, and sent to the device, when they are asked for."""

    def __init__(self, stored: Stored, where: torch.device) -> None:
        self.stored, self.where, self.shape = stored, where, stored.shape

    def __getitem__(self, which: Tensor | slice) -> Tensor:
        places = which if isinstance(which, slice) else which.cpu().numpy()
        return torch.from_numpy(self.stored[places]).to(self.where)

    def expect(self, which: Tensor) -> None:
        """Have the system read what will be asked for soon."""
        self.stored.expect(which.cpu().numpy())


class Masks:
    """The number of the class of every pixel: what segmentation learns."""

    def __init__(self, masks: Tensor | Read, classes: int) -> None:
        """Take (N, H, W) uint8, `NOWHERE` for pixels that count as nothing."""
        self.masks, self.device = masks, masks.where if isinstance(masks, Read) else masks.device
        self.is_cuda = self.device.type == "cuda"
        starts = range(0, len(self), BLOCK // 64)
        blocks = (torch.bincount(masks[k : k + BLOCK // 64].flatten(), minlength=256) for k in starts)
        found = sum(blocks, torch.zeros(256, dtype=torch.int64, device=self.device))
        self.counts, self.others = found[:classes], found[classes:NOWHERE]
        """(classes,) pixels of each, and (255 - classes,) those of numbers that are of no class."""

    def __len__(self) -> int:
        return self.masks.shape[0]

    def __getitem__(self, which: Tensor | slice) -> Tensor:
        """Return (B, H, W) int64, `UNCOUNTED` for pixels that count as nothing."""
        part = self.masks[which].long()
        return part.masked_fill_(part == NOWHERE, UNCOUNTED)


class Data(NamedTuple):
    """A split, on the device."""

    images: Tensor | Read
    """(N, H, W, 3) uint8, features (N, D) float32, or what a network remembers of images, (N, C, H, W) float16."""
    y: Tensor | Masks
    """(N,) int64, the number of the class."""

    @property
    def counts(self) -> Tensor:
        """(K,) int64: how many rows, or pixels, are of each class."""
        return torch.bincount(self.y) if isinstance(self.y, Tensor) else self.y.counts

    def expect(self, which: Tensor) -> None:
        """Have the system read what of it is on disk, and will be asked for soon."""
        for part in self.parts:
            if isinstance(part, Read):
                part.expect(which)

    @property
    def parts(self) -> list[Tensor | Read]:
        """All that it holds."""
        return [self.images, self.y if isinstance(self.y, Tensor) else self.y.masks]


class Scale(NamedTuple):
    """How pixels, 0 to 255, become the input of a network, per channel; numbers of another kind stay as they are."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, images: Tensor) -> Tensor:
        """Return float32, channels_last: of images (B, H, W, 3) uint8 (B, 3, H, W), all else by the same numbers."""
        if images.ndim == 2:
            return images
        if images.dtype != torch.uint8:
            return images.to(torch.float32, memory_format=torch.channels_last)
        # Whole rows of pixels with rows of means: ten times as fast as pixel by pixel.
        mean, std = (constant(part, images.device).repeat(images.shape[2]) for part in self)
        scaled = images.flatten(2).to(torch.float32, copy=True).sub_(mean).div_(std)
        return scaled.view(images.shape).permute(0, 3, 1, 2)

    def of_unit(self, x: Tensor) -> Tensor:
        """Return the same of images (B, 3, H, W) float32 in [0, 1]."""
        mean, std = (constant(part, x.device)[:, None, None] for part in self)
        return (255 * x - mean) / std


@functools.lru_cache(maxsize=64)
def constant(numbers: tuple[float, ...], where: torch.device) -> Tensor:
    """Return (n,) float32 on a device, sent there once: whoever sends to a GPU waits for it."""
    with torch.inference_mode(mode=False):
        return torch.tensor(numbers, device=where)


def send(drawn: Tensor, where: torch.device) -> Tensor:
    """Return a tensor of the CPU on a device, without waiting for what a GPU has to do before."""
    return drawn.pin_memory().to(where, non_blocking=True) if where.type == "cuda" else drawn


def measure(x: NDArray[np.uint8] | Stored) -> Scale:
    """Return mean and standard deviation per channel, in levels; exact, from the counts. Of features it is empty."""
    if x.ndim == 2:
        return Scale((), ())
    counts = np.zeros((3, 256), np.int64)
    for start in range(0, len(x), BLOCK):
        block = x[start : start + BLOCK]
        counts += [np.bincount(block[..., channel].ravel(), minlength=256) for channel in range(3)]
    level = np.arange(256)
    mean = (counts * level).sum(1) / counts.sum(1)
    variance = (counts * level**2).sum(1) / counts.sum(1) - mean**2
    return Scale(tuple(mean.tolist()), tuple(np.sqrt(variance.clip(1)).tolist()))


def read(preprocessing: dict[str, list[float]]) -> Scale:
    """Return the scale that stands in a card; raises TypeError or ValueError if it is none."""
    scale = Scale(**{name: tuple(values) for name, values in preprocessing.items()})
    if not len(scale.mean) == len(scale.std) in (0, 3) or min(scale.std, default=1) <= 0:
        raise ValueError(f"preprocessing is {preprocessing}, expected three numbers each, std above 0, or none")
    return scale


def load(x: NDArray[Any] | Stored, y: NDArray[Any], classes: NDArray[Any], where: torch.device) -> Data:
    """Return a split on a device; of what is stored the labels alone."""
    numbers = {name: number for number, name in enumerate(classes.tolist())}
    return Data(held(x, where), torch.tensor([numbers[name] for name in y.tolist()]).to(where))


def held(x: NDArray[Any] | Stored, where: torch.device) -> Tensor | Read:
    """Return an array on a device; what is stored is read when it is asked for."""
    return Read(x, where) if isinstance(x, Stored) else placed(x, where)


def placed(x: NDArray[Any], where: torch.device) -> Tensor:
    """Return an array in memory on a device."""
    return torch.from_numpy(np.require(x, requirements=["C", "W"])).to(where)  # PyTorch warns of what cannot be written


def check(splits: Sequence[tuple[NDArray[Any] | Stored, NDArray[Any]]], classes: NDArray[Any], section: str) -> None:
    """Raise InputError, which names `section`, unless images and labels, those of train first, suit each other."""
    known, shape = classes.tolist(), splits[0][0].shape[1:]
    for x, y in splits:
        images, features = (
            x.dtype == np.uint8 and x.ndim == 4 and x.shape[3] == 3,
            x.dtype == np.float32 and x.ndim == 2,
        )
        if not (images or features) or x.shape[1:] != shape or x.dtype != splits[0][0].dtype:
            wanted = "images (n, height, width, 3) uint8 or features (n, d) float32"
            raise InputError(f"{section}: takes {wanted}, got {x.shape} {x.dtype}")
        if len(x) != len(y) or not len(y):
            raise InputError(f"{section}: got {len(x)} images and {len(y)} labels, expected as many, and some")
        if strange := set(y.tolist()) - set(known):
            raise InputError(f"{section}: rows of {_names(strange)}, expected only {_names(known)}")
    if not 2 <= len(known) == len(set(known)) or not all(isinstance(name, str | int) for name in known):
        raise InputError(f"{section}: classes {_names(known)}: expected two or more, names or whole numbers, each once")
    if missing := set(known) - set(splits[0][1].tolist()):
        raise InputError(f"{section}: no training rows of {_names(missing)}")


def _names(classes: Any) -> str:
    return ", ".join(sorted(map(str, classes)))


def drawn_batches(
    rows: int, batch: int, window: int | None, world: int, generator: torch.Generator, where: torch.device
) -> list[tuple[Tensor, Tensor | None]]:
    """Return the rows in random order, in batches on a device; with the first of a window the rows of the next window.

    There is one window, or each holds `window` rows at most, in runs of `RUN` from anywhere, which disks read quickly.
    Batches are as equal as can be, and hold two rows or more for each of `world` processes, without which there is no
    variance to normalise by.
    """
    windows = [torch.randperm(rows, generator=generator)]
    if window is not None and window < rows:
        runs = [torch.arange(start, min(start + RUN, rows)) for start in range(0, rows, RUN)]
        order = torch.cat([runs[k] for k in torch.randperm(len(runs), generator=generator).tolist()])
        parts = order.tensor_split(math.ceil(rows / window))
        windows = [part[torch.randperm(len(part), generator=generator)] for part in parts]
    found: list[tuple[Tensor, Tensor | None]] = []
    for part, after in zip(windows, [*windows[1:], None], strict=True):
        count = max(1, min(round(len(part) / batch), len(part) // (2 * world)))
        first, *others = part.to(where).tensor_split(count)
        found += [(first, after), *((other, None) for other in others)]
    return found
