"""Attacks on a classifier of images, within a bound on every pixel value: what an adversary makes of its answers.

Images are (B, 3, H, W) float32 in [0, 1]; a model is a function from them to logits (B, K); y (B,) is the number of the
true class. Each attack returns images within `epsilon` of those given, in the largest difference of a value (L∞).
"""

from collections.abc import Callable

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from whence.base.settings import Section
from whence.estimators.network import adversary

Ask = Callable[[Tensor], Tensor]


class Descent(Section):
    """Section attack.pgd: projected gradient descent (Madry et al. 2018)."""

    steps: int = Field(ge=1)
    step_size: float = Field(gt=0)
    """Of every step, as a share of epsilon."""
    restarts: int = Field(ge=1)
    """Starts drawn evenly from all that epsilon allows."""


class Reference(Section):
    """Section attack.reference: the parts of AutoAttack that two classes allow, by its authors (Croce & Hein 2020)."""

    steps: int = Field(ge=5)
    """Of APGD on the cross-entropy, and of FAB."""
    restarts: int = Field(ge=1)
    """Of APGD, and of FAB."""
    queries: int = Field(ge=1)
    """Of Square, which asks for no gradient."""


REFERENCES = ("apgd_ce", "fab", "square")


def fgsm(ask: Ask, x: Tensor, y: Tensor, epsilon: float) -> Tensor:
    """Move every value by epsilon up the sign of the loss's gradient (Goodfellow et al. 2015)."""
    return adversary.ascend(ask, x, y, _bounds(x, epsilon), torch.tensor(epsilon).to(x), 1)


def pgd(ask: Ask, x: Tensor, y: Tensor, epsilon: float, settings: Descent) -> Tensor:
    """Return of x itself and where each restart ends what has the highest loss, image by image."""
    bounds, step = _bounds(x, epsilon), torch.tensor(settings.step_size * epsilon).to(x)
    worst, most = x, _losses(ask, x, y)
    for _ in range(settings.restarts):
        start = (x + epsilon * (2 * torch.rand_like(x) - 1)).clamp(*bounds)
        found = adversary.ascend(ask, start, y, bounds, step, settings.steps)
        loss = _losses(ask, found, y)
        higher = loss > most
        worst, most = torch.where(higher[:, None, None, None], found, worst), torch.where(higher, loss, most)
    return worst


def reference(name: str, ask: Ask, x: Tensor, y: Tensor, epsilon: float, seed: int, settings: Reference) -> Tensor:
    """Return what one of `REFERENCES` makes of x; where it does not succeed, x itself."""
    from pyautoattack.autopgd_base import APGDAttack
    from pyautoattack.fab_pt import FABAttack_PT
    from pyautoattack.square import SquareAttack

    given = {"norm": "Linf", "eps": epsilon, "seed": seed, "device": x.device, "verbose": False}
    match name:
        case "apgd_ce":
            attack = APGDAttack(ask, n_iter=settings.steps, n_restarts=settings.restarts, loss="ce", **given)
        case "fab":
            attack = FABAttack_PT(ask, n_iter=settings.steps, n_restarts=settings.restarts, **given)
        case _:
            attack = SquareAttack(ask, n_queries=settings.queries, resc_schedule=False, **given)
    found: Tensor = attack.perturb(x.clone(), y.clone())
    return found.detach()


def _bounds(x: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    return adversary.within(x, x.new_tensor(epsilon), x.new_tensor(0.0), x.new_tensor(1.0))


@torch.no_grad()
def _losses(ask: Ask, x: Tensor, y: Tensor) -> Tensor:
    return functional.cross_entropy(ask(x), y, reduction="none")
