"""Put all runs of a task side by side: a leaderboard that groups what does not differ, curves, confusion matrices."""

import json
import math
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from whence import metrics, pictures, runs, significance
from whence.base import settings
from whence.base.errors import InputError
from whence.base.stage import run
from whence.table import tables
from whence.table.tasks import Task

MIN_BIN = 10
"""A calibration bin of fewer rows shows noise."""


def main(
    task: str,
    full: Path,
    roc: Path,
    precision_recall: Path,
    reliability: Path,
    confusion: Path,
    training: Path,
    scores: Path,
    headline: Path,
    leaderboard: Path,
    all_roc: Path,
    all_precision_recall: Path,
    all_reliability: Path,
    all_confusion: Path,
    all_training: Path,
    significance_table: Path,
    curves_picture: Path,
    leaderboard_picture: Path,
    confusion_picture: Path,
    training_picture: Path,
    significance_picture: Path,
) -> None:
    """Read one file per run from each folder; write the leaderboard, the gathered tables (csv) and pictures (png).

    `headline` (json) is what DVC shows of a task: one number per run, its ROC AUC on the official test rows.
    `training` holds a folder for each kind of run, that DVC may draw the networks alone.
    """
    question = settings.load(f"tasks.{task}", Task)
    listed = runs.of_task(task)
    if not listed:
        raise InputError(f"{settings.PARAMS}: runs: none is of task {task!r}; add one, or take the task out of 'tasks'")
    section = settings.load("evaluate.metrics", metrics.Settings)
    board = _leaderboard(full, list(listed))
    order = board["run"].tolist()
    positive, answers = _answers(scores, order, question.positive)
    differ = significance.pairs(positive, answers, section)
    board.insert(1, "group", significance.groups(order, differ, 1 - section.confidence))
    folders = {"roc": roc, "pr": precision_recall, "reliability": reliability, "confusion": confusion}
    gathered = {kind: {name: pd.read_csv(folder / f"{name}.csv") for name in order} for kind, folder in folders.items()}
    gathered["training"] = {name: pd.read_csv(training / listed[name].kind / f"{name}.csv") for name in order}
    metrics.write(headline, dict(zip(order, board["official_roc_auc"].tolist(), strict=True)))
    shown = runs.shown(listed)
    board.insert(2, "epochs", [_epochs(gathered["training"][name]) for name in order])
    board["run"] = board["run"].map(shown)
    differ |= {end: np.array([shown[run] for run in differ[end].tolist()], np.str_) for end in ("first", "second")}
    gathered = {kind: {shown[name]: table for name, table in parts.items()} for kind, parts in gathered.items()}
    tables.write_frame(leaderboard, board)
    tables.write_csv(significance_table, differ)
    for path, kind in (
        (all_roc, "roc"),
        (all_precision_recall, "pr"),
        (all_reliability, "reliability"),
        (all_confusion, "confusion"),
        (all_training, "training"),
    ):
        tables.write_frame(path, pd.concat(gathered[kind], names=["run"]).reset_index("run"))
    title = _title(task, question, board)
    for picture, figure in (
        (curves_picture, _curves(title, question, gathered, board)),
        (leaderboard_picture, _standings(title, board)),
        (confusion_picture, _confusions(title, gathered["confusion"], board["official_n"].iat[0])),
        (training_picture, pictures.training(title, gathered["training"])),
        (significance_picture, _differences(title, board["run"].tolist(), differ, 1 - section.confidence)),
    ):
        pictures.save(figure, picture)
    columns = ["group", "run", "official_roc_auc", "official_balanced_accuracy", "clean_roc_auc"]
    print(board[columns].to_string(index=False))


def _leaderboard(full: Path, names: list[str]) -> pd.DataFrame:
    """Return one row per run, best ROC AUC on the official test rows first; columns <rows>_<metric>."""
    records = []
    for name in names:
        content: dict[str, dict[str, float]] = json.loads((full / f"{name}.json").read_text(encoding="utf-8"))
        records.append(
            {"run": name} | {f"{rows}_{key}": v for rows, part in content.items() for key, v in part.items()}
        )
    board = pd.DataFrame.from_records(records)
    return board.sort_values("official_roc_auc", ascending=False, kind="stable", ignore_index=True)


def _answers(folder: Path, names: list[str], positive: str) -> tuple[NDArray[np.bool_], dict[str, Any]]:
    """Return the truth (N,) of the official test rows, and every run's scores (S, N); all are of the same rows."""
    tables_ = {name: pd.read_csv(folder / f"{name}.csv", keep_default_na=False) for name in names}
    tests = {name: table[table["split"] == "test"] for name, table in tables_.items()}
    known = tests[names[0]][["row", "path", "actual"]].to_numpy()
    for name, test in tests.items():
        if not np.array_equal(test[["row", "path", "actual"]].to_numpy(), known):
            raise InputError(f"{folder / name}.csv: its test rows are not those of {names[0]}; run dvc repro")
    return known[:, 2] == positive, {name: test.filter(like="score_").to_numpy(float).T for name, test in tests.items()}


def _epochs(training: pd.DataFrame) -> float:
    """Return how long a run has learnt: passes over the training rows, the mean over its seeds; 0 if it has none."""
    return round(float(training.groupby("seed")["epoch"].max().mean()), 1)


def _title(task: str, question: Task, board: pd.DataFrame) -> str:
    rows = f"{board['official_n'].iat[0]:,} test rows, {board['clean_n'].iat[0]:,} of them clean"
    return f"{task}: {question.question}\n{question.dataset} ({runs.source(question.dataset)}), {rows}"


def _curves(title: str, question: Task, gathered: dict[str, Any], board: pd.DataFrame) -> Any:
    look = pictures.styles(board["run"].tolist())
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(14, 5), layout="constrained")
    figure.suptitle(title)
    pictures.draw_curve(left, gathered["roc"], "fpr", "tpr", look)
    left.plot([0, 1], [0, 1], color="grey", lw=0.8, ls=":")
    left.set(title="ROC", xlabel="false positive rate", ylabel="true positive rate")
    pictures.draw_curve(middle, gathered["pr"], "recall", "precision", look, drawstyle="steps-pre")
    middle.axhline(board["official_n_positive"].iat[0] / board["official_n"].iat[0], color="grey", lw=0.8, ls=":")
    middle.set(title=f"precision–recall of {question.positive!r}", xlabel="recall", ylabel="precision")
    filled = {run: table[table["count"] >= MIN_BIN] for run, table in gathered["reliability"].items()}
    pictures.draw_curve(right, filled, "mean_score", "observed", look, marker="o", ms=3)
    right.plot([0, 1], [0, 1], color="grey", lw=0.8, ls=":")
    right.set(
        title=f"calibration (bins of {MIN_BIN} rows or more)",
        xlabel=f"score of {question.positive!r}",
        ylabel="observed share",
    )
    auc = dict(zip(board["run"], board["official_roc_auc"], strict=True))
    handles, labels = left.get_legend_handles_labels()
    labels = [f"{label}  {auc[label]:.3f}" for label in labels]
    pictures.legend(figure, handles, labels, "run, ROC AUC", height=5)
    return figure


def _standings(title: str, board: pd.DataFrame) -> Any:
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 2 + 0.38 * len(board)), sharey=True, layout="constrained")
    figure.suptitle(title)
    for axes, metric, label in ((left, "roc_auc", "ROC AUC"), (right, "balanced_accuracy", "balanced accuracy")):
        pictures.draw_intervals(axes, board, metric)
        axes.axvline(0.5, color="grey", lw=0.8, ls=":")
        axes.set(xlabel=label)
    figure.supxlabel("dots: official test rows, rings: clean ones, bars: bootstrap intervals", fontsize=10)
    return figure


def _confusions(title: str, gathered: dict[str, pd.DataFrame], rows: int) -> Any:
    columns = min(4, len(gathered))
    count = math.ceil(len(gathered) / columns)
    figure, grid = plt.subplots(
        count, columns, figsize=(max(9, 3.1 * columns), 1 + 3.2 * count), layout="constrained", squeeze=False
    )
    figure.get_layout_engine().set(h_pad=0.12)  # titles keep clear of the ticks above them
    figure.suptitle(title)
    for axes in grid.flat[len(gathered) :]:
        axes.axis("off")
    for axes, (name, table) in zip(grid.flat, gathered.items(), strict=False):
        pictures.draw_confusion(axes, table, name)
    several = any(table["count"].sum() > rows for table in gathered.values())
    figure.supxlabel("predicted" + ("; of several seeds the counts are those of all together" if several else ""))
    figure.supylabel("actual")
    return figure


def _differences(title: str, order: list[str], differ: dict[str, NDArray[Any]], alpha: float) -> Any:
    """Draw a matrix of runs: below the diagonal how much ROC AUC, above it how much accuracy a row has more."""
    place = {run: k for k, run in enumerate(order)}
    gap, sure = np.full((len(order), len(order)), np.nan), np.zeros((len(order), len(order)), bool)
    better, worse = ([place[run] for run in differ[end].tolist()] for end in ("first", "second"))
    gap[worse, better], sure[worse, better] = -differ["auc"], differ["delong_holm"] < alpha
    gap[better, worse], sure[better, worse] = differ["accuracy"], differ["mcnemar_holm"] < alpha
    figure, axes = plt.subplots(figsize=(4 + 0.62 * len(order), 2.8 + 0.5 * len(order)), layout="constrained")
    figure.suptitle(title)
    named = pd.DataFrame(gap, order, order)
    pictures.draw_differences(axes, named, pd.DataFrame(sure, order, order))
    tests = f"* differs (DeLong, McNemar; p < {alpha:.2g} after Holm's correction)"
    axes.set_xlabel(f"row less column; below the diagonal ROC AUC, above it accuracy\n{tests}")
    return figure


if __name__ == "__main__":
    run(main)
