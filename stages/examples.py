"""Show what a network gets right and wrong of every class: images, where each answer stands, and the spectrum."""

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from pydantic import Field, model_validator

from whence import metrics, models, runs, saliency
from whence.base import arrays, settings
from whence.base.errors import InputError
from whence.base.stage import run
from whence.features import spectrum
from whence.table import rows, tables, tasks

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from whence.estimators.network.estimator import Estimator

    Ask = Callable[[Tensor], Tensor]

Rows = NDArray[np.int64]
Floats = NDArray[np.float64]
COMPARED = 5000
"""Train rows whose spectra the examples are held against, evenly spaced."""


class Settings(settings.Section):
    """Section show."""

    rows: int = Field(ge=1)
    """Most test rows, evenly spaced, that examples are taken from."""
    per_class: int = Field(ge=1)
    """Wrong ones of every class, the surest first, and as many right ones, evenly spaced."""
    window: int = Field(ge=1)
    """Side in pixels of the square that covers a part of the image."""
    stride: int = Field(ge=1)
    """Pixels between two places of it."""

    @model_validator(mode="after")
    def _covers(self) -> "Settings":
        if self.stride > self.window:
            raise ValueError(f"stride {self.stride} leaves pixels uncovered: expected at most window, {self.window}")
        return self


def main(
    section: str,
    classifier: str,
    labels: Path,
    images: Path,
    weights: Path,
    card: Path,
    examples: Path,
    pixels: Path,
    spectra: Path,
    picture: Path,
    backbone: Annotated[str, typer.Argument()] = "",
    features: Annotated[Path | None, typer.Argument()] = None,
    start: Annotated[Path | None, typer.Argument()] = None,
) -> None:
    """Read `images` (.npy, uint8) of `labels` (csv) and a network; `section` is tasks.<name> or objects.<name>.

    Writes `examples` (csv: a line each, with its spectrum), `pixels` (.npy, float16, n×H×W×4: red, green and blue in
    levels, and by how many nats the log odds fall where it is covered, the network seeing one view), `spectra` (csv: of
    the classes) and `picture` (png). A network on the features of a backbone is told its name, these (.npy, row by row
    the same images) and its weights (.safetensors).
    """
    entry = importlib.import_module(f"whence.classifiers.{classifier}")
    estimator = importlib.import_module("whence.estimators.network.estimator")
    show, asked = settings.load("show", Settings), tasks.load(section)
    table, array = rows.read(labels), arrays.read(images)
    rows.check_aligned(table, array, images)
    model = estimator.Estimator.load(entry, weights, card)
    if show.window > min(array.shape[1:3]):
        found = f"got {show.window}, expected at most the side of an image, {min(array.shape[1:3])}"
        raise InputError(f"{settings.PARAMS}: show.window: {found}")
    names, target = np.asarray(model.classes_), asked.target(table)
    tested = _tested(table, asked, section)
    chosen = rows.spaced(tested, show.rows)
    seen = array if features is None else arrays.read(features)
    rows.check_aligned(table, seen, features or images)
    proba = models.ask(model, seen, chosen).mean(axis=0)
    answer, sure = proba.argmax(axis=1), proba.max(axis=1)
    place = _chosen(target[chosen], names, answer, sure, show.per_class)
    row, said, score = chosen[place], answer[place], sure[place]
    asks = _of_pixels(model, asked.dataset, backbone, start)
    covered = _covered(model, asks, array[row], said, show)
    known = _spectra(array, table, target, names)
    own = spectrum.extract(array[row], spectrum.Settings(bins=known.shape[1])).astype(float)
    lines = {
        "row": row,
        "path": table.path[row],
        "category": table.category[row],
        "domain": table.domain[row],
        "actual": target[row],
        "predicted": names[said],
        "score": score.round(metrics.DECIMALS),
        "right": np.where(names[said] == target[row], "yes", "no"),
        "spectrum_says": names[_likeliest(own, known)],
    }
    rings = spectrum.names(spectrum.Settings(bins=known.shape[1]))
    tables.write_csv(examples, lines | {name: own[:, k].round(4) for k, name in enumerate(rings)})
    arrays.write_blocks(pixels, [np.concatenate([array[row], covered[..., None]], axis=3).astype(np.float16)])
    _write_spectra(spectra, names, rings, known)
    drawn = " (random weights)" if runs.random_weights() & {*picture.stem.split("-")} else ""
    title = f"{picture.stem}{drawn} ({runs.source(asked.dataset)})"
    _draw(picture, array[row], covered, lines, show.per_class, title)
    wrong = int((lines["right"] == "no").sum())
    print(f"{wrong} wrong and {len(row) - wrong} right of {len(chosen):,} test rows")


def _tested(table: rows.Labels, asked: tasks.Task | tasks.Objects, section: str) -> Rows:
    """Return the test rows of the domains that the network has learnt from."""
    own = asked.classes if isinstance(asked, tasks.Task) else list(asked.domains)
    tested = np.flatnonzero((table.split == "test") & np.isin(table.domain, own))
    if not len(tested):
        raise InputError(f"{settings.PARAMS}: {section}: has no test row of {', '.join(own)}; run dvc repro")
    return tested


def _chosen(actual: Any, names: Any, said: Rows, sure: Floats, most: int) -> Rows:
    """Return the places of wrong rows of every class, the surest first, and of right ones, evenly spaced."""
    found = []
    for name in names:
        here = actual == name
        wrong, right = (np.flatnonzero(here & ((names[said] == actual) == truth)) for truth in (False, True))
        found += [wrong[np.argsort(-sure[wrong], kind="stable")[:most]], rows.spaced(right, most)]
    return np.concatenate(found)


def _of_pixels(model: "Estimator", dataset: str, backbone: str, start: Path | None) -> "list[Ask]":
    """Return each member as a function of images (B, 3, H, W) in [0, 1], on features with the backbone before it."""
    members = range(len(model.members))
    if start is None:
        return [model.of_pixels(member, views=1) for member in members]
    from whence.embedding import Embedding

    trunk = Embedding.load(backbone, start, dataset)
    heads = [model.of_features(member) for member in members]
    return [lambda x, head=head: head(trunk.of_pixels(x)) for head in heads]  # type: ignore[misc]


def _covered(
    model: "Estimator", asks: "list[Ask]", x: NDArray[np.uint8], said: Rows, show: Settings
) -> NDArray[np.float32]:
    """Return (n, H, W), the mean over the members; images with much to cover are looked at a few at a time."""
    import torch

    parts = []
    for start in range(0, len(x), models.BLOCK // 64):
        part = slice(start, start + models.BLOCK // 64)
        images = torch.from_numpy(x[part]).to(model.device).permute(0, 3, 1, 2).float() / 255
        of = torch.from_numpy(said[part]).to(model.device)
        maps = [saliency.occlusion(ask, images, of, show.window, show.stride) for ask in asks]
        parts.append(torch.stack(maps).mean(0).float().cpu().numpy())
    return np.concatenate(parts)


def _spectra(array: NDArray[Any], table: rows.Labels, target: Any, names: Any) -> Floats:
    """Return (K, bins, 2): mean and deviation over each class's train rows of the log power in every ring."""
    bins = settings.load("extract.spectrum", spectrum.Settings)
    train = rows.spaced(np.flatnonzero(table.split == "train"), COMPARED)
    power = spectrum.extract(np.asarray(array[train]), bins).astype(float)
    classes = [power[target[train] == name] for name in names]
    return np.stack([np.stack([part.mean(axis=0), part.std(axis=0) + 1e-6], axis=1) for part in classes])


def _likeliest(own: Floats, known: Floats) -> Rows:
    """Return (n,) the class in which these spectra are likeliest, were its rings independent and normal."""
    mean, std = known[None, :, :, 0], known[None, :, :, 1]
    return np.asarray((((own[:, None] - mean) / std) ** 2 / 2 + np.log(std)).sum(axis=2).argmin(axis=1))


def _write_spectra(path: Path, names: Any, rings: list[str], known: Floats) -> None:
    columns = {
        "class": names.repeat(len(rings)),
        "ring": np.tile(rings, len(names)),
        "mean": known[..., 0].ravel().round(4),
        "std": known[..., 1].ravel().round(4),
    }
    tables.write_csv(path, columns)


def _draw(
    path: Path, x: NDArray[np.uint8], covered: NDArray[np.float32], lines: dict[str, Any], most: int, title: str
) -> None:
    """Draw a line of images for every class: what is wrong on the left, up to `most`, what is right beside it."""
    import matplotlib.pyplot as plt

    from whence import pictures

    names = list(dict.fromkeys(lines["actual"]))
    size = (3.8 * most + 0.6, 1.3 * len(names) + 0.9)
    figure, grid = plt.subplots(len(names), 2 * most, figsize=size, layout="constrained", squeeze=False)
    figure.suptitle(f"{title}\nright: where covering a part takes from the answer (red) or adds to it (blue)")
    for axes in grid.flat:
        axes.axis("off")
    free = {
        (name, right): iter(grid[k, most:] if right else grid[k]) for k, name in enumerate(names) for right in (0, 1)
    }
    for k, actual in enumerate(lines["actual"]):
        right = lines["right"][k] == "yes"
        axes = next(free[actual, int(right)])
        pictures.draw_example(axes, x[k], covered[k])
        mark = "" if right else "✗ "
        axes.set_title(f"{mark}{actual}\n→ {lines['predicted'][k]} {lines['score'][k]:.3f}", fontsize=8)
    pictures.save(figure, path)


if __name__ == "__main__":
    run(main)
