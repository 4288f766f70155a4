"""Put the test rows that a run gets wrong side by side, as they lie in the space of each of several features."""

import json
import math
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd

from whence import pictures, runs
from whence.base.errors import InputError
from whence.base.stage import run
from whence.table import tables

TYPES = defaultdict(lambda: "float", row="int") | dict.fromkeys(("path", "category", "true", "predicted"), "str")
"""Of the columns, which a table without a line does not tell."""
ABOUT = ["row", "path", "category", "true", "predicted", "score"]
"""What is the same of a wrong row in every space."""
LOOK = {"wrong": ("C3", -0.18), "right": ("C0", 0.18)}
"""The colour of rows, and how far they stand off the line of a space."""
BOX = {"whislo": "05", "q1": "25", "med": "50", "q3": "75", "whishi": "95"}
"""What Matplotlib calls the parts of a box, and the percentiles that they stand for."""
RATIO = "log₂ of the distance to the true centroid over that to the other class's:\n0 as far, 1 twice as far"
DOTS = {
    "nearest_median": "median distance to\nthe nearest train rows\n(1: of a row to its centroid)",
    "agree_mean": "share of these\nof the true class",
}


def main(distances: Path, figures: Path, summary: Path, table: Path, picture: Path) -> None:
    """Read `distances`/<entry>.csv and `figures`/<entry>.json; write `summary` and `table` (csv) and `picture` (png).

    Summary has a line per entry; table has one per run and wrong row, and the columns <features>_<distance>.
    """
    listed = runs.mistakes()
    shown = runs.shown(listed)
    records, groups = [], dict[tuple[str, str], dict[str, pd.DataFrame]]()
    for key, entry in listed.items():
        space = entry.features + shown[key].removeprefix(key)
        content: dict[str, dict[str, float]] = json.loads((figures / f"{key}.json").read_text(encoding="utf-8"))
        flat = {f"{rows}_{name}": value for rows, part in content.items() for name, value in part.items()}
        records.append({"task": entry.task, "run": entry.run, "space": space} | flat)
        part = pd.read_csv(distances / f"{key}.csv", keep_default_na=False, dtype=TYPES)
        groups.setdefault((entry.task, entry.run), {})[space] = part
    board = pd.DataFrame.from_records(records)
    merged = {group: _merged(group, parts) for group, parts in groups.items()}
    tables.write_frame(summary, board)
    tables.write_frame(table, pd.concat(merged, names=["task", "run"]).reset_index(["task", "run"]))
    pictures.save(_picture(board, merged), picture)
    print(board.set_index(["run", "space"]).filter(regex="nearer|agree").round(3).to_string())


def _merged(group: tuple[str, str], parts: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return a run's wrong rows with what each space says of them; raises InputError if the spaces saw others.

    Column nearer_predicted is the share of spaces in which a row is nearer to the centroid of the predicted class.
    """
    about = next(iter(parts.values()))[ABOUT]
    for space, part in parts.items():
        if not part[ABOUT].equals(about):
            raise InputError(f"{' '.join(group)}: other rows are wrong in {space} than elsewhere; run dvc repro")
    nearer = pd.concat([part["to_predicted"] < part["to_true"] for part in parts.values()], axis=1)
    measured = [part.drop(columns=ABOUT).add_prefix(f"{space}_") for space, part in parts.items()]
    return pd.concat([about, nearer.mean(axis=1).round(6).rename("nearer_predicted"), *measured], axis=1)


def _picture(board: pd.DataFrame, merged: Mapping[tuple[str, str], pd.DataFrame]) -> Any:
    """Draw a row of panels per run: boxes of the ratio of distances, and dots of the neighbours, a line per space."""
    parts = {group: board[(board["task"] == group[0]) & (board["run"] == group[1])] for group in merged}
    heights = [0.7 + 0.6 * len(part) for part in parts.values()]
    ratios = {"height_ratios": heights, "width_ratios": [3, 1, 1]}
    how: dict[str, Any] = {"figsize": (12, 2.2 + sum(heights)), "layout": "constrained", "gridspec_kw": ratios}
    figure, grid = plt.subplots(len(parts), 3, sharex="col", squeeze=False, **how)
    figure.suptitle(
        f"Test rows that a run gets wrong, in the space of several features ({runs.sources(runs.mistakes())})"
    )
    for row, (group, part) in zip(grid, parts.items(), strict=True):
        row[0].set_title(_title(group, part, merged[group]), loc="left")
        _draw_boxes(row[0], part)
        for axes, name in zip(row[1:], DOTS, strict=True):
            _draw_dots(axes, part, name)
        for axes, names in zip(row, (part["space"], *[[""] * len(part)] * 2), strict=True):
            axes.set_yticks(range(len(part)), names)
            axes.set_ylim(len(part) - 0.5, -0.5)
            axes.grid(axis="y", visible=False)
    for axes, label in zip(grid[-1], (RATIO, *DOTS.values()), strict=True):
        axes.set_xlabel(label)
    grid[0, 1].set_xlim(left=0)
    grid[0, 2].set_xlim(-0.05, 1.05)
    handles = [plt.Line2D([], [], ls="", marker="s", color=colour) for colour, _ in LOOK.values()]
    title = "boxes: the middle half, whiskers: 5 % to 95 %"
    figure.legend(handles, [f"{rows} rows" for rows in LOOK], title=title, loc="outside lower center", ncols=2)
    return figure


def _title(group: tuple[str, str], part: pd.DataFrame, table: pd.DataFrame) -> str:
    """Return whose mistakes a row of panels shows, and what the spaces say of them together."""
    title = f"{group[0]}: {group[1]} is wrong about {len(table):,} of {part['all_n'].iat[0]:,} test rows"
    if len(table) and len(part) > 1:
        every, none = ((table["nearer_predicted"] == share).mean() for share in (1, 0))
        title += f"\nnearer to the predicted class in every space: {every:.1%} of these, in none: {none:.1%}"
    return title


def _draw_boxes(axes: Any, part: pd.DataFrame) -> None:
    """Draw a box of the ratio of the wrong rows and one of that of the right rows, a line per space."""
    look = {"boxprops": {"alpha": 0.5}, "medianprops": {"color": "black"}, "showfliers": False, "widths": 0.3}
    axes.axvline(0, color="grey", lw=0.8, ls=":")
    for place, (_, line) in enumerate(part.iterrows()):
        for rows, (colour, offset) in LOOK.items():
            box = {end: line.get(f"{rows}_log2_ratio_q{percent}", math.nan) for end, percent in BOX.items()}
            if math.isfinite(box["med"]):
                where = {"positions": [place + offset], "orientation": "horizontal", "manage_ticks": False}
                axes.bxp([box], patch_artist=True, **where, **look)["boxes"][0].set_facecolor(colour)


def _draw_dots(axes: Any, part: pd.DataFrame, name: str) -> None:
    """Draw a figure of the wrong rows and the same of the right rows, a line per space as in the boxes beside it."""
    for rows, (colour, offset) in LOOK.items():
        if f"{rows}_{name}" in part:
            axes.plot(part[f"{rows}_{name}"], [place + offset for place in range(len(part))], "o", color=colour)


if __name__ == "__main__":
    run(main)
