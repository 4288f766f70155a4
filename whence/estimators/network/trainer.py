"""The trainer of every network: uint8 images on the device, batches by indexing, bf16 where the hardware has it.

Launched by torchrun it runs in several processes (DDP): each takes its share of every batch, the first alone writes.
On a CPU the same settings and threads give the same weights, bit for bit, stopped and resumed or not: whatever an epoch
draws comes from its number and the seed.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.nn import functional
from tqdm import tqdm

from whence.base.errors import InputError
from whence.estimators.network import optimizers, progress
from whence.estimators.network.augment import mirror
from whence.estimators.network.compiler import without_compiler
from whence.estimators.network.data import Data, Scale, drawn_batches
from whence.estimators.network.device import drawing, half
from whence.estimators.network.recipe import Recipe
from whence.estimators.network.step import Step, logits, of_rows, told_right
from whence.models import History

__all__ = ["BLOCK", "Data", "Scale", "Step", "evaluate", "logits", "one_epoch", "train"]
DIVERGED = 10.0
"""A training loss of more than this many times that of guessing has diverged."""
EPOCHS = 1_000_003
"""More than any training has: with the seed, the number of an epoch gives it draws of its own."""
BLOCK = 256
"""Images that are looked at together without learning from them, and fewer where they have more than …"""
PIXELS = 2**20
"""… pixels in all."""


@without_compiler()
def train(
    net: nn.Module,
    scale: Scale,
    data: Data,
    valid: Data,
    settings: Recipe,
    seed: int,
    checkpoint: Path,
    log: Callable[[History], None],
    rank: int = 0,
    world: int = 1,
    section: str = "params.yaml: train",
) -> History:
    """Train `net` in place and return its history.

    After every epoch `checkpoint` is written and `log` gets the history so far; if it is there at the start, training
    goes on from it. Raises InputError, which names the setting in `section`, if a loss is no number or diverges.
    """
    step = Step(net, scale, settings, data, world)
    history, best = progress.resume(checkpoint, net, step.movers)
    done, epochs = len(history["epoch"]), settings.epochs
    if done and rank == 0:
        log(history)
    for epoch in tqdm(range(done, epochs), initial=done, total=epochs, unit="epoch", disable=True if rank else None):
        if progress.stops(history, settings):
            break
        step.begin(epoch)
        with drawing(data.y.device, (seed * EPOCHS + epoch) * world + rank):
            loss, accuracy, rate = one_epoch(step, scale, data, settings, seed, epoch, rank, world)
        for buffer in net.buffers() if world > 1 else ():
            dist.broadcast(buffer, 0)  # running statistics, of which each process has its own
        valid_loss, valid_accuracy = evaluate(net, scale, valid, rank, world)
        if not (loss <= DIVERGED * math.log(len(step.weight)) and math.isfinite(valid_loss)):
            wrong = f"{section}.learning_rate: got {settings.learning_rate:g}: training diverged in epoch"
            raise InputError(f"{wrong} {epoch + 1} (loss {loss:.3g}, on valid {valid_loss:.3g}); make it smaller")
        row = (seed, epoch + 1, rate, loss, accuracy, valid_loss, valid_accuracy)
        for column, value in zip(history.values(), row, strict=True):
            column.append(value)
        if settings.patience and progress.best_epochs(history, settings) == [epoch + 1]:
            best = {name: part.clone() for name, part in net.state_dict().items()}
        if rank == 0:
            progress.keep(checkpoint, net, step.movers, history, best)
            log(history)
    if best is not None:
        net.load_state_dict(best)
    return history


def one_epoch(
    step: Step,
    scale: Scale,
    data: Data,
    settings: Recipe,
    seed: int,
    epoch: int,
    rank: int,
    world: int,
) -> tuple[float, float, float]:
    """Learn from every row once; return mean loss and accuracy as met on the way, and the last learning rate."""
    where, rows, drawn = data.y.device, len(data.y), seed * EPOCHS + epoch
    draw = torch.Generator().manual_seed(drawn * world + rank)
    batches = drawn_batches(rows, settings.batch, settings.window, world, torch.Generator().manual_seed(drawn), where)
    total, rate = torch.zeros(2, device=where), 0.0
    step.model.train()
    for number, (batch, soon) in enumerate(batches):
        if soon is not None:
            data.expect(soon)
        part = (epoch + (number + 0.5) / len(batches)) / settings.epochs
        rate = settings.learning_rate * optimizers.rate(settings.schedule, part)
        mine = batch[rank::world]
        x, y = settings.change(scale(data.images[mine]), data.y[mine], mirror(mine, epoch, seed), scale, draw)
        loss, right = step(x, y, data.y[batch] if y.ndim == 1 else y, rate)
        total[0] += loss * len(batch)
        total[1] += right
    if world > 1:
        dist.all_reduce(total)
    mean_loss, accuracy = (total / rows).tolist()
    return mean_loss, accuracy, rate


@torch.inference_mode()
def evaluate(net: nn.Module, scale: Scale, data: Data, rank: int = 0, world: int = 1) -> tuple[float, float]:
    """Return loss (nats per image) and accuracy on all rows of `data`; each process looks at some of the blocks.

    Of masks both are means over the pixels that count, of a block.
    """
    net.eval()
    total, step = torch.zeros(2, device=data.y.device), block(data.images.shape)
    for start in range(rank * step, len(data.y), world * step):
        images, y = data.images[start : start + step], data.y[start : start + step]
        with half(data.y.device):
            z = logits(net, scale(images))
        loss = functional.cross_entropy(z, y, reduction="sum")
        total += torch.stack([of_rows(loss, y), told_right(z, y)])
    if world > 1:
        dist.all_reduce(total)
    loss, accuracy = (total / len(data.y)).tolist()
    return loss, accuracy


def block(shape: Sequence[int]) -> int:
    """Return how many images of an array (N, H, W, 3), or features (N, D), are looked at together."""
    return max(1, min(BLOCK, PIXELS // math.prod(shape[1:3])))
