"""Put controls beside the runs that they are held against: how much of an answer is left of what was changed."""

import json
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd

from whence import pictures, runs
from whence.base import settings
from whence.base.stage import run
from whence.table import tables

CHANGES = ("transform", "labels", "domain", "without", "train")
"""What a section of `derived` may change; null where it does not."""


def main(figures: Path, table: Path, picture: Path) -> None:
    """Read `figures`/<task>/<run>.json of all controls and the runs beside them; write `table` (csv), `picture` (png).

    `left` is the share of ROC AUC less a half that the control keeps: 1 all of it, 0 nothing.
    """
    records = []
    for key, control in runs.controls().items():
        section = settings.value(f"derived.{control.dataset}")
        changed = "; ".join(f"{name} {section[name]}" for name in CHANGES if section[name] is not None)
        found, whole = (_official(figures / control.task / f"{name}.json") for name in (key, control.against))
        left = (found["roc_auc"] - 0.5) / (whole["roc_auc"] - 0.5) if whole["roc_auc"] != 0.5 else None
        record: dict[str, Any] = {"task": control.task, "control": key, "changed": changed, "against": control.against}
        record |= {"n": found["n"]} | {name: value for name, value in found.items() if name.startswith("roc_auc")}
        records.append(record | {"against_roc_auc": whole["roc_auc"], "left": None if left is None else round(left, 4)})
    board = pd.DataFrame.from_records(records)
    tables.write_frame(table, board)
    pictures.save(_picture(board), picture)
    print(board[["control", "changed", "roc_auc", "against_roc_auc", "left"]].to_string(index=False))


def _official(path: Path) -> dict[str, float]:
    content: dict[str, dict[str, float]] = json.loads(path.read_text(encoding="utf-8"))
    return content["official"]


def _picture(board: pd.DataFrame) -> Any:
    """Draw a line per control: its ROC AUC with its interval, and a ring for the run that it is held against."""
    figure, axes = plt.subplots(figsize=(10, 1.9 + 0.45 * len(board)), layout="constrained")
    figure.suptitle(f"Controls: what is left of the answer ({runs.source()})")
    for place, (_, line) in enumerate(board.iterrows()):
        if "roc_auc_lo" in board:
            axes.plot([line["roc_auc_lo"], line["roc_auc_hi"]], [place] * 2, color="C0", lw=1.5)
        axes.plot(line["roc_auc"], place, "o", color="C0", ms=6, label=None if place else "control")
        axes.plot(
            *(line["against_roc_auc"], place, "o"),
            **{"color": "C1", "mfc": "white", "ms": 6, "label": None if place else "the run as it is"},
        )
        axes.annotate(f"{line['left']:.0%} left", (1.01, place), xycoords=("axes fraction", "data"), va="center")
    axes.set_yticks(range(len(board)), [f"{line.control}\n{line.changed}" for line in board.itertuples()])
    axes.set_ylim(len(board) - 0.5, -0.5)
    axes.axvline(0.5, color="grey", lw=0.8, ls=":")
    axes.set_xlabel("ROC AUC on official test rows, with its interval")
    axes.grid(axis="y", visible=False)
    figure.legend(loc="outside lower center", ncols=2)
    return figure


if __name__ == "__main__":
    run(main)
