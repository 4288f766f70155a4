"""Layers that several networks share."""

from collections.abc import Sequence

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


class Block(nn.Module):
    """Conv 3×3 → max-pool 2 → BatchNorm → SiLU, then Conv 3×3 → BatchNorm → SiLU until there are `depth` convolutions.

    (B, inputs, H, W) → (B, outputs, H / 2, W / 2). Of three or more, those after the first are a correction to what it
    gives, added before the last SiLU.
    """

    def __init__(self, inputs: int, outputs: int, depth: int) -> None:
        super().__init__()
        first = [_conv(inputs, outputs), nn.MaxPool2d(2), nn.BatchNorm2d(outputs), nn.SiLU()]
        more: list[nn.Module] = []
        for _ in range(depth - 1):
            more += [_conv(outputs, outputs), nn.BatchNorm2d(outputs), nn.SiLU()]
        self.narrow, self.correct, self.skips = nn.Sequential(*first), nn.Sequential(*more[:-1]), depth > 2

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, outputs, H / 2, W / 2)."""
        x = self.narrow(x)
        return functional.silu(self.correct(x) + x if self.skips else self.correct(x))


def _conv(inputs: int, outputs: int) -> nn.Module:
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)


class Whitened(nn.Module):
    """Whitening, a block for each of `widths`, the maximum over what is left, Linear; `prepare` sets the first."""

    def __init__(self, widths: Sequence[int], outputs: int, depth: int = 2) -> None:
        super().__init__()
        self.whitening = Whitening()
        shapes = zip([24, *widths[:-1]], widths, strict=True)
        self.blocks = nn.Sequential(*(Block(inputs, width, depth) for inputs, width in shapes))
        self.head = nn.Linear(widths[-1], outputs)

    def prepare(self, x: Tensor) -> None:
        """Look at some training images (n, 3, H, W), before training."""
        self.whitening.learn(x)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, outputs)."""
        logits: Tensor = self.head(self.blocks(functional.silu(self.whitening(x))).amax((2, 3)))
        return logits
