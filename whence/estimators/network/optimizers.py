"""Optimizers and learning-rate schedules by name. What PyTorch has is PyTorch's; Muon for filters is here."""

import math
from collections.abc import Callable, Iterable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from whence.estimators.network.device import bf16

Optimizer = Literal["adam", "adamw", "sgd", "muon"]
Schedule = Literal["constant", "step", "cosine", "linear", "one_cycle"]
WARM_UP = 0.2
"""Share of a one-cycle schedule in which the learning rate rises."""
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
REST = 0.05
"""AdamW's learning rate beside Muon, as a share of Muon's."""


def rate(schedule: Schedule, progress: float) -> float:
    """Return the factor of the learning rate, 0 to 1, when a share `progress` of all steps, 0 to 1, is done.

    step: a tenth from one half on, a hundredth from three quarters on. cosine: Loshchilov & Hutter 2017, without
    restarts. linear: down in a straight line. one_cycle: up in a straight line for the first fifth, then down to 0
    (Smith & Topin 2018).
    """
    match schedule:
        case "constant":
            return 1.0
        case "step":
            return 0.1 ** ((progress >= 0.5) + (progress >= 0.75))
        case "cosine":
            return 0.5 * (1 + math.cos(math.pi * progress))
        case "linear":
            return 1 - progress
        case "one_cycle":
            return min(progress / WARM_UP, (1 - progress) / (1 - WARM_UP))


def build(name: Optimizer, net: nn.Module, learning_rate: float, weight_decay: float) -> list[torch.optim.Optimizer]:
    """Return the optimizers that together move every parameter of `net` that asks for a gradient.

    sgd has Nesterov momentum .9. muon moves the weights of two or more dimensions, but for the last layer's: these,
    biases and normalisation are AdamW's, at a twentieth of the learning rate. Muon's weights, biases and normalisation
    are not decayed. A net may say with `shares` which parameters take what share of the learning rate.
    """
    shares: Callable[[], list[tuple[float, list[nn.Parameter]]]] | None = getattr(net, "shares", None)
    parts = shares() if shares else [(1.0, list(net.parameters()))]
    wanted = [(share, [p for p in part if p.requires_grad]) for share, part in parts]
    hidden = [p for _, part in wanted for p in part if p.ndim > 1][:-1] if name == "muon" else []
    moved = set(hidden)
    groups = [
        {"params": chosen, "weight_decay": decay, "share": share * (REST if hidden else 1.0)}
        for share, part in wanted
        for chosen, decay in (
            ([p for p in part if p.ndim > 1 and p not in moved], weight_decay),
            ([p for p in part if p.ndim < 2], 0.0),
        )
        if chosen
    ]
    if name == "sgd":
        fused = all(p.is_cuda for p in net.parameters())
        return [torch.optim.SGD(groups, learning_rate, momentum=0.9, nesterov=True, fused=fused)]
    # Fused: three times as fast on a CPU. It needs gradients that lie in memory as their parameters do, and they do.
    if name == "adam":
        return [torch.optim.Adam(groups, learning_rate, fused=True)]
    if name == "adamw":
        return [torch.optim.AdamW(groups, learning_rate, fused=True)]
    rest = torch.optim.AdamW(groups, learning_rate, betas=(0.9, 0.95), fused=True)
    return [Muon(hidden, learning_rate), rest] if hidden else [rest]


def pace(movers: list[torch.optim.Optimizer], learning_rate: float) -> None:
    """Set every group's learning rate, of which it may take a share; on a GPU in place, where recordings read it."""
    for mover in movers:
        for group in mover.param_groups:
            rate = learning_rate * group.get("share", 1.0)
            if not group["params"][0].is_cuda:
                group["lr"] = rate
            elif isinstance(group["lr"], Tensor) and group["lr"].is_cuda:
                group["lr"].fill_(rate)
            else:
                group["lr"] = torch.tensor(rate, device=group["params"][0].device)


def step(movers: list[torch.optim.Optimizer], loss: Tensor) -> None:
    """Move every parameter one step down the gradient of `loss`."""
    for mover in movers:
        mover.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    for mover in movers:
        mover.step()


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised (Jordan et al. 2024), for weights (out, …), taken as matrices (out, everything else).

    As in the fastest CIFAR-10 recipe (Jordan 2024, airbench94_muon), made for layers that normalisation follows: before
    every step a weight is brought to length √out, and a step is as long as lr times that, Nesterov momentum .6.
    torch.optim.Muon takes matrices alone and leaves their length to weight decay.
    """

    def __init__(self, params: Iterable[Tensor], lr: float, momentum: float = 0.6) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]  # noqa: ARG002
        """Move every weight that has a gradient."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state["momentum"] = torch.zeros_like(p)
                sum_ = state["momentum"].mul_(group["momentum"]).add_(p.grad)
                update = orthogonalise(p.grad.add(sum_, alpha=group["momentum"]).flatten(1))
                length, tall = len(p) ** 0.5, max(1.0, len(p) / update.shape[1]) ** 0.5
                p.mul_(length / p.norm().clamp(min=1e-7))
                p.sub_(update.view(p.shape) * (group["lr"] * tall))


def orthogonalise(matrix: Tensor) -> Tensor:
    """Return about U Vᵀ of the singular value decomposition U S Vᵀ of a matrix, by five Newton-Schulz steps.

    They run in bf16, which is exact enough, where the hardware has it.
    """
    x = matrix.to(torch.bfloat16 if bf16(matrix.device) else torch.float32)
    x = x / x.norm().clamp(min=1e-7)
    tall = len(x) > x.shape[1]
    x = x.T if tall else x
    a, b, c = NEWTON_SCHULZ
    for _ in range(5):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    done: Tensor = x.T if tall else x
    return done.to(matrix.dtype)
