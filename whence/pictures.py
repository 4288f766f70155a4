"""Pictures of numbers that others computed: every function draws on axes that it is given."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd

from whence.base.files import replacing

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

STYLE = {
    "figure.dpi": 100,
    "savefig.dpi": 150,
    "font.size": 10,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "legend.frameon": False,
    "svg.hashsalt": "whence",
}
plt.rcParams.update(STYLE)
Tables = Mapping[str, pd.DataFrame]


def styles(runs: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return a colour and a line style per run; forty runs stay apart."""
    return {run: {"color": f"C{k % 10}", "ls": ("-", "--", "-.", ":")[k // 10 % 4]} for k, run in enumerate(runs)}


def draw_curve(axes: Any, tables: Tables, x: str, y: str, look: Mapping[str, dict[str, Any]], **how: Any) -> None:
    """Draw one line per run: columns x and y of its table, both from 0 to 1; `how` goes to Matplotlib's plot."""
    for run, table in tables.items():
        axes.plot(table[x], table[y], lw=1.5, label=run, **look[run], **how)
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))


def legend(figure: Any, handles: Sequence[Any], labels: Sequence[str], title: str, height: float) -> None:
    """Put a legend below the axes, in as many columns (up to four) as fit, and leave `height` inches above it."""
    for columns in range(min(4, len(labels)), 0, -1):
        box = figure.legend(handles, labels, title=title, loc="outside lower center", ncols=columns)
        extent = box.get_window_extent(figure.canvas.get_renderer())
        if extent.width <= figure.bbox.width or columns == 1:
            figure.set_figheight(height + extent.height / figure.dpi)
            return
        box.remove()


def draw_answers(axes: Any, table: pd.DataFrame, x: str, metric: str, look: Mapping[str, dict[str, Any]]) -> None:
    """Draw `metric` over `x`, a line per run of `table`, its interval shaded."""
    for key, part in table.groupby("run", sort=False):
        axes.plot(part[x], part[metric], marker=".", label=key, **look[str(key)])
        if f"{metric}_lo" in part:
            ends = (part[f"{metric}_lo"], part[f"{metric}_hi"])
            axes.fill_between(part[x], *ends, color=look[str(key)]["color"], alpha=0.12, lw=0)


def name_runs(figure: Any, rows: int) -> None:
    """Put a legend of the runs below all axes, each once, with the number of rows that every point stands on."""
    named = [axes.get_legend_handles_labels() for axes in figure.axes]
    handles = {text: line for lines, texts in named for line, text in zip(lines, texts, strict=True)}
    title = f"run; {rows:,} test rows at each point"
    figure.legend(handles.values(), handles, title=title, loc="outside lower center", ncols=min(4, len(handles)))


def draw_intervals(axes: Any, board: pd.DataFrame, metric: str) -> None:
    """Draw a metric of every row of the leaderboard: dots on official rows, rings on clean rows, intervals if given."""
    for place, (_, row) in enumerate(board.iterrows()):
        for rows_, offset, filled in (("official", -0.12, True), ("clean", 0.12, False)):
            value, low, high = (row.get(f"{rows_}_{metric}{end}") for end in ("", "_lo", "_hi"))
            if low is not None:
                axes.plot([low, high], [place + offset] * 2, color="C0", lw=1.5)
            axes.plot(value, place + offset, "o", color="C0", markerfacecolor="C0" if filled else "white", ms=5)
        axes.annotate(
            f"{row[f'official_{metric}']:.3f}", (1.01, place), xycoords=("axes fraction", "data"), va="center"
        )
    axes.set_yticks(range(len(board)), board["run"])
    axes.set_ylim(len(board) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)


def draw_confusion(axes: Any, table: pd.DataFrame, title: str) -> None:
    """Draw counts (columns actual, predicted, count) shaded by their share of the actual class; of many the counts."""
    grid = table.pivot(index="actual", columns="predicted", values="count").loc[
        table["actual"].unique(), table["actual"].unique()
    ]
    share, many = grid.to_numpy() / grid.to_numpy().sum(axis=1, keepdims=True).clip(min=1), len(grid) > 4
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for i, j in np.ndindex(share.shape):
        ink = "white" if share[i, j] > 0.55 else "black"
        text = f"{grid.iat[i, j]:,}" + f"\n{share[i, j]:.1%}" * (not many)
        axes.text(j, i, text, ha="center", va="center", color=ink, fontsize=7 if many else 9)
    axes.set_xticks(range(len(grid)), grid.columns, rotation=90 if many else 0, fontsize=8 if many else 10)
    axes.set_yticks(range(len(grid)), grid.index, rotation=0 if many else 90, va="center", fontsize=8 if many else 10)
    axes.set_title(textwrap.fill(title, 28), fontsize=10)
    axes.grid(visible=False)


def draw_heat(axes: Any, table: pd.DataFrame, marked: pd.DataFrame) -> None:
    """Draw a table of shares, 0 to 1, a row per index and a column per column; `marked` cells get an asterisk.

    A cell without a number stays blank.
    """
    values = table.to_numpy(float)
    axes.imshow(values, cmap="viridis", vmin=0, vmax=1, aspect="auto")
    for i, j in np.argwhere(np.isfinite(values)):
        text = f"{values[i, j]:.3f}{'*' if marked.iat[i, j] else ''}"
        axes.text(j, i, text, ha="center", va="center", color="black" if values[i, j] > 0.6 else "white", fontsize=9)
    axes.set_xticks(range(len(table.columns)), table.columns)
    axes.set_yticks(range(len(table)), table.index)
    axes.grid(visible=False)


def draw_differences(axes: Any, table: pd.DataFrame, marked: pd.DataFrame) -> None:
    """Draw a square table of differences, blue above 0 and red below it; `marked` cells get an asterisk."""
    values = table.to_numpy(float)
    most = np.nanmax(np.abs(values), initial=0.01)
    axes.imshow(values, cmap="RdBu", vmin=-most, vmax=most, aspect="auto")
    for i, j in np.argwhere(np.isfinite(values)):
        text = f"{values[i, j]:+.3f}".replace("0.", ".") + ("*" if marked.iat[i, j] else "")
        ink = "white" if abs(values[i, j]) > 0.6 * most else "black"
        axes.text(j, i, text, ha="center", va="center", color=ink, fontsize=8)
    axes.set_xticks(range(len(table.columns)), table.columns, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(table)), table.index)
    axes.grid(visible=False)


def draw_map(axes: Any, table: pd.DataFrame, by: str, names: Sequence[str], dimensions: int) -> None:
    """Draw the points x2, y2 (or x3, y3, z3) of a map, a colour for each of `names` in column `by`, grey for others."""
    places = [f"{axis}{dimensions}" for axis in "xyz"[:dimensions]]
    rest = table[~table[by].isin(names)]
    axes.scatter(*(rest[place] for place in places), s=3, lw=0, color="lightgrey")
    for k, name in enumerate(names):
        part = table[table[by] == name]
        axes.scatter(*(part[place] for place in places), s=5, lw=0, color=f"C{k}", label=name)
    axes.grid(visible=False)
    axes.set(**{f"{place[0]}ticks": [] for place in places})


def draw_example(axes: Any, image: Any, covered: Any) -> None:
    """Draw an image (H, W, 3) uint8, and beside it in grey under (H, W), red where that is above 0 and blue below."""
    grey = image.mean(axis=2)
    most = max(float(np.abs(covered).max()), 1e-9)
    height, width = grey.shape
    axes.imshow(image, extent=(0, width, height, 0))
    axes.imshow(grey, cmap="gray", vmin=0, vmax=255, extent=(1.08 * width, 2.08 * width, height, 0))
    shade = mpl.colormaps["bwr"]((covered / most + 1) / 2)
    shade[..., 3] = np.abs(covered) / most * 0.7
    axes.imshow(shade, extent=(1.08 * width, 2.08 * width, height, 0))
    axes.set(xlim=(0, 2.08 * width), ylim=(height, 0), aspect="equal")


def training(title: str, tables: Tables, each: str = "image") -> Any:
    """Return a figure of the loss per `each` and the accuracy by epoch, train beside valid, a line per seed.

    Tables have columns seed, epoch, train_loss, valid_loss, train_accuracy, valid_accuracy; models without epochs,
    whose table says epoch 0, are left out, and the others look as they do beside them.
    """
    networks = {run: table for run, table in tables.items() if (table["epoch"] > 0).all()}
    look = styles(list(tables))
    figure, grid = plt.subplots(2, 2, figsize=(12, 8), sharex=True, sharey="row", layout="constrained")
    figure.suptitle(title)
    for row, what in zip(grid, ("loss", "accuracy"), strict=True):
        for axes, split in zip(row, ("train", "valid"), strict=True):
            for run, table in networks.items():
                for k, (_, part) in enumerate(table.groupby("seed")):
                    how = {"lw": 1, "marker": ".", "ms": 3, "label": None if k else run} | look[run]
                    axes.plot(part["epoch"], part[f"{split}_{what}"], **how)
    grid[0, 0].set(title="train, as augmented and smoothed", ylabel=f"loss, nats per {each}", yscale="log")
    grid[0, 0].yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    grid[0, 0].yaxis.set_major_formatter("{x:g}")
    grid[0, 0].yaxis.set_minor_locator(NullLocator())
    grid[0, 1].set(title="valid")
    grid[1, 0].set(xlabel="epoch", ylabel="accuracy")
    grid[1, 0].xaxis.set_major_locator(MaxNLocator(integer=True))
    grid[1, 1].set(xlabel="epoch")
    if networks:
        handles, labels = grid[0, 0].get_legend_handles_labels()
        legend(figure, handles, labels, "run", height=8)
    else:
        figure.supxlabel("no network among the runs")
    return figure


def save(figure: Any, path: Path) -> None:
    """Write the figure as PNG, whole or not at all, byte for byte the same for the same numbers."""
    with replacing(path) as partial:
        figure.savefig(partial, format="png", metadata={"Software": None})
    plt.close(figure)
