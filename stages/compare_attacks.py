"""Draw how many answers of some runs hold against attacks, and put their numbers side by side."""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd

from whence import pictures, runs
from whence.base.stage import run
from whence.table import tables

SAID = {
    "fgsm": "FGSM",
    "pgd": "PGD",
    "apgd_ce": "APGD, cross-entropy",
    "fab": "FAB",
    "square": "Square, no gradient",
    "union": "any of these",
}


def main(answers: Path, table: Path, picture: Path) -> None:
    """Read `answers`/<run>.csv of each run in section attacked; write `table` (csv) and `picture` (png)."""
    listed = runs.attacked()
    read = {key: pd.read_csv(answers / f"{key}.csv") for key in listed}
    gathered = pd.concat(read, names=["run"]).reset_index("run")
    gathered.insert(0, "task", gathered["run"].map({key: entry.task for key, entry in listed.items()}))
    tables.write_frame(table, gathered)
    pictures.save(_curves(gathered), picture)
    print(gathered.pivot(index="run", columns=["attack", "epsilon"], values="accuracy").T.round(3).to_string())


def _curves(gathered: pd.DataFrame) -> Any:
    """Draw a panel per task and attack: accuracy by epsilon, a line per run, its interval shaded."""
    questions = gathered["task"].unique()
    figure, grid = plt.subplots(
        *(len(questions), len(SAID)),
        **{"figsize": (13, 1.3 + 2.4 * len(questions)), "sharex": True, "sharey": True, "layout": "constrained"},
        squeeze=False,
    )
    figure.suptitle(f"Accuracy on attacked test images ({runs.sources(runs.attacked())})")
    look = pictures.styles(gathered["run"].unique())
    for line, question in zip(grid, questions, strict=True):
        some = gathered[gathered["task"] == question]
        for axes, (name, said) in zip(line, SAID.items(), strict=True):
            part = some[some["attack"].isin(["clean", name])]
            pictures.draw_answers(axes, part, "epsilon", "accuracy", look)
            axes.set_title(f"{question}: {said}", fontsize=9)
            axes.set_ylim(-0.03, 1.03)
            axes.set_xticks(sorted(some["epsilon"].unique()))
    for axes in grid[-1]:
        axes.set_xlabel("largest change, of 255", fontsize=9)
    pictures.name_runs(figure, gathered["n"].iat[0])
    return figure


if __name__ == "__main__":
    run(main)
