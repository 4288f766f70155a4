"""Layers that several networks share."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

EPSILON = 5e-4
"""Added to the variance of every direction, so that those without any are not blown up (Jordan 2024)."""


class Whitening(nn.Conv2d):
    """Fixed filters that make the 2×2 patches of the training images uncorrelated, each filter and its negative.

    The eigenvectors of the patches' covariance over the root of its eigenvalues: (B, 3, H, W) → (B, 24, H - 1, W - 1).
    """

    def __init__(self) -> None:
        super().__init__(3, 24, 2, bias=False)
        self.weight.requires_grad = False

    @torch.no_grad()
    def learn(self, x: Tensor) -> None:
        """Set the filters from images (n, 3, H, W), scaled as those that will come."""
        patches = functional.unfold(x, 2).transpose(1, 2).reshape(-1, 12).double()
        values, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))
        filters = (vectors / (values + EPSILON).sqrt()).T.reshape(12, 3, 2, 2)
        self.weight.copy_(torch.cat([filters, -filters]))


class Whitened(nn.Module):
    """Whitening, a block for each of `widths`, the maximum over what is left, Linear; `prepare` sets the first layer.

    `block(inputs, outputs)` makes a module that takes (B, inputs, H, W) to (B, outputs, H / 2, W / 2).
    """

    def __init__(self, block: Callable[[int, int], nn.Module], widths: Sequence[int], outputs: int) -> None:
        super().__init__()
        self.whitening = Whitening()
        self.blocks = nn.Sequential(*map(block, [24, *widths[:-1]], widths))
        self.head = nn.Linear(widths[-1], outputs)

    def prepare(self, x: Tensor) -> None:
        """Look at some training images (n, 3, H, W), before training."""
        self.whitening.learn(x)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, outputs)."""
        logits: Tensor = self.head(self.blocks(functional.silu(self.whitening(x))).amax((2, 3)))
        return logits
