"""Open the test drives of every dataset of streets: figures of every class, with intervals, and the worst frames."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from tqdm import tqdm

from whence import metrics
from whence.base import arrays, settings
from whence.base.errors import InputError
from whence.base.stage import run
from whence.roads import counting, data, deeplab, mistakes, scores
from whence.roads.classes import LEVEL1, Classes
from whence.roads.segmenter import Segmenter
from whence.table import tables

TEST = "test"


class Settings(settings.Section):
    """Section evaluate."""

    metrics: metrics.Settings
    per_class: int = Field(ge=0)
    """Frames that are shown of every class, those first in which it is told worst."""
    least: float = Field(ge=0, le=1)
    """Of a frame's pixels, for it to be shown for a class before others."""


class Frames(NamedTuple):
    """The test frames of a dataset."""

    dataset: str
    kinds: Classes
    row: NDArray[np.int64]
    drive: tables.Strings
    frame: tables.Strings
    images: arrays.Stored
    ids: NDArray[np.uint8]


class Left(NamedTuple):
    """Files of a dataset that evaluation writes, see `main`."""

    table: Path
    confusion: Path
    ids: Path
    each: Path
    counts: Path
    shown: Path


def main(
    params: Path,
    train_on: str,
    classes: str,
    weights: Path,
    card: Path,
    frames: str,
    images: str,
    masks: str,
    headline: Path,
    full: Path,
    table: str,
    confusion: str,
    ids: str,
    each: str,
    counts: str,
    shown: str,
) -> None:
    """Ask a model about the test frames of all datasets; names with {dataset} in them stand for a file of each.

    Read `frames` (csv), `images`, `masks` (.npy). Write metrics (json), and of each dataset `table` (csv: a row per
    class), `confusion` and `ids` (csv: pixels by what they are, a class or an id, and what they were called), `each`
    (csv: a row per frame), `counts` (.npy, n×K×K int64), `shown` (.npz: the worst frames and what was made of them).
    """
    section = settings.load("evaluate", Settings, params)
    model = Segmenter.load(deeplab, weights, card)
    learnt = data.kinds(train_on, classes)
    if list(learnt.names) != model.classes_.tolist():
        raise InputError(f"{card}: tells {', '.join(model.classes_)} apart, expected {', '.join(learnt.names)}")
    summaries = {}
    for dataset in data.listed(params):
        by = data.judged(dataset, train_on, classes)
        found = _frames(dataset, by, *_paths(dataset, frames, images, masks))
        if len(found.row):
            left = Left(*_paths(dataset, table, confusion, ids, each, counts, shown))
            summaries[dataset] = _evaluated(model, found, learnt, section, left)
            print(f"{dataset}: mean IoU {summaries[dataset].means['mean_iou'].value:.4f} of {len(found.row):,} frames")
    metrics.write(headline, {dataset: scores.flat(summary) for dataset, summary in summaries.items()})
    metrics.write(full, {dataset: _all(summary) for dataset, summary in summaries.items()})


def _evaluated(model: Segmenter, found: Frames, learnt: Classes, section: Settings, left: Left) -> scores.Summary:
    """Return how a model does on some frames, and write all that is left of its answers."""
    counted = _counted(model, found, learnt)
    matrices = scores.confusion(counted.ids, found.kinds.of_id)
    summary = scores.summarise(matrices, counted.ranked, found.drive, section.metrics)
    names = found.kinds.names
    touching = [mistakes.edges(found.kinds.of_id[mask[None]], len(names)) for mask in found.ids]
    told = mistakes.notes(summary, matrices, np.concatenate(touching), names)
    _write(left.table, scores.table(summary, names) | told)
    _write(left.confusion, _cells(names, matrices.sum(axis=0), names))
    _write(left.ids, _by_id(found.dataset, counted.ids.sum(axis=0), found.kinds))
    _write(left.each, _each(found, matrices))
    arrays.write_blocks(left.counts, [matrices])
    _show(model, found, learnt, mistakes.worst(matrices, section.least, section.per_class), left.shown)
    return summary


def _paths(dataset: str, *patterns: str) -> list[Path]:
    return [Path(pattern.format(dataset=dataset)) for pattern in patterns]


def _frames(dataset: str, classes: str, frames: Path, images: Path, masks: Path) -> Frames:
    table, _, ids = data.read(frames, images, masks)
    row = np.flatnonzero(table.split == TEST)
    return Frames(
        dataset,
        data.kinds(dataset, classes),
        row,
        table.drive[row],
        table.frame[row],
        arrays.Stored(images, row),
        ids[row],
    )


def _answers(model: Segmenter, found: Frames, learnt: Classes, images: Any) -> Iterator[torch.Tensor]:
    """Yield logits (b, K, H, W) of the classes that the frames are judged by."""
    for z in model.answers(images):
        yield z if learnt.names == found.kinds.names else counting.grouped(z, learnt.level1, len(LEVEL1))


def _counted(model: Segmenter, found: Frames, learnt: Classes) -> counting.Counted:
    parts, start = [], 0
    with tqdm(total=len(found.row), unit="frame", desc=found.dataset, disable=None) as bar:
        for z in _answers(model, found, learnt, found.images):
            ids = torch.from_numpy(found.ids[start : start + len(z)]).to(z.device)
            parts.append(counting.count(z, ids, found.kinds))
            start += len(z)
            bar.update(len(z))
    return counting.Counted(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def _show(model: Segmenter, found: Frames, learnt: Classes, worst: list[tuple[int, int, float]], target: Path) -> None:
    """Write the worst frames: images and masks, what was made of them, and for which class each is shown."""
    frames = np.array(sorted({frame for frame, _, _ in worst}), np.int64)
    images = found.images[frames]
    called = [z.argmax(1).to(torch.uint8).cpu().numpy() for z in _answers(model, found, learnt, images)]
    arrays.write_npz(
        target,
        {
            "images": images,
            "truth": found.kinds.of_id[found.ids[frames]],
            "called": np.concatenate(called) if called else found.ids[:0],
            "row": found.row[frames],
            "shown": np.array([(np.searchsorted(frames, frame), k) for frame, k, _ in worst], np.int64).reshape(-1, 2),
            "iou": np.array([iou for _, _, iou in worst]),
        },
    )


def _write(path: Path, columns: dict[str, Any]) -> None:
    tables.write_csv(path, {name: np.array(column, object) for name, column in columns.items()})


def _cells(actual: tuple[str, ...], counts: NDArray[np.int64], names: tuple[str, ...]) -> dict[str, Any]:
    return {
        "actual": np.repeat(actual, len(names)).tolist(),
        "predicted": list(names) * len(actual),
        "count": counts.ravel().tolist(),
    }


def _by_id(dataset: str, counts: NDArray[np.int64], kinds: Classes) -> dict[str, Any]:
    """Return the pixels of every id of the dataset's table, those that count as nothing too."""
    table = sorted(data.table(dataset))
    rows = tuple(f"{each.id} {each.name}" for each in table)
    return _cells(rows, counts[[each.id for each in table]], kinds.names)


def _each(found: Frames, matrices: NDArray[np.int64]) -> dict[str, Any]:
    iou = scores.figures(matrices)["iou"]
    means = np.nanmean(iou, axis=1)
    hits = np.einsum("nkk->n", matrices)
    columns = {name: [scores.cell(value) for value in iou[:, k]] for k, name in enumerate(found.kinds.names)}
    return {
        "row": found.row.tolist(),
        "drive": found.drive.tolist(),
        "frame": found.frame.tolist(),
        "mean_iou": [scores.cell(value) for value in means],
        "pixel_accuracy": [scores.cell(value) for value in hits / matrices.sum(axis=(1, 2)).clip(1)],
    } | columns


def _all(summary: scores.Summary) -> dict[str, Any]:
    about = {"frames": summary.images, "drives": summary.drives, "resampled": summary.resampled}
    return about | scores.numbers(summary.means)


if __name__ == "__main__":
    run(main)
