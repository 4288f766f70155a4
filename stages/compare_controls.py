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

UNCHANGED = ("dataset", "seed")
"""What a section of `derived` says beside what it changes."""
CHANCE = {"roc_auc": 0.5, "accuracy": 0.1}
SAID = {"roc_auc": "ROC AUC", "accuracy": "accuracy"}


def main(figures: Path, table: Path, picture: Path) -> None:
    """Read `figures`/<task>/<run>.json of all controls and the runs beside them; write `table` (csv), `picture` (png).

    Of a task the figure is ROC AUC, of the ten categories accuracy on the domain that was learnt from. `left` is the
    share of it, less chance, that the control keeps: 1 all of it, 0 nothing.
    """
    records = []
    for key, control in (runs.controls() | runs.object_controls()).items():
        section = settings.value(f"derived.{control.dataset}").items()
        changed = "; ".join(f"{name} {value}" for name, value in section if name not in UNCHANGED and value is not None)
        task, metric = ("objects", "accuracy")
        if isinstance(control, runs.Control):
            task, metric = control.task, "roc_auc"
        chance = CHANCE[metric]
        found, whole = (_official(figures / task / f"{name}.json", control) for name in (key, control.against))
        left = round((found[metric] - chance) / (whole[metric] - chance), 4) if whole[metric] != chance else None
        record: dict[str, Any] = {"task": task, "control": key, "changed": changed, "against": control.against}
        record |= {"metric": metric, "n": found["n"]}
        record |= {name.replace(metric, "value"): value for name, value in found.items() if name.startswith(metric)}
        records.append(record | {"against_value": whole[metric], "left": left})
    board = pd.DataFrame.from_records(records)
    tables.write_frame(table, board)
    pictures.save(_picture(board), picture)
    print(board[["control", "changed", "metric", "value", "against_value", "left"]].to_string(index=False))


def _official(path: Path, control: runs.Control | runs.ObjectControl) -> dict[str, float]:
    """Return the metrics on official test rows: of a model of the categories those of its own domain."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if isinstance(control, runs.ObjectControl):
        (domain,) = settings.value(f"objects.{control.train_on}.domains")
        content = content[domain]
    official: dict[str, float] = content["official"]
    return official


def _picture(board: pd.DataFrame) -> Any:
    """Draw a panel per metric, a line per control: its figure with its interval, and a ring for the run as it is."""
    parts = dict(list(board.groupby("metric", sort=False)))
    figure, grid = plt.subplots(
        *(len(parts), 1),
        **{"figsize": (10, 1.4 + 0.5 * len(parts) + 0.45 * len(board)), "layout": "constrained", "squeeze": False},
        height_ratios=[len(part) + 1 for part in parts.values()],
    )
    figure.suptitle(f"Controls: what is left of the answer ({runs.source()})")
    for axes, (metric, part) in zip(grid[:, 0], parts.items(), strict=True):
        for place, (_, line) in enumerate(part.iterrows()):
            if "value_lo" in part:
                axes.plot([line["value_lo"], line["value_hi"]], [place] * 2, color="C0", lw=1.5)
            axes.plot(line["value"], place, "o", color="C0", ms=6)
            axes.plot(line["against_value"], place, "o", color="C1", mfc="white", ms=6)
            left = "" if pd.isna(line["left"]) else f"{line['left']:.0%} left"
            axes.annotate(left, (1.01, place), xycoords=("axes fraction", "data"), va="center")
        axes.set_yticks(range(len(part)), [f"{line.control}\n{line.changed}" for line in part.itertuples()])
        axes.set_ylim(len(part) - 0.5, -0.5)
        axes.axvline(CHANCE[metric], color="grey", lw=0.8, ls=":")
        axes.set_xlabel(f"{SAID[metric]} on official test rows, with its interval")
        axes.grid(axis="y", visible=False)
    marks = [plt.Line2D([], [], ls="", marker="o", color=f"C{k}", mfc=fill) for k, fill in enumerate(("C0", "white"))]
    figure.legend(marks, ["control", "the run as it is"], loc="outside lower center", ncols=2)
    return figure


if __name__ == "__main__":
    run(main)
