"""Draw the maps of all features: each by split in every colouring, and all of them side by side."""

import json
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd

from whence import pictures, runs
from whence.base.stage import run
from whence.table import tables

SPLITS = ("train", "valid", "test")
COLOURINGS = {"domain": "by domain", "category": "by category", "right": "by the run's answers: right?"}


def main(coordinates: Path, figures: Path, summary: Path, panel: Path, folder: Path) -> None:
    """Read `coordinates`/<map>.csv and `figures`/<map>.json; write `summary` (csv), `panel` (png), two png per map."""
    listed = runs.maps()
    shown = runs.shown(listed)
    points = {key: pd.read_csv(coordinates / f"{key}.csv", keep_default_na=False) for key in listed}
    records = []
    for key in listed:
        content: dict[str, dict[str, float]] = json.loads((figures / f"{key}.json").read_text(encoding="utf-8"))
        flat = {f"{space}_{name}": value for space, part in content.items() for name, value in part.items()}
        records.append({"map": shown[key]} | flat)
    table = pd.DataFrame.from_records(records)
    tables.write_frame(summary, table)
    pictures.save(_panel(shown, points, table), panel)
    for key in listed:
        entry = listed[key]
        where = f"{entry.dataset} ({runs.source(entry.dataset)}); right or wrong: {entry.run}, not asked about train"
        title = f"t-SNE of {shown[key]}\n{where}"
        for dimensions, end in ((2, "2d"), (3, "3d")):
            path = (folder / f"{key}-{end}").with_suffix(panel.suffix)
            pictures.save(_splits(title, points[key], dimensions), path)
    print(table.set_index("map").filter(like="knn").round(3).T.to_string())


def _names(table: pd.DataFrame, by: str) -> list[str]:
    """Return what the colours stand for, in one order for all maps of a dataset."""
    return ["yes", "no"] if by == "right" else sorted(table[by].unique())


def _panel(shown: dict[str, str], points: dict[str, pd.DataFrame], table: pd.DataFrame) -> Any:
    """Draw all maps in a row by domain, and in another by category, with the accuracy of neighbours below."""
    count = len(points)
    figure, grid = plt.subplots(2, count, figsize=(max(8, 3.4 * count), 7.4), layout="constrained", squeeze=False)
    figure.suptitle(f"t-SNE, all splits together ({runs.sources(runs.maps())})")
    for row, by in zip(grid, ("domain", "category"), strict=True):
        for k, (axes, (key, part)) in enumerate(zip(row, points.items(), strict=True)):
            pictures.draw_map(axes, part, by, _names(part, by), 2)
            space, drawn = (table[f"{where}_{by}_knn"].iat[k] for where in ("space", "map_2d"))
            axes.set_xlabel(f"{by}, neighbours agree:\nspace {space:.3f}, map {drawn:.3f}")
            if by == "domain":
                axes.set_title(shown[key].replace(" (", "\n("), pad=22)
                axes.legend(markerscale=3, fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
    categories = sorted({name for part in points.values() for name in part["category"]})
    figure.legend(_handles(categories), categories, loc="outside lower center", ncols=min(10, 2 * count), fontsize=8)
    return figure


def _handles(names: list[str]) -> list[Any]:
    return [plt.Line2D([], [], ls="", marker="o", color=f"C{k}") for k in range(len(names))]


def _splits(title: str, table: pd.DataFrame, dimensions: int) -> Any:
    """Draw one map, a row per split and a column per colouring, but for one that has a colour alone."""
    kind = {"projection": "3d"} if dimensions == 3 else {}
    used = {by: meaning for by, meaning in COLOURINGS.items() if by == "right" or len(_names(table, by)) > 1}
    size: dict[str, Any] = {"figsize": (11 * len(used) / 3, 11.5), "layout": "constrained", "squeeze": False}
    figure, grid = plt.subplots(3, len(used), subplot_kw=kind, **size)
    figure.suptitle(title)
    for row, split in zip(grid, SPLITS, strict=True):
        part = table[table["split"] == split]
        for axes, (by, meaning) in zip(row, used.items(), strict=True):
            pictures.draw_map(axes, part, by, _names(table, by), dimensions)
            axes.set_title(f"{split} ({len(part):,}) {meaning if split == SPLITS[0] else ''}")
    for axes, by in zip(grid[-1], used, strict=True):
        names = _names(table, by)
        axes.legend(_handles(names), names, loc="upper center", bbox_to_anchor=(0.5, -0.02), ncols=3, fontsize=8)
    return figure


if __name__ == "__main__":
    run(main)
