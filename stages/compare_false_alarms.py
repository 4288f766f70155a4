"""Put side by side how often detectors raise a false alarm, at home and on another dataset's images."""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd

from whence import pictures, runs
from whence.base.stage import run
from whence.table import tables

KIND = ["domain", "coding", "rows"]


def main(answers: Path, table: Path, picture: Path) -> None:
    """Read `answers`/<run>.csv of each run in section false_alarms; write `table` (csv) and `picture` (png)."""
    read = {key: pd.read_csv(answers / f"{key}.csv") for key in runs.false_alarms()}
    gathered = pd.concat(read, names=["run"]).reset_index("run")
    tables.write_frame(table, gathered)
    pictures.save(_picture(gathered), picture)
    print(gathered.pivot(index="run", columns=KIND, values="called").T.round(3).to_string())


def _picture(gathered: pd.DataFrame) -> Any:
    """Draw a line per kind of images, and a point per run: the share called positive, with its interval."""
    counts = gathered.groupby(KIND, sort=False)["n"].first()
    names, look = gathered["run"].unique(), pictures.styles(gathered["run"].unique())
    figure, axes = plt.subplots(figsize=(9, 1.8 + 0.5 * len(counts)), layout="constrained")
    figure.suptitle(f"False alarms: no image here is positive ({runs.source()})")
    for place, name in enumerate(names):
        some = gathered[gathered["run"] == name].set_index(KIND)
        off = (place - (len(names) - 1) / 2) * 0.6 / len(names)
        for k, kind in enumerate(counts.index):
            line = some.loc[kind]
            if "called_lo" in some:
                axes.plot([line["called_lo"], line["called_hi"]], [k + off] * 2, color=look[name]["color"], lw=1.5)
            axes.plot(line["called"], k + off, "o", color=look[name]["color"], label=None if k else name)
    kinds = [f"{' '.join(kind).replace('_', ' ')} ({count:,})" for kind, count in counts.items()]
    axes.set_yticks(range(len(kinds)), kinds)
    axes.set_ylim(len(kinds) - 0.5, -0.5)
    axes.set_xlim(-0.02, 1.02)
    axes.set_xlabel("share of test images called positive, with its interval")
    axes.grid(axis="y", visible=False)
    figure.legend(title="run", loc="outside lower center", ncols=min(4, len(names)))
    return figure


if __name__ == "__main__":
    run(main)
