"""Images changed against a network, within a bound on every value: what it learns from, or is tested by."""

from collections.abc import Callable

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from whence.base.settings import Section


class Settings(Section):
    """Section adversary of a network: it learns from images that are changed against it (Madry et al. 2018).

    One step, a quarter longer than epsilon, is the fast variant (Wong et al. 2020).
    """

    epsilon: float = Field(ge=0, lt=256)
    """Most that a value is changed by, in levels of 0 to 255; 0: images stay as they are, and nothing is spent."""
    steps: int = Field(ge=1)
    step_size: float = Field(gt=0)
    """In levels."""


def ascend(
    ask: Callable[[Tensor], Tensor], x: Tensor, y: Tensor, bounds: tuple[Tensor, Tensor], step: Tensor, steps: int
) -> Tensor:
    """Return x (B, …) moved `steps` times by `step` up the sign of the loss's gradient, each time within `bounds`.

    `ask` gives logits (B, K), y (B,) the classes that they are to miss; bounds and step broadcast against x.
    """
    for _ in range(steps):
        x = x.detach().requires_grad_()
        loss = functional.cross_entropy(ask(x), y, reduction="sum")
        (slope,) = torch.autograd.grad(loss, x)
        x = (x.detach() + step * slope.sign()).clamp(*bounds)
    return x.detach()


def within(x: Tensor, epsilon: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Return the least and the greatest that x may become: `epsilon` away, but from `low` to `high`."""
    return torch.maximum(x - epsilon, low), torch.minimum(x + epsilon, high)
