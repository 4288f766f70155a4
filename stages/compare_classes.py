"""Put all runs of a question of several classes side by side: leaderboard, confusion, learning, who overfits."""

import json
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from whence import metrics, pictures, runs
from whence.base import settings
from whence.base.errors import InputError
from whence.base.stage import run
from whence.table import rows, tables

RISE = 0.05
"""By what share valid loss rises above its lowest, while train loss falls on, where a run is said to overfit.

A patience of five epochs ends most trainings before a tenth."""
SPLITS = ("train", "valid", "test")
COLUMNS = ("official_accuracy", "official_macro_f1", "official_weighted_f1", "clean_accuracy", "overfits")


def main(
    question: str,
    labels: Path,
    full: Path,
    confusion: Path,
    training: Path,
    headline: Path,
    leaderboard: Path,
    all_confusion: Path,
    all_training: Path,
    leaderboard_picture: Path,
    confusion_picture: Path,
    training_picture: Path,
    counts_picture: Path,
) -> None:
    """Read `labels` (csv) and one file per run from each folder; write the tables (csv) and pictures (png).

    `headline` (json) is what DVC shows of a question: one number per run, its accuracy on the official test rows.
    """
    listed = runs.of_question(question)
    if not listed:
        found = f"class_runs: none asks {question!r}; add one, or take the question out of classes"
        raise InputError(f"{settings.PARAMS}: {found}")
    about = settings.load(f"classes.{question}", runs.Question)
    shown = runs.shown(listed)
    learnt = {key: pd.read_csv(training / entry.kind / f"{key}.csv") for key, entry in listed.items()}
    board = pd.DataFrame.from_records(
        [{"run": shown[key]} | _standing(full / f"{key}.json") | overfitting(learnt[key]) for key in listed]
    ).sort_values("official_accuracy", ascending=False, kind="stable", ignore_index=True)
    keys = {name: key for key, name in shown.items()}
    metrics.write(
        headline, {keys[name]: value for name, value in zip(board["run"], board["official_accuracy"], strict=True)}
    )
    tables.write_frame(leaderboard, board)
    counted = {name: pd.read_csv(confusion / f"{keys[name]}.csv") for name in board["run"]}
    curves = {name: learnt[keys[name]] for name in board["run"]}
    for path, parts in ((all_confusion, counted), (all_training, curves)):
        tables.write_frame(path, pd.concat(parts, names=["run"]).reset_index("run"))
    where = f"{about.dataset} ({runs.source(about.dataset)}), {board['official_n'].iat[0]:,} test rows"
    title = f"{question}: {about.question}\n{where}, {board['clean_n'].iat[0]:,} of them clean"
    for picture, figure in (
        (leaderboard_picture, _standings(title, board)),
        (confusion_picture, _confusions(title, counted)),
        (training_picture, pictures.training(title, curves)),
        (counts_picture, _counts(f"{question}: {where}", rows.read(labels))),
    ):
        pictures.save(figure, picture)
    print(board[["run", *COLUMNS]].round(4).to_string(index=False))


def overfitting(training: pd.DataFrame) -> dict[str, Any]:
    """Return what a learning curve says: epochs, the one with the lowest valid loss, by what share it rose, a verdict.

    Means over the seeds. A run overfits if its last valid loss is more than `RISE` above its lowest, and its train loss
    fell meanwhile.
    """
    found = []
    for _, part in training.groupby("seed"):
        best, last = part.loc[part["valid_loss"].idxmin()], part.iloc[-1]
        rise = last["valid_loss"] / best["valid_loss"] - 1
        found.append((last["epoch"], best["epoch"], rise, last["train_loss"] < best["train_loss"]))
    epochs, best_epoch, rise, fell = (float(np.mean(column)) for column in zip(*found, strict=True))
    verdict = f"from epoch {best_epoch:.0f} on" if rise > RISE and fell > 0.5 else "no"
    return {"epochs": round(epochs, 1), "best_epoch": round(best_epoch, 1), "rise": round(rise, 4), "overfits": verdict}


def _standing(path: Path) -> dict[str, float]:
    """Return the metrics of a run, <rows>_<metric>, of the one domain that a question of classes has."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    content.pop("epochs")
    ((_, parts),) = content.items()
    return {f"{which}_{name}": value for which, part in parts.items() for name, value in part.items()}


def _standings(title: str, board: pd.DataFrame) -> Any:
    size = (12, 1.6 + 0.35 * len(board))
    figure, axes = plt.subplots(1, 2, figsize=size, sharey=True, layout="constrained")
    figure.suptitle(title)
    for one, metric, label in zip(axes, ("accuracy", "macro_f1"), ("accuracy", "macro F1"), strict=True):
        pictures.draw_intervals(one, board, metric)
        one.set_xlabel(f"{label} on test rows (rings: clean ones)")
    return figure


def _confusions(title: str, counted: dict[str, pd.DataFrame]) -> Any:
    classes = len(next(iter(counted.values()))["actual"].unique())
    columns = min(3, len(counted))
    lines = -(-len(counted) // columns)
    side = 1.4 + 0.42 * classes
    how: dict[str, Any] = {"figsize": (side * columns, side * lines + 0.8), "layout": "constrained", "squeeze": False}
    figure, grid = plt.subplots(lines, columns, **how)
    figure.suptitle(title)
    for axes in grid.flat[len(counted) :]:
        axes.axis("off")
    for axes, (name, table) in zip(grid.flat, counted.items(), strict=False):
        pictures.draw_confusion(axes, table, name)
        axes.set(xlabel="predicted", ylabel="actual")
    return figure


def _counts(title: str, table: rows.Labels) -> Any:
    """Draw how many rows of each class every split has."""
    names = np.unique(table.category)
    size = (12, 1.6 + 0.28 * len(names))
    figure, grid = plt.subplots(1, len(SPLITS), figsize=size, sharey=True, layout="constrained")
    figure.suptitle(title)
    for axes, split in zip(grid, SPLITS, strict=True):
        counts = [int(((table.split == split) & (table.category == name)).sum()) for name in names]
        bars = axes.barh(names, counts, color="C0")
        axes.bar_label(bars, [f"{count:,}" for count in counts], padding=3, fontsize=8)
        axes.margins(x=0.15)
        axes.set(title=f"{split}: {sum(counts):,}", xlabel="images")
    grid[0].invert_yaxis()
    return figure


if __name__ == "__main__":
    run(main)
