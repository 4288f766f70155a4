"""Show every image of a dataset to a frozen backbone, and keep what it makes of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from whence import arrays
from whence.base import settings
from whence.base.stage import run
from whence.estimators.network import backbones
from whence.estimators.network.data import Scale
from whence.estimators.network.device import bf16, device

BLOCK = 64
"""Images that are shown together: few enough that what the layers hand on stays in the processor's cache, which makes
MobileNetV2 twice as fast as 512 do; and always as many, for kernels round differently by the batch."""


class Settings(settings.Section):
    """Section embed."""

    pixels: int = Field(ge=32, le=512)
    """Side that the images are brought to first."""


def main(dataset: str, backbone: str, images: Path, weights: Path, target: Path) -> None:
    """Read `images` (.npy, uint8, N×H×W×3) and `weights`; write `target` (.npy, float32, N×D), row by row."""
    name = backbones.known(backbone)
    section, array = settings.load("embed", Settings), arrays.read(images)
    net = backbones.load(weights, name, backbones.leaks([dataset]))
    shape = arrays.write_blocks(target, embedded(net, Scale(*backbones.normalisation(name)), array, section.pixels))
    print(f"{shape[0]:,} rows × {shape[1]} features")


def embedded(net: torch.nn.Module, scale: Scale, images: NDArray[Any], pixels: int) -> Iterator[NDArray[np.float32]]:
    """Yield the activations (≤ BLOCK, D) of images (n, H, W, 3) uint8, in their order, whatever n is."""
    from torch.fx.experimental.optimization import fuse
    from tqdm import trange

    where = device()
    kind = torch.bfloat16 if bf16(where) else torch.float32
    # Every normalisation becomes part of the convolution before it, and all of it runs in bf16 where the hardware can.
    quick = fuse(net.eval()).to(where, kind).to(memory_format=torch.channels_last)
    full = np.zeros((BLOCK, *images.shape[1:]), np.uint8)
    for start in trange(0, len(images), BLOCK, unit="block", disable=None):
        block = images[start : start + BLOCK]
        full[: len(block)] = block
        with torch.inference_mode():
            x = backbones.resized(scale(torch.from_numpy(full).to(where)), pixels)
            z = quick(x.to(kind, memory_format=torch.channels_last))
        yield z[: len(block)].float().cpu().numpy()


if __name__ == "__main__":
    run(main)
