"""What the report shows of every question: standings, curves, confusion, differences, learning, what carries over."""

from typing import Any

import pandas as pd
from numpy.typing import NDArray

from whence import runs
from whence.base import settings
from whence.report import charts
from whence.report.charts import Axis, Line
from whence.report.examples import examples
from whence.report.files import Files
from whence.table.tasks import Task

Part = dict[str, Any]
MIN_BIN = 10
"""A calibration bin of fewer rows shows noise."""
SHARE = ("false positive rate", "true positive rate")


def task(files: Files, name: str) -> Part:
    """Return the page's part of a yes-or-no question: standings, curves, confusion, significance, learning."""
    question, board = settings.load(f"tasks.{name}", Task), files.table("leaderboard", task=name)
    places, first = {run: k for k, run in enumerate(board["run"])}, board.iloc[0]
    return _common(files, name, question, board, ("ROC AUC", "official_roc_auc")) | {
        "positive": question.positive,
        "tied": int((board["group"] == first["group"]).sum()),
        "board": [_standing(row) for _, row in board.iterrows()],
        "charts": _curves(files, name, places, float(first["official_n_positive"] / first["official_n"])),
        "significance": _significance(files.table("significance", task=name), places),
        "examples": examples(files, runs.of_task(name)),
    }


def _common(
    files: Files, name: str, question: Task | runs.Question, board: pd.DataFrame, best: tuple[str, str]
) -> Part:
    """Return what is shown of every question; `best` orders the runs: what it is called, and its column."""
    places, first = {run: k for k, run in enumerate(board["run"])}, board.iloc[0]
    return {
        "name": name,
        "question": question.question,
        "dataset": question.dataset,
        "source": runs.source(question.dataset),
        "n": int(first["official_n"]),
        "clean": int(first["clean_n"]),
        "valid": int(first["valid_n"]),
        "best": {"run": first["run"], "metric": best[0], **_measured(first, best[1])},
        "runs": list(places.items()),
        "learning": learning(files.table("training", task=name), places),
        "confusion": _confusion(files.table("confusion", task=name), places),
    }


def _measured(row: Any, metric: str) -> Part:
    return {"value": float(row[metric]), "low": float(row[f"{metric}_lo"]), "high": float(row[f"{metric}_hi"])}


def _standing(row: Any) -> Part:
    auc = _measured(row, "official_roc_auc")
    return {
        "group": int(row["group"]),
        "run": row["run"],
        "auc": auc,
        "dot": charts.interval(auc["value"], auc["low"], auc["high"], 0.4, 1.0),
        "balanced": _measured(row, "official_balanced_accuracy"),
        "clean": float(row["clean_roc_auc"]),
        "ece": float(row["official_ece"]),
        "cooled": float(row["calibrated_ece"]),
        "epochs": f"{row['epochs']:g}" if row["epochs"] else "–",
    }


def _curves(files: Files, name: str, places: dict[str, int], share: float) -> list[Part]:
    """Return ROC, precision–recall and calibration, a line per run."""
    kinds = ("roc", "precision_recall", "reliability")
    roc, pr, bins = (dict(list(files.table(kind, task=name).groupby("run"))) for kind in kinds)
    bins = {run: bins[run][bins[run]["count"] >= MIN_BIN] for run in places}
    unit = (0.0, 1.0)
    all_charts = (
        ("ROC", [Line(run, roc[run]["fpr"], roc[run]["tpr"], k) for run, k in places.items()], *SHARE, "rising"),
        (
            "Precision and recall",
            [Line(run, pr[run]["recall"], pr[run]["precision"], k, steps=True) for run, k in places.items()],
            *("recall", "precision"),
            f"{share}",
        ),
        (
            f"Calibration (bins of {MIN_BIN} rows or more)",
            [Line(run, bins[run]["mean_score"], bins[run]["observed"], k, dots=True) for run, k in places.items()],
            *("score", "observed share"),
            "rising",
        ),
    )
    return [
        {"title": title, "svg": charts.chart(f"{title} of {name}", lines, Axis(x, *unit), Axis(y, *unit), [across])}
        for title, lines, x, y, across in all_charts
    ]


def learning(table: pd.DataFrame, places: dict[str, int], each: str = "image") -> list[Part]:
    """Return losses, of `each` image or pixel, and accuracies by epoch, a line per network and seed."""
    networks = table[table["epoch"] > 0]
    found = []
    for title, column in (
        ("Loss on train, as augmented", "train_loss"),
        ("Loss on valid", "valid_loss"),
        ("Accuracy on valid", "valid_accuracy"),
    ):
        lines = [
            Line(run, part["epoch"], part[column], places[run], dots=len(part) == 1)
            for (run, _), part in networks.groupby(["run", "seed"], sort=False)
        ]
        y = Axis(f"loss, nats per {each}", log=True) if column.endswith("loss") else Axis("accuracy")
        if lines:
            found.append({"title": title, "svg": charts.chart(f"{title} by epoch", lines, Axis("epoch"), y)})
    return found


def _confusion(table: pd.DataFrame, places: dict[str, int]) -> list[Part]:
    """Return the matrices of all runs: classes, counts and shares of the actual class."""
    found = []
    for run in places:
        part = table[table["run"] == run]
        classes = part["actual"].unique().tolist()
        counts = part["count"].to_numpy().reshape(len(classes), -1)
        shares = counts / counts.sum(axis=1, keepdims=True).clip(1)
        found.append({"run": run, "classes": classes, "cells": _paired(counts, shares), "n": int(counts.sum())})
    return found


def _paired(counts: NDArray[Any], shares: NDArray[Any]) -> list[list[tuple[int, float]]]:
    return [[(int(n), float(share)) for n, share in zip(*row, strict=True)] for row in zip(counts, shares, strict=True)]


def _significance(table: pd.DataFrame, places: dict[str, int]) -> Part:
    """Return by how much ROC AUC each run is ahead of each below it, and whether that is more than chance."""
    alpha = 1 - float(settings.value("evaluate.metrics.confidence"))
    pairs = {(row.first, row.second): (row.auc, row.delong_holm < alpha) for row in table.itertuples()}
    order = list(places)
    cells = [[pairs.get((better, worse)) for better in order] for worse in order]
    return {"runs": order, "cells": cells, "alpha": alpha}


def classes(files: Files, name: str) -> Part:
    """Return the part of a question of several classes of your own images."""
    question, board = settings.load(f"classes.{name}", runs.Question), files.table("leaderboard", task=name)
    return _common(files, name, question, board, ("accuracy", "official_accuracy")) | {
        "board": [_standing_of_classes(row) for _, row in board.iterrows()],
        "examples": examples(files, runs.of_question(name)),
    }


def _standing_of_classes(row: Any) -> Part:
    accuracy = _measured(row, "official_accuracy")
    return {
        "run": row["run"],
        "accuracy": accuracy,
        "dot": charts.interval(accuracy["value"], accuracy["low"], accuracy["high"], 0, 1),
        "macro": _measured(row, "official_macro_f1"),
        "weighted": float(row["official_weighted_f1"]),
        "clean": float(row["clean_accuracy"]),
        "ece": float(row["official_ece"]),
        "epochs": f"{row['epochs']:g}",
        "overfits": row["overfits"],
    }


def objects(files: Files) -> Part:
    """Return the part of the ten categories: every training set against every domain, F1 by category."""
    cross = files.table("cross")
    official = cross[cross["rows"] == "official"]
    places = {run: k for k, run in enumerate(official["run"].unique())}
    trained_on = dict(zip(official["run"], official["train_on"], strict=True))
    own = {run: list(settings.value(f"objects.{section}.domains")) for run, section in trained_on.items()}
    home = official[[domain in own[run] for run, domain in zip(official["run"], official["domain"], strict=True)]]
    first = home.loc[home["accuracy"].idxmax()]
    counts = official.groupby("domain")["n"].first()
    return {
        "domains": [(domain, int(n)) for domain, n in counts.items()],
        "rows": [
            {
                "run": run,
                "own": own[run],
                "accuracy": [_at(official, run, domain, "accuracy") for domain in counts.index],
                "f1": [_at(official, run, domain, "macro_f1") for domain in counts.index],
            }
            for run in places
        ],
        "best": {"run": first["run"], "metric": f"accuracy on {first['domain']}", **_measured(first, "accuracy")},
        "n": int(first["n"]),
        "by_category": _by_category(files.table("objects_table")),
        "runs": list(places.items()),
        "learning": learning(files.table("training", task="objects"), places),
        "examples": examples(files, runs.of_objects()),
    }


def _at(table: pd.DataFrame, run: str, domain: str, metric: str) -> Part | None:
    part = table[(table["run"] == run) & (table["domain"] == domain)]
    return _measured(part.iloc[0], metric) if len(part) else None


def _by_category(table: pd.DataFrame) -> Part:
    return {"columns": table.columns.tolist(), "rows": table.to_numpy(object).tolist()}
