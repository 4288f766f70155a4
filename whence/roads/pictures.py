"""Pictures of streets, and of what was made of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.patches import Patch
from numpy.typing import NDArray

from whence import pictures
from whence.roads.classes import Mask, palette, wrong

TOP, BOTTOM = 0.3, 0.45
"""What is left above a sheet and below, in inches."""
WIDEST = 320
"""Pixels of a frame on a sheet, about: of a wider one every so many are shown, of a smaller one each several times."""
Levels = NDArray[np.uint8]


def frames(images: Levels, masks: Mask, names: Sequence[str], colours: Sequence[str], titles: Sequence[str]) -> Any:
    """Return a figure of frames (n, H, W, 3), each beside its mask (n, H, W) of class numbers."""
    examples = list(zip(images, palette(colours)[masks], strict=True))
    figure = _sheet(examples, titles, ("",))
    _legend(figure, names, colours)
    return figure


def _sheet(examples: Sequence[Sequence[Levels]], titles: Sequence[str], heads: Sequence[str], title: str = "") -> Any:
    """Return a figure of examples, some pictures (H, W, 3) of one size each, with a title each; two stand abreast.

    `heads` are called the pictures of the first row, but for an example's first, over which its title stands. All are
    one canvas, since axes for each would take seconds; each of its pixels is one of the figure's or several, so that it
    stays sharp.
    """
    step = max(1, examples[0][0].shape[1] // WIDEST)
    examples = [[picture[::step, ::step] for picture in each] for each in examples]
    (tall, wide), width = examples[0][0].shape[:2], 2 * len(examples[0])
    gap, head, rows = wide // 32, wide // 8, (len(examples) + 1) // 2
    canvas = np.full((rows * (tall + head), width * (wide + gap), 4), 255, np.uint8)
    times = max(1, round(WIDEST / wide))
    high, long = (side * times / plt.rcParams["savefig.dpi"] for side in canvas.shape[:2])
    whole = high + BOTTOM + (TOP if title else 0)
    figure = plt.figure(figsize=(long / 0.99, whole))
    axes = figure.add_axes((0.01, BOTTOM / whole, 0.99, high / whole))
    for place, (shown, said) in enumerate(zip(examples, titles, strict=True)):
        texts = (said, *heads) if place < 2 else (said, *[""] * len(heads))
        for k, (picture, text) in enumerate(zip(shown, texts, strict=True)):
            down, right = place // 2 * (tall + head) + head, (place % 2 * len(shown) + k) * (wide + gap)
            canvas[down : down + tall, right : right + wide, :3] = picture
            axes.text(right, down - gap, text, fontsize=8)
    axes.set(xlim=(0, canvas.shape[1]), ylim=(canvas.shape[0], 0))
    axes.set_axis_off()
    figure.add_artist(_Canvas(canvas.repeat(times, axis=0).repeat(times, axis=1), axes))
    figure.suptitle(title, fontsize=10, y=1 - 0.1 / whole, va="top")
    return figure


class _Canvas(Artist):
    """Pixels (H, W, 4), opaque, as they are, from the lower left corner of axes; imshow resamples them for seconds."""

    def __init__(self, canvas: Levels, axes: Any) -> None:
        super().__init__()
        self.pixels, self.place = np.ascontiguousarray(canvas[::-1]), axes

    def draw(self, renderer: Any) -> None:
        """Draw them below all others."""
        box = self.place.bbox
        renderer.draw_image(renderer.new_gc(), round(box.x0), round(box.y0), self.pixels)


def _legend(figure: Any, names: Sequence[str], colours: Sequence[str]) -> None:
    patches = [Patch(color=f"#{colour}", label=name) for name, colour in zip(names, colours, strict=True)]
    figure.legend(handles=patches, loc="lower center", ncols=min(7, len(patches)), fontsize=8)


def worst(content: Mapping[str, NDArray[Any]], names: Sequence[str], colours: Sequence[str], title: str) -> Any:
    """Return a figure of the worst frames of every class: frame, truth, answer, and where it is wrong in red.

    `content` is what evaluation wrote: images, truth, called, shown (frame, class) and iou.
    """
    shown, paint = content["shown"], palette(colours)
    if not len(shown):
        return _nothing(title)
    examples = []
    for frame, _ in shown:
        image, truth, called = (content[name][frame] for name in ("images", "truth", "called"))
        grey = np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2)
        red = np.where(wrong(truth, called)[..., None], np.array([220, 30, 30]), grey * 0.6 + 100)
        examples.append((image, paint[truth], paint[called], red.astype(np.uint8)))
    titles = [f"{names[k]}: IoU {iou:.2f}" for (_, k), iou in zip(shown, content["iou"], strict=True)]
    figure = _sheet(examples, titles, ("truth", "answer", "wrong in red"), title)
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
