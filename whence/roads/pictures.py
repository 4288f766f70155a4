"""Pictures of streets, and of what was made of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.patches import Patch
from numpy.typing import NDArray

from whence import pictures
from whence.roads.classes import Mask, palette, wrong

INCH = 2.0
"""Width of a frame in a grid."""
Levels = NDArray[np.uint8]


def frames(images: Levels, masks: Mask, names: Sequence[str], colours: Sequence[str], titles: Sequence[str]) -> Any:
    """Return a figure of frames (n, H, W, 3), each beside its mask (n, H, W) of class numbers."""
    figure, cells = _grid(images, 2)
    paint = palette(colours)
    for axes, image, mask, title in zip(cells, images, masks, titles, strict=True):
        axes[0].imshow(image)
        axes[1].imshow(paint[mask])
        axes[0].set_title(title, fontsize=8, loc="left")
    _legend(figure, names, colours)
    return figure


def _grid(images: Levels, columns: int) -> tuple[Any, NDArray[Any]]:
    """Return a figure, and for each image (n, H, W, 3) `columns` axes without ticks in a row; two stand abreast."""
    rows, width = max(1, (len(images) + 1) // 2), 2 * columns
    tall = INCH * images.shape[1] / images.shape[2]
    size = (width * INCH, rows * (tall + 0.22) + 0.8)
    figure, grid = plt.subplots(rows, width, figsize=size, squeeze=False, layout="constrained")
    for axes in grid.ravel():
        axes.set_axis_off()
    return figure, grid.reshape(-1, columns)[: len(images)]


def _legend(figure: Any, names: Sequence[str], colours: Sequence[str]) -> None:
    patches = [Patch(color=f"#{colour}", label=name) for name, colour in zip(names, colours, strict=True)]
    figure.legend(handles=patches, loc="outside lower center", ncols=min(7, len(patches)), fontsize=8)


def worst(content: Mapping[str, NDArray[Any]], names: Sequence[str], colours: Sequence[str], title: str) -> Any:
    """Return a figure of the worst frames of every class: frame, truth, answer, and where it is wrong in red.

    `content` is what evaluation wrote: images, truth, called, shown (frame, class) and iou.
    """
    shown, paint = content["shown"], palette(colours)
    figure, cells = _grid(content["images"][shown[:, 0]], 4)
    for axes, (frame, k), iou in zip(cells, shown, content["iou"], strict=True):
        image, truth, called = (content[name][frame] for name in ("images", "truth", "called"))
        grey = np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2)
        red = np.where(wrong(truth, called)[..., None], np.array([220, 30, 30]), grey * 0.6 + 100)
        for cell, picture in zip(axes, (image, paint[truth], paint[called], red.astype(np.uint8)), strict=True):
            cell.imshow(picture)
        axes[0].set_title(f"{names[k]}: IoU {iou:.2f}", fontsize=8, loc="left")
    for axes in cells[:2]:
        for cell, what in zip(axes[1:], ("truth", "answer", "wrong in red"), strict=True):
            cell.set_title(what, fontsize=8)
    figure.suptitle(title, fontsize=10)
    _legend(figure, names, colours)
    return figure


def distribution(table: pd.DataFrame, title: str) -> Any:
    """Return a figure of the share of pixels of each class, a bar per split; columns class, split, share."""
    names, splits = table["class"].unique(), table["split"].unique()
    figure, axes = plt.subplots(figsize=(8, 0.45 * len(names) + 1.5), layout="constrained")
    high = 0.8 / len(splits)
    for place, split in enumerate(splits):
        part = table[table["split"] == split]
        at = np.arange(len(names)) + (place - (len(splits) - 1) / 2) * high
        axes.barh(at, part["share"], high, label=f"{split}, {part['frames'].iloc[0]:,} frames")
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set(title=title, xlabel="share of the pixels that count")
    axes.grid(axis="y", visible=False)
    axes.legend(fontsize=8)
    return figure


def matrices(tables: Mapping[str, pd.DataFrame], title: str) -> Any:
    """Return a figure of confusion matrices side by side, normalised by truth; columns actual, predicted, count."""
    side = 0.55 * max(table["predicted"].nunique() for table in tables.values()) + 1.6
    figure, grid = plt.subplots(
        1, len(tables), figsize=(side * len(tables), side + 0.4), squeeze=False, layout="constrained"
    )
    for axes, (name, table) in zip(grid[0], tables.items(), strict=True):
        order = table["predicted"].unique()
        counts = table.pivot(index="actual", columns="predicted", values="count").loc[order, order].to_numpy(float)
        total = counts.sum(axis=1, keepdims=True)
        share = np.divide(counts, total, out=np.full_like(counts, np.nan), where=total > 0)
        axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
        for i, j in np.argwhere(share >= 0.005):
            ink = "white" if share[i, j] > 0.55 else "black"
            axes.text(j, i, f"{share[i, j]:.2f}".lstrip("0"), ha="center", va="center", color=ink, fontsize=8)
        axes.set_xticks(range(len(order)), order, rotation=90, fontsize=8)
        axes.set_yticks(range(len(order)), order, fontsize=8)
        axes.set(title=name, xlabel="answer")
        axes.grid(visible=False)
    grid[0, 0].set_ylabel("truth")
    figure.suptitle(title, fontsize=10)
    return figure


def intervals(tables: Mapping[str, pd.DataFrame], by: str, value: str, title: str, x: str, across: float) -> Any:
    """Return a figure of values with intervals (columns `<value>_lo`, `<value>_hi`), a row each, a plot a table."""
    if not tables:
        return _nothing(title)
    rows = max(len(table) for table in tables.values())
    size = (max(5, 4.2 * len(tables)), 0.35 * rows + 1.5)
    figure, grid = plt.subplots(
        1, len(tables), figsize=size, squeeze=False, sharey=True, sharex=True, layout="constrained"
    )
    for axes, (name, table) in zip(grid[0], tables.items(), strict=True):
        numbers = table[[value, f"{value}_lo", f"{value}_hi"]].apply(pd.to_numeric, errors="coerce")
        for place, (middle, low, high) in enumerate(numbers.to_numpy(float)):
            axes.plot([low, high], [place, place], color="C0", lw=1.5)
            axes.plot(middle, place, "o", color="C0", ms=5)
        axes.axvline(across, color="grey", lw=1, ls=":")
        axes.set_yticks(range(len(table)), table[by])
        axes.set(title=name, xlabel=x)
        axes.grid(axis="y", visible=False)
    grid[0, 0].set_ylim(rows - 0.5, -0.5)
    figure.suptitle(title, fontsize=10)
    return figure


def _nothing(title: str) -> Any:
    figure, axes = plt.subplots(figsize=(5, 1.2), layout="constrained")
    axes.set_axis_off()
    axes.text(0.5, 0.5, "nothing to compare", ha="center", va="center")
    figure.suptitle(title, fontsize=10)
    return figure


save = pictures.save
