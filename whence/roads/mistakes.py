"""Where a network is wrong: the worst frames of every class, and what its figures say of a class."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from whence.metrics import plain
from whence.roads import scores
from whence.roads.classes import IGNORED, Mask
from whence.roads.scores import Counts

WEAK = 0.5
"""An IoU of at most this is called weak."""
SMALL, SELDOM, THIN, MIXED = 0.02, 0.5, 0.15, 0.1
"""Of the pixels, of the frames, of a class's pixels at its edge, of its pixels called another: when a note says so."""


def worst(matrices: Counts, least: float, per_class: int) -> list[tuple[int, int, float]]:
    """Return frame, class and IoU of the frames (n, K, K) that each class is told worst in, `per_class` of each.

    Frames in which the class has a share of `least` of the pixels come first, and the worst of them.
    """
    iou = scores.figures(matrices)["iou"]
    share = matrices.sum(axis=2) / matrices.sum(axis=(1, 2)).clip(1)[:, None]
    found = []
    for k in range(iou.shape[1]):
        frames = np.flatnonzero(~np.isnan(iou[:, k]))
        order = frames[np.lexsort((iou[frames, k], share[frames, k] < least))][:per_class]
        found += [(int(frame), k, float(iou[frame, k])) for frame in order]
    return found


def edges(truth: Mask, classes: int) -> Counts:
    """Return (n, classes) how many pixels of each class touch another, above, below or beside; masks (n, H, W)."""
    differs = np.zeros(truth.shape, bool)
    down, across = truth[:, 1:] != truth[:, :-1], truth[:, :, 1:] != truth[:, :, :-1]
    differs[:, 1:] |= down
    differs[:, :-1] |= down
    differs[:, :, 1:] |= across
    differs[:, :, :-1] |= across
    numbers = np.where(differs, truth, IGNORED)
    return np.stack([np.bincount(frame.ravel(), minlength=256)[:classes] for frame in numbers])


def notes(summary: scores.Summary, matrices: Counts, touching: Counts, names: Sequence[str]) -> dict[str, list[Any]]:
    """Return columns with a row per class: in how many frames it is, how thin, what it is taken for, and a note."""
    total = matrices.sum(axis=0)
    pixels = total.sum(axis=1)
    frames = (matrices.sum(axis=2) > 0).mean(axis=0)
    edge = touching.sum(axis=0) / pixels.clip(1)
    off = total - np.diag(np.diag(total))
    other, mixed = off.argmax(axis=1), off.max(axis=1) / pixels.clip(1)
    rows = []
    for k, iou in enumerate(summary.classes["iou"].value):
        told = [
            (pixels[k] < SMALL * pixels.sum(), f"has {pixels[k] / pixels.sum():.1%} of the pixels"),
            (frames[k] < SELDOM, f"is in {frames[k]:.0%} of the frames"),
            (edge[k] > THIN, f"touches others with {edge[k]:.0%} of its pixels"),
            (mixed[k] > MIXED, f"is called {names[other[k]]} in {mixed[k]:.0%} of them"),
        ]
        rows.append(_note(float(iou), [text for true, text in told if true]))
    return {
        "frames": [plain(share) for share in frames],
        "edge": [plain(share) if count else "n/a" for share, count in zip(edge, pixels, strict=True)],
        "taken_for": [names[k] if share else "" for k, share in zip(other, mixed, strict=True)],
        "taken_share": [plain(share) for share in mixed],
        "note": rows,
    }


def _note(iou: float, reasons: Sequence[str]) -> str:
    if np.isnan(iou):
        return "is in no frame"
    if iou > WEAK:
        return ""
    return f"weak: {'; '.join(reasons) or 'no figure here says why'}"
