"""The trainer of every network: uint8 images on the device, batches by indexing, bf16 where the hardware has it.

Launched by torchrun it runs in several processes (DDP): each takes its share of every batch, the first alone writes.
On a CPU the same settings and threads give the same weights, bit for bit, stopped and resumed or not: whatever an epoch
draws comes from its number and the seed.
"""

import math
from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from whence.base.errors import InputError
from whence.estimators.network import optimizers, progress
from whence.estimators.network.augment import augment, mirror
from whence.estimators.network.data import Data, Scale
from whence.estimators.network.device import drawing, half
from whence.estimators.network.recipe import Settings
from whence.models import History

__all__ = ["BLOCK", "Data", "Scale", "evaluate", "logits", "one_epoch", "train"]
DIVERGED = 10.0
"""A training loss of more than this many times that of guessing has diverged."""
EPOCHS = 1_000_003
"""More than any training has: with the seed, the number of an epoch gives it draws of its own."""
BLOCK = 256
"""Images that are looked at together without learning from them."""


def logits(net: nn.Module, x: Tensor, views: int = 1) -> Tensor:
    """Return (B, K) float32; a network of two classes has one output, the log odds of the second.

    Averaged are the answers for an image alone, with its mirror image (2 views), or with both shifted by a pixel up and
    left, and down and right, too (6, these together with half of the weight; Jordan 2024).
    """
    if views == 6:
        near = functional.pad(x, (1, 1, 1, 1), mode="reflect")
        moved = [logits(net, near[:, :, k : k + x.shape[2], k : k + x.shape[3]], 2) for k in (0, 2)]
        return logits(net, x, 2) / 2 + (moved[0] + moved[1]) / 4
    z: Tensor = net(x).float()
    if views == 2:
        z = (z + net(x.flip(3)).float()) / 2
    return functional.pad(z, (1, 0)) if z.shape[1] == 1 else z


def train(
    net: nn.Module,
    scale: Scale,
    data: Data,
    valid: Data,
    settings: Settings,
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
    movers = optimizers.build(settings.optimizer, net, settings.learning_rate, settings.weight_decay)
    history, best = progress.resume(checkpoint, net, movers)
    starts = getattr(net, "begin_epoch", None)  # of a network whose parts do not always learn
    model = DistributedDataParallel(net, find_unused_parameters=starts is not None) if world > 1 else net
    done, epochs = len(history["epoch"]), settings.epochs
    if done and rank == 0:
        log(history)
    for epoch in tqdm(range(done, epochs), initial=done, total=epochs, unit="epoch", disable=True if rank else None):
        if progress.stops(history, settings):
            break
        if starts is not None:
            starts(epoch)
        with drawing(data.y.device, (seed * EPOCHS + epoch) * world + rank):
            loss, accuracy, rate = one_epoch(model, scale, data, settings, seed, epoch, movers, rank, world)
        for buffer in net.buffers() if world > 1 else ():
            dist.broadcast(buffer, 0)  # running statistics, of which each process has its own
        valid_loss, valid_accuracy = evaluate(net, scale, valid, rank, world)
        if not (loss <= DIVERGED * math.log(int(data.y.max()) + 1) and math.isfinite(valid_loss)):
            wrong = f"{section}.learning_rate: got {settings.learning_rate:g}: training diverged in epoch"
            raise InputError(f"{wrong} {epoch + 1} (loss {loss:.3g}, on valid {valid_loss:.3g}); make it smaller")
        row = (seed, epoch + 1, rate, loss, accuracy, valid_loss, valid_accuracy)
        for column, value in zip(history.values(), row, strict=True):
            column.append(value)
        if settings.patience and progress.best_epochs(history, settings) == [epoch + 1]:
            best = {name: part.clone() for name, part in net.state_dict().items()}
        if rank == 0:
            progress.keep(checkpoint, net, movers, history, best)
            log(history)
    if best is not None:
        net.load_state_dict(best)
    return history


def one_epoch(
    model: nn.Module,
    scale: Scale,
    data: Data,
    settings: Settings,
    seed: int,
    epoch: int,
    movers: list[torch.optim.Optimizer],
    rank: int,
    world: int,
) -> tuple[float, float, float]:
    """Learn from every row once; return mean loss and accuracy as met on the way, and the last learning rate."""
    where, rows, number = data.y.device, len(data.y), seed * EPOCHS + epoch
    draw = torch.Generator().manual_seed(number * world + rank)
    order = torch.randperm(rows, generator=torch.Generator().manual_seed(number)).to(where)
    # As equal as can be, and two rows or more for each process, without which there is no variance to normalise by.
    batches = order.tensor_split(max(1, min(round(rows / settings.batch), rows // (2 * world))))
    count = torch.bincount(data.y).float()
    weight = count.mean() / count if settings.class_weight else torch.ones_like(count)
    total, rate = torch.zeros(2, device=where), 0.0
    model.train()
    for step, batch in enumerate(batches):
        part = (epoch + (step + 0.5) / len(batches)) / settings.epochs
        rate = settings.learning_rate * optimizers.rate(settings.schedule, part)
        mine = batch[rank::world]
        x, y = scale(data.images[mine]), data.y[mine]
        x = augment(x, mirror(mine, epoch, seed), settings.augment, scale, draw)
        with half(where):
            z = logits(model, x)
        # The mean over the whole batch: DDP divides the sum of the gradients by the number of processes.
        loss = functional.cross_entropy(z, y, weight, reduction="sum", label_smoothing=settings.label_smoothing)
        loss = loss * world / weight[data.y[batch]].sum()
        optimizers.step(movers, loss, rate)
        total += torch.stack([loss.detach() * len(batch) / world, (z.detach().argmax(1) == y).sum()])
    if world > 1:
        dist.all_reduce(total)
    mean_loss, accuracy = (total / rows).tolist()
    return mean_loss, accuracy, rate


@torch.inference_mode()
def evaluate(net: nn.Module, scale: Scale, data: Data, rank: int = 0, world: int = 1) -> tuple[float, float]:
    """Return loss (nats per image) and accuracy on all rows of `data`; each process looks at some of the blocks."""
    net.eval()
    total = torch.zeros(2, device=data.y.device)
    for start in range(rank * BLOCK, len(data.y), world * BLOCK):
        images, y = data.images[start : start + BLOCK], data.y[start : start + BLOCK]
        with half(data.y.device):
            z = logits(net, scale(images))
        total += torch.stack([functional.cross_entropy(z, y, reduction="sum"), (z.argmax(1) == y).sum()])
    if world > 1:
        dist.all_reduce(total)
    loss, accuracy = (total / len(data.y)).tolist()
    return loss, accuracy
