"""Depthwise convolutions with holes, as fast as those without: the libraries' own are up to ten times slower on a CPU.

Taps that lie beyond the image wherever the kernel stands are left out. Of the others, pixels that meet are `dilation`
apart, so the image falls into as many parts along each side, of which each meets a kernel without holes (space to
batch, Chen et al. 2017, arXiv 1606.00915, section 3.1).
"""

import math

from torch import Tensor, nn
from torch.nn import functional


class Atrous(nn.Conv2d):
    """A depthwise convolution that keeps the size of the image; its parameters and results are nn.Conv2d's."""

    def forward(self, images: Tensor) -> Tensor:
        """Return (B, C, H, W) of images (B, C, H, W)."""
        count, channels, *sides = images.shape
        kernel, dilation, padding = self.weight, list(self.dilation), []
        for axis, side in enumerate(sides):
            reach = min(kernel.shape[2 + axis] // 2, math.ceil(side / dilation[axis]) - 1)  # taps each way
            kernel = kernel.narrow(2 + axis, kernel.shape[2 + axis] // 2 - reach, 2 * reach + 1)
            dilation[axis] = dilation[axis] if reach else 1
            padding.append(reach)
        down, right = dilation
        tall, wide = (math.ceil(side / step) for side, step in zip(sides, dilation, strict=True))
        x = functional.pad(images, (0, wide * right - sides[1], 0, tall * down - sides[0])).permute(0, 2, 3, 1)
        x = x.reshape(count, tall, down, wide, right, channels).permute(0, 2, 4, 1, 3, 5)
        x = x.reshape(count * down * right, tall, wide, channels).permute(0, 3, 1, 2)
        x = functional.conv2d(x, kernel, self.bias, padding=padding, groups=self.groups).permute(0, 2, 3, 1)
        x = x.reshape(count, down, right, tall, wide, channels).permute(0, 3, 1, 4, 2, 5)
        x = x.reshape(count, tall * down, wide * right, channels).permute(0, 3, 1, 2)
        return x[:, :, : sides[0], : sides[1]]


def quicken(net: nn.Module) -> None:
    """Let every convolution in a network that is depthwise, has holes and keeps the size be an `Atrous`."""
    for part in net.modules():
        # segmentation-models-pytorch's own kind is nn.Conv2d where its padding does nothing.
        plain = type(part) is nn.Conv2d or type(getattr(part, "static_padding", None)) is nn.Identity
        if plain and isinstance(part, nn.Conv2d) and part.groups == part.in_channels == part.out_channels:
            keeps = [d * (k // 2) for d, k in zip(part.dilation, part.kernel_size, strict=True)]
            odd = all(side % 2 for side in part.kernel_size)
            if max(part.dilation) > 1 and part.stride == (1, 1) and odd and list(part.padding) == keeps:
                part.__class__ = Atrous
