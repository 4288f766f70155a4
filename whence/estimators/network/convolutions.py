"""Convolutions over the few pixels that a deep network leaves of a small image, fast on a CPU.

Depthwise ones: where an image is smaller than the kernel, or about its size, PyTorch's CPU library (oneDNN) falls back
to a plain loop for the gradient of the weights, which then takes half of a training. For kernels of three pixels over
images of three or more it has a fast one, and the others can be put together of that: a kernel of five is covered by
four of three. Those of one pixel are products of matrices, for which there is a faster library (MKL). So are those of
three over images of two or one, where nothing learns: of nine products four or one are with pixels that there are.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

FEW = 4
"""Longest side, in pixels, of images to which that happens."""
SMALL = 7
"""Longest side, in pixels, of images over which convolutions of one pixel are quicker as products of matrices."""
LEAST = 2
"""Longest side, in pixels, of images over which those of three are, …"""
MANY = 256
"""… from so many channels on."""


class _Few(torch.autograd.Function):
    @staticmethod
    def forward(held: Any, x: Tensor, kernel: Tensor) -> Tensor:
        held.save_for_backward(x, kernel)
        return functional.conv2d(x, kernel, padding=kernel.shape[2] // 2, groups=len(kernel))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(held: Any, found: Tensor) -> tuple[Tensor | None, Tensor]:
        x, kernel = held.saved_tensors
        of_x = None
        if held.needs_input_grad[0]:
            of_x = _gradients(found, x, kernel, kernel.shape[2] // 2, [True, False, False])[0].to(x.dtype)
        return of_x, _of_kernel(found, x, len(kernel[0, 0])).to(kernel.dtype)


def _of_kernel(found: Tensor, x: Tensor, side: int) -> Tensor:
    """Return the gradient (C, 1, side, side) of a kernel of three or five pixels."""
    if side == 5 and max(x.shape[2:]) < 3:  # its outer taps meet nothing
        return functional.pad(_of_kernel(found, x, side - 2), (1, 1, 1, 1))
    tall, wide = (max(3, extent) for extent in x.shape[2:])
    below, right = tall - x.shape[2], wide - x.shape[3]
    found = functional.pad(found, (0, right, 0, below))
    around = functional.pad(x, (side // 2, side // 2 + right, side // 2, side // 2 + below))
    whole = found.new_empty(len(x[0]), 1, side, side)
    three = found.new_empty(len(x[0]), 1, 3, 3)
    starts = range(0, side - 2, 2)
    for top in starts:
        for left in starts:  # the row and the column in the middle come out twice, alike
            met = around[:, :, top : top + tall + 2, left : left + wide + 2]
            met = met.contiguous(memory_format=torch.channels_last)
            whole[:, :, top : top + 3, left : left + 3] = _gradients(found, met, three, 0, [False, True, False])[1]
    return whole


def _gradients(found: Tensor, x: Tensor, kernel: Tensor, padding: int, wanted: list[bool]) -> tuple[Tensor, ...]:
    """Return those of the gradients of x, the kernel and a bias that are wanted, from that of the answers."""
    once, around, nowhere = [1, 1], [padding] * 2, [0, 0]
    back = torch.ops.aten.convolution_backward
    x, kernel = x.to(found.dtype), kernel.to(found.dtype)
    return back(found, x, kernel, None, once, around, once, False, nowhere, len(kernel), wanted)  # type: ignore[no-any-return]


class Depthwise(nn.Conv2d):
    """A depthwise convolution of three or five pixels that keeps the size; parameters and results are nn.Conv2d's."""

    def forward(self, images: Tensor) -> Tensor:
        """Return (B, C, H, W) of images (B, C, H, W)."""
        learns = torch.is_grad_enabled() and self.weight.requires_grad and self.bias is None
        if learns and max(images.shape[2:]) <= FEW and images.device.type == "cpu":
            return _Few.apply(images, self.weight)  # type: ignore[no-any-return]
        return super().forward(images)


class Pointwise(nn.Conv2d):
    """A convolution of one pixel; parameters and results are nn.Conv2d's."""

    def forward(self, images: Tensor) -> Tensor:
        """Return (B, K, H, W) of images (B, C, H, W)."""
        learns = torch.is_grad_enabled() and self.weight.requires_grad
        if learns and max(images.shape[2:]) <= SMALL and images.device.type == "cpu":
            pixels = images.permute(0, 2, 3, 1)
            return functional.linear(pixels, self.weight.flatten(1), self.bias).permute(0, 3, 1, 2)
        return super().forward(images)


class Near(nn.Conv2d):
    """A convolution of three pixels that keeps the size, over many channels; parameters and results are nn.Conv2d's."""

    def forward(self, images: Tensor) -> Tensor:
        """Return (B, K, H, W) of images (B, C, H, W)."""
        here = images.device.type == "cpu" and images.dtype == torch.float32
        if torch.is_grad_enabled() or not here or max(images.shape[2:]) > LEAST:
            return super().forward(images)
        pixels, kernel = images.permute(0, 2, 3, 1), self.weight.permute(0, 2, 3, 1)
        count, height, width, _ = pixels.shape
        found = images.new_empty(count, height, width, self.out_channels)
        bias = images.new_zeros(()) if self.bias is None else self.bias
        for row in range(height):
            for column in range(width):
                met = kernel[:, 1 - row : 1 - row + height, 1 - column : 1 - column + width]
                total = bias
                for line in range(height):  # a view each, where channels lie side by side (channels_last)
                    total = torch.addmm(total, pixels[:, line].flatten(1), met[:, line].flatten(1).T)
                found[:, row, column] = total
        return found.permute(0, 3, 1, 2)


def quicken(net: nn.Module) -> None:
    """Let every convolution in a network that such a one can be be a `Depthwise`, a `Pointwise` or a `Near`."""
    for part in net.modules():
        if type(part) is not nn.Conv2d or not _plain(part):
            continue
        side, alone = part.kernel_size[0], part.groups == part.in_channels == part.out_channels
        if side == 1 and part.groups == 1 and part.bias is None:
            part.__class__ = Pointwise
        elif side in (3, 5) and alone and part.bias is None:
            part.__class__ = Depthwise
        elif side == 3 and part.groups == 1 and min(part.in_channels, part.out_channels) >= MANY:
            part.__class__ = Near


def _plain(part: nn.Conv2d) -> bool:
    """Return whether a convolution is square and keeps the size of an image, with zeros around it."""
    side = part.kernel_size[0]
    kept = part.kernel_size == (side, side) and part.padding == (side // 2,) * 2 and part.padding_mode == "zeros"
    return kept and part.stride == part.dilation == (1, 1)
