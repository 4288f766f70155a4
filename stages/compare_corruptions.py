"""Draw how the answers of some runs outlast corrupted images, and put their numbers side by side."""

import math
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.ticker import MaxNLocator

from whence import pictures, runs
from whence.base.stage import run
from whence.table import tables

COLUMNS = 5


def main(answers: Path, table: Path, auc_picture: Path, accuracy_picture: Path) -> None:
    """Read `answers`/<run>.csv of each run in section corrupted; write `table` (csv) and two pictures (png)."""
    listed = runs.corrupted()
    read = {key: pd.read_csv(answers / f"{key}.csv") for key in listed}
    gathered = pd.concat(read, names=["run"]).reset_index("run")
    gathered.insert(0, "task", gathered["run"].map({key: entry.task for key, entry in listed.items()}))
    tables.write_frame(table, gathered)
    for metric, label, path in (
        ("roc_auc", "ROC AUC", auc_picture),
        ("accuracy", "accuracy", accuracy_picture),
    ):
        pictures.save(_curves(gathered, metric, label), path)
    worse = gathered[gathered["severity"] > 0].groupby(["task", "run"])[["roc_auc", "accuracy"]].mean()
    print(worse.round(3).to_string())


def _curves(gathered: pd.DataFrame, metric: str, label: str) -> Any:
    """Draw a panel per task and corruption: `metric` by severity, a line per run, its interval shaded."""
    names = [name for name in gathered["corruption"].unique() if name != "clean"]
    questions, lines = gathered["task"].unique(), math.ceil(len(names) / COLUMNS)
    figure, grid = plt.subplots(
        *(len(questions) * lines, COLUMNS),
        **{"figsize": (13, 1 + 2.3 * lines * len(questions)), "sharex": True, "sharey": "row", "layout": "constrained"},
        squeeze=False,
    )
    figure.suptitle(f"{label} on corrupted test images ({runs.sources(runs.corrupted())}), by severity; 0 is clean")
    look = pictures.styles(gathered["run"].unique())
    for k, question in enumerate(questions):
        some = gathered[gathered["task"] == question]
        for axes in grid[k * lines : (k + 1) * lines].flat[len(names) :]:
            axes.axis("off")
        for axes, name in zip(grid[k * lines : (k + 1) * lines].flat, names, strict=False):
            part = some[some["corruption"].isin(["clean", name])]
            pictures.draw_answers(axes, part, "severity", metric, look)
            axes.axhline(0.5, color="grey", lw=0.8, ls=":")
            axes.set_title(f"{question}: {name.replace('_', ' ')}", fontsize=10)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    pictures.name_runs(figure, gathered["n"].iat[0])
    return figure


if __name__ == "__main__":
    run(main)
