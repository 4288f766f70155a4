"""What evaluation keeps of a network's answers, block by block: counts of pixels, from which every figure comes."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from whence.roads.classes import IGNORED, Classes

BINS = 1024
"""Of a class's probability, equally wide in its log odds, from -`REACH` to `REACH`, beyond which all are the same."""
REACH = 16.0
Counts = NDArray[np.int64]


class Counted(NamedTuple):
    """Counts of n frames."""

    ids: Counts
    """(n, 256, K): pixels whose mask holds an id, by the class that they were called."""
    ranked: Counts
    """(n, K, 2, `BINS`): pixels that count, not of a class and of it, by the bin of its probability, rising."""


def count(z: Tensor, ids: Tensor, kinds: Classes) -> Counted:
    """Return the counts of logits (b, K, H, W), and masks of ids (b, H, W) uint8."""
    frames, classes = z.shape[:2]
    frame = torch.arange(frames, device=z.device)[:, None, None]
    called = z.argmax(1)
    by_id = torch.bincount(((frame * 256 + ids) * classes + called).flatten(), minlength=frames * 256 * classes)
    return Counted(
        by_id.view(frames, 256, classes).cpu().numpy(),
        _ranked(z, torch.from_numpy(kinds.of_id).to(z.device)[ids.int()]).cpu().numpy(),
    )


def _ranked(z: Tensor, truth: Tensor) -> Tensor:
    """Return (b, K, 2, BINS) of logits (b, K, H, W), and of class numbers (b, H, W) uint8."""
    frames, classes = z.shape[:2]
    logarithm = z.log_softmax(1)
    odds = logarithm - torch.log1p(-logarithm.exp()).clamp(min=-2 * REACH)
    bins = ((odds + REACH) * (BINS / (2 * REACH))).clamp_(0, BINS - 1).to(torch.int32)
    counted = truth != IGNORED
    number = torch.where(counted, truth, 0).long()
    own = bins.gather(1, number[:, None])[:, 0]
    place = torch.arange(frames * classes, dtype=torch.int32, device=z.device).view(frames, classes, 1, 1)
    beyond = frames * classes * BINS  # where pixels go that count as nothing
    all_ = torch.where(counted[:, None], place * BINS + bins, beyond)
    rows = torch.arange(frames, device=z.device)[:, None, None] * classes + number
    hits = torch.where(counted, rows * BINS + own, beyond)
    every, of_it = (
        torch.bincount(part.flatten(), minlength=beyond + 1)[:beyond].view(frames, classes, BINS)
        for part in (all_, hits)
    )
    return torch.stack([every - of_it, of_it], dim=2)


def grouped(z: Tensor, numbers: tuple[int, ...], classes: int) -> Tensor:
    """Return logits (b, classes, H, W) of classes that are made of others: the sum of their probabilities.

    `numbers` says of each class of z (b, K, H, W) to which it belongs; a class of none has no probability.
    """
    logarithm = z.log_softmax(1)
    nothing = torch.full_like(z[:, 0], -1e4)
    parts = [[logarithm[:, k] for k, number in enumerate(numbers) if number == whole] for whole in range(classes)]
    return torch.stack([torch.stack(part).logsumexp(0) if part else nothing for part in parts], dim=1)
