"""What a frozen backbone makes of images: its pooled activations, as features."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from whence.base import settings
from whence.base.arrays import Stored
from whence.estimators.network import backbones, convolutions
from whence.estimators.network.data import Scale
from whence.estimators.network.device import bf16, device


class Settings(settings.Section):
    """Section embed."""

    pixels: int = Field(ge=32, le=512)
    """Side that the images are brought to first."""


class Embedding:
    """A trunk that answers: `embedding(images)` yields the activations (≤ block, D) of images (n, H, W, 3) uint8.

    Images are shown by the `block`, always as many: kernels round differently by the batch.
    """

    def __init__(self, net: torch.nn.Module, scale: Scale, pixels: int) -> None:
        """Make a trunk ready: normalisations become part of convolutions, all in bf16 where the hardware can."""
        self.scale, self.pixels, self.device = scale, pixels, device()
        self.block = backbones.few(pixels, self.device)
        self.kind = torch.bfloat16 if bf16(self.device) else torch.float32
        self.net = backbones.folded(net).to(self.device, self.kind).to(memory_format=torch.channels_last)
        convolutions.quicken(self.net)

    @classmethod
    def load(cls, backbone: str, weights: Path, dataset: str) -> Self:
        """Return that of a backbone by section embed.

        Raises InputError if the weights are of another, or learnt from test images of `dataset`.
        """
        name, section = backbones.known(backbone), settings.load("embed", Settings)
        net = backbones.load(weights, name, backbones.leaks([dataset]))
        return cls(net, Scale(*backbones.normalisation(name)), section.pixels)

    def of_pixels(self, x: torch.Tensor) -> torch.Tensor:
        """Return the activations (B, D) float32 of images (B, 3, H, W) float32 in [0, 1]."""
        return self._answer(self.scale.of_unit(x))

    def __call__(
        self, images: NDArray[Any] | Stored, blocks: Iterable[int] | None = None
    ) -> Iterator[NDArray[np.float32]]:
        """Yield the activations of blocks of images, by their numbers; of all, in the images' order, where not told."""
        full = np.zeros((self.block, *images.shape[1:]), np.uint8)
        for number in range(-(-len(images) // self.block)) if blocks is None else blocks:
            block = images[number * self.block : (number + 1) * self.block]
            full[: len(block)] = block
            with torch.inference_mode():
                z = self._answer(self.scale(torch.from_numpy(full).to(self.device)))
            yield z[: len(block)].cpu().numpy()

    def _answer(self, x: torch.Tensor) -> torch.Tensor:
        """Return (B, D) float32 for scaled images."""
        x = backbones.resized(x, self.pixels).to(self.kind, memory_format=torch.channels_last)
        z: torch.Tensor = self.net(x)
        return z.float()
