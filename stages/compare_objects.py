"""Put all models of the ten categories side by side: every training set against every domain."""

import json
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd

from whence import metrics, pictures, runs
from whence.base import settings
from whence.base.stage import run
from whence.names import CATEGORIES
from whence.table import tables
from whence.table.tasks import Objects


def main(
    full: Path,
    training: Path,
    headline: Path,
    cross: Path,
    table: Path,
    all_training: Path,
    heat: Path,
    training_picture: Path,
) -> None:
    """Read one file per run from `full` (json) and `training`/<kind> (csv); write tables (csv) and pictures (png).

    `headline` (json) is what DVC shows: one number per run, its accuracy at home, the mean over the domains that it
    learnt from (official test rows). `cross` has a row per run, domain and kind of rows with every metric; `table` is
    the form of the CIFAKE study (Almasi): a row per domain and model with F1 by category, accuracy, macro and weighted
    F1, and epochs.
    """
    listed = runs.of_objects()
    shown = runs.shown(listed)
    board = _board(full, listed, shown)
    curves = {shown[name]: pd.read_csv(training / entry.kind / f"{name}.csv") for name, entry in listed.items()}
    metrics.write(
        headline, {name: _at_home(board[board["run"] == shown[name]], entry) for name, entry in listed.items()}
    )
    tables.write_frame(cross, board)
    tables.write_frame(table, _study(board))
    tables.write_frame(all_training, pd.concat(curves, names=["run"]).reset_index("run"))
    title = f"objects: which of ten categories?\nCINIC-10 and CIFAKE ({runs.source()})"
    for picture, figure in (
        (heat, _heat(title, board)),
        (training_picture, pictures.training(title, curves)),
    ):
        pictures.save(figure, picture)
    print(_grid(board, "official", "accuracy").round(4).to_string())


def _board(full: Path, listed: dict[str, runs.ObjectRun], shown: dict[str, str]) -> pd.DataFrame:
    """Return a row per run, domain and kind of rows, in the order of params.yaml."""
    records = []
    for name, entry in listed.items():
        content: dict[str, Any] = json.loads((full / f"{name}.json").read_text(encoding="utf-8"))
        epochs = content.pop("epochs")
        about = {"run": shown[name], "train_on": entry.train_on, "model": entry.settings, "epochs": epochs}
        records += [
            about | {"domain": domain, "rows": kind} | figures
            for domain, parts in content.items()
            for kind, figures in parts.items()
        ]
    return pd.DataFrame.from_records(records)


def _at_home(part: pd.DataFrame, entry: runs.ObjectRun) -> float:
    """Return the mean accuracy of a run on the domains that it learnt from, official test rows."""
    own = settings.load(f"objects.{entry.train_on}", Objects).domains
    here = part[(part["rows"] == "official") & part["domain"].isin(list(own))]
    return round(float(here["accuracy"].mean()), metrics.DECIMALS)


def _study(board: pd.DataFrame) -> pd.DataFrame:
    """Return a row per run and domain, official test rows; a category that the models do not know stays empty."""
    names = {"train_on": "train_on", "model": "model", "domain": "tested_on"}
    names |= {f"f1_{category}": category for category in CATEGORIES}
    names |= {"accuracy": "accuracy", "macro_f1": "macro avg", "weighted_f1": "weighted avg", "epochs": "epochs"}
    official = board[board["rows"] == "official"]
    return official.reindex(columns=list(names)).rename(columns=names).round(3)


def _grid(board: pd.DataFrame, kind: str, metric: str) -> pd.DataFrame:
    """Return a metric on rows of a kind, a row per run and a column per domain; NaN where there are no such rows."""
    part = board[board["rows"] == kind].pivot(index="run", columns="domain", values=metric)
    return part.reindex(index=board["run"].unique(), columns=board["domain"].unique())


def _heat(title: str, board: pd.DataFrame) -> Any:
    """Draw accuracy and macro F1 of each run on each domain: clean rows, or official ones where none are clean."""
    count = board["run"].nunique()
    figure, axes = plt.subplots(1, 2, figsize=(12, 2.2 + 0.3 * count), sharey=True, layout="constrained")
    figure.suptitle(title)
    rows = _grid(board, "clean", "n").fillna(_grid(board, "official", "n")).astype(int)
    counts = [
        f"{domain}\n" + "–".join(f"{n:,}" for n in sorted({rows[domain].min(), rows[domain].max()}))
        for domain in rows.columns
    ]
    for one, metric, label in zip(axes, ("accuracy", "macro_f1"), ("accuracy", "macro F1"), strict=True):
        clean = _grid(board, "clean", metric)
        pictures.draw_heat(one, clean.fillna(_grid(board, "official", metric)), clean.isna())
        one.set_xticks(range(len(counts)), counts)
        one.set(title=label, xlabel="tested on, and how many rows")
    note = "clean test rows" + ("; *: official ones, as none are clean" if clean.isna().any(axis=None) else "")
    figure.supxlabel(note, fontsize=10)
    return figure


if __name__ == "__main__":
    run(main)
