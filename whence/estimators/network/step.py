"""One step of learning from a batch; on a GPU recorded once and then replayed.

To launch the kernels of a small network costs more time than to run them. A recording (a CUDA graph) launches all of a
step's at once: forward, backward and optimizers.
"""

from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from whence.estimators.network import adversary, optimizers
from whence.estimators.network.data import UNCOUNTED, Data, Scale, constant
from whence.estimators.network.device import half
from whence.estimators.network.recipe import Recipe

UNRECORDED = 3
"""Steps before the first recording, in which optimizers and libraries allocate what they keep."""
Recording = tuple[torch.cuda.CUDAGraph, list[Tensor], Tensor]


class Step:
    """A network, its optimizers and how it learns; of several processes each learns from its share of a batch."""

    def __init__(self, net: nn.Module, scale: Scale, settings: Recipe, data: Data, world: int = 1) -> None:
        """Take a network on its device, the rows that it will learn from, and the number of processes."""
        self.net, self.scale, self.world, self.adversary = net, scale, world, settings.attacker()
        self.movers = optimizers.build(settings.optimizer, net, settings.learning_rate, settings.weight_decay)
        self.smoothing = settings.label_smoothing
        count = data.counts.float()
        there = count > 0
        balanced = torch.where(there, count[there].mean() / count.clamp(min=1), 0.0)
        power = 1.0 if settings.class_weight == "balanced" else settings.class_weight or 0.0
        self.weight = balanced**power
        varies = hasattr(net, "begin_epoch")  # parts of it do not always learn
        self.model = DistributedDataParallel(net, find_unused_parameters=varies) if world > 1 else net
        self.records = data.y.is_cuda and world == 1
        self.recordings: dict[int, Recording] = {}
        self.calls = 0
        self.stream = torch.cuda.Stream() if self.records else None  # type: ignore[no-untyped-call]

    def begin(self, epoch: int) -> None:
        """Say which epoch is to come, the first being 0; where other parts learn in it, recordings go."""
        starts = getattr(self.net, "begin_epoch", None)
        if starts is not None and starts(epoch):
            self.calls, self.recordings = 0, {}

    def __call__(self, x: Tensor, y: Tensor, whole: Tensor, rate: float) -> Tensor:
        """Learn from x and y at a learning rate; return loss and rows told right, which last until the next step.

        y is the classes (B,), and `whole` (n,) those of the whole batch, all processes together, of which the loss is
        the mean; or both are the masks (B, H, W) of this process, and it is the mean over all pixels that count.
        """
        optimizers.pace(self.movers, rate)
        given = [x, y, self._total(whole)]
        if not self.records:
            return self._learn(*given)
        self.calls += 1
        if self.calls <= UNRECORDED:
            return self._aside(given)
        if len(y) not in self.recordings:
            self.recordings[len(y)] = self._record([part.clone() for part in given])
        recording, held, told = self.recordings[len(y)]
        for place, part in zip(held, given, strict=True):
            place.copy_(part)
        recording.replay()
        return told

    def _total(self, whole: Tensor) -> Tensor:
        """Return the weight of all that a loss is the mean of."""
        if whole.ndim == 1:
            return self.weight[whole].sum()
        total = (self.weight[whole.clamp(min=0)] * (whole != UNCOUNTED)).sum()
        if self.world > 1:
            dist.all_reduce(total)
        return total.clamp(min=1)

    def _learn(self, x: Tensor, y: Tensor, total: Tensor) -> Tensor:
        if self.adversary is not None:
            x = self._attacked(x, y, self.adversary)
        with half(x.device):
            z = logits(self.model, x)
        # The mean over the whole batch: DDP divides the sum of the gradients by the number of processes.
        loss = functional.cross_entropy(z, y, self.weight, reduction="sum", label_smoothing=self.smoothing)
        loss = loss * self.world / total
        optimizers.step(self.movers, loss)
        return torch.stack([loss.detach() / self.world, told_right(z.detach(), y)])

    def _attacked(self, x: Tensor, y: Tensor, how: adversary.Settings) -> Tensor:
        """Return images changed against the network as it is used, not as it learns: from an even draw about each."""
        mean, std = (constant(part, x.device)[:, None, None] for part in self.scale)
        epsilon, low, high = how.epsilon / std, (0 - mean) / std, (255 - mean) / std
        x = torch.minimum(torch.maximum(x, low), high)
        bounds = adversary.within(x, epsilon, low, high)
        start = (x + epsilon * (2 * torch.rand_like(x) - 1)).clamp(*bounds)
        self.net.eval()
        with half(x.device):
            step, steps = how.step_size / std, how.steps
            x = adversary.ascend(lambda given: logits(self.net, given), start, y, bounds, step, steps)
        self.net.train()
        return x

    def _aside(self, given: list[Tensor]) -> Tensor:
        """Learn on the stream of the recordings, as CUDA asks for."""
        assert self.stream is not None
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            told = self._learn(*given)
        torch.cuda.current_stream().wait_stream(self.stream)
        return told

    def _record(self, held: list[Tensor]) -> Recording:
        recording = torch.cuda.CUDAGraph()
        groups = [group for mover in self.movers for group in mover.param_groups]
        for group in groups:
            group["capturable"] = True  # or Adam refuses
        with torch.cuda.graph(recording, stream=self.stream):
            told = self._learn(*held)
        for group in groups:
            group["capturable"] = False  # or it warns of steps that are not recorded
        return recording, held, told


def of_rows(total: Tensor, y: Tensor) -> Tensor:
    """Return a sum over the rows of y (B,) as it is; one over the pixels of masks (B, H, W) as if each row had one."""
    return total if y.ndim == 1 else total * len(y) / (y != UNCOUNTED).sum().clamp(min=1)


def told_right(z: Tensor, y: Tensor) -> Tensor:
    """Return how many rows logits (B, K, …) tell right; of masks each row counts as all that its batch's pixels do."""
    return of_rows((z.argmax(1) == y).sum(), y)


def logits(net: Callable[[Tensor], Tensor], x: Tensor, views: int = 1) -> Tensor:
    """Return (B, K) float32, or (B, K, H, W); a network of two classes has one output, the log odds of the second.

    Averaged are the answers for an image alone, with its mirror image (2 views), or with both shifted by a pixel up and
    left, and down and right, too (6, these together with half of the weight; Jordan 2024).
    """
    if views == 6:
        near = functional.pad(x, (1, 1, 1, 1), mode="reflect")
        moved = [logits(net, near[:, :, k : k + x.shape[2], k : k + x.shape[3]], 2) for k in (0, 2)]
        return logits(net, x, 2) / 2 + (moved[0] + moved[1]) / 4
    z: Tensor = net(x).float()
    if views == 2:
        mirrored = net(x.flip(3)).float()
        z = (z + (mirrored.flip(3) if z.ndim == 4 else mirrored)) / 2
    # The first class has log odds of 0, in every place of a mask.
    return functional.pad(z, [0, 0] * (z.ndim - 2) + [1, 0]) if z.shape[1] == 1 else z
