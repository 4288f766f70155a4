"""Compare all networks for streets on the same frames, dataset against dataset; draw what evaluation found."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from whence.base import arrays, settings
from whence.base.errors import InputError
from whence.base.stage import run
from whence.metrics import Settings as Resampling
from whence.pictures import training
from whence.roads import data, pictures, scores
from whence.roads.runs import Checkpoint, Run, all_of
from whence.table import tables

DROP = ["class", "drop", "drop_lo", "drop_hi"]
Tables = dict[str, pd.DataFrame]
Figures = dict[str, dict[str, Any]]
"""Of each dataset, those that a run has on its test frames."""


def main(
    params: Path,
    full: str,
    classes: str,
    confusion: str,
    each: str,
    counts: str,
    shown: str,
    history: str,
    clues: Path,
    board: Path,
    drops: Path,
    matrices: str,
    worst: str,
    learning: Path,
    by_class: Path,
    fall: Path,
    apart: Path,
) -> None:
    """Read what evaluation wrote of {run} and {dataset}; write tables (csv) and pictures (png).

    `board` has a row per run and dataset, `drops` says how much of a class's IoU is lost between datasets.
    """
    runs, source = all_of(params), settings.value("source", params)
    ways = settings.load("evaluate.metrics", Resampling, params)
    figures: dict[str, Figures] = {key: _json(Path(full.format(run=key))) for key in runs}
    told: Tables = {}
    falls: Tables = {}
    for key, about in runs.items():
        _draw(key, about, figures[key], source, confusion, shown, Path(matrices.format(run=key)), worst)
        for dataset, one in figures[key].items():
            told[f"{key} on {dataset}, n = {one['frames']}"] = _table(classes, key, dataset)
        if about.classes == data.SEVEN and about.train_on in figures[key]:
            falls |= _drops(key, about.train_on, figures[key], each, counts, ways)
    tables.write_frame(board, _board(runs, figures))
    between = [part.assign(between=name) for name, part in falls.items()]
    tables.write_frame(drops, pd.concat(between) if between else pd.DataFrame(columns=[*DROP, "between"]))
    for target, shown_, by, value, title, across in (
        (by_class, told, "class", "iou", "IoU of every class", 0.0),
        (fall, falls, "class", "drop", "IoU that is lost on the other dataset", 0.0),
        (apart, dict(iter(_table(str(clues)).groupby("between"))), "clue", "roc_auc", "Frames told apart by", 0.5),
    ):
        pictures.save(pictures.intervals(shown_, by, value, f"{title} ({source})", value, across), target)
    histories = {key: _table(history, key) for key, about in runs.items() if isinstance(about, Run)}
    pictures.save(training(f"Learning ({source})", histories, "pixel"), learning)


def _board(runs: Mapping[str, Run | Checkpoint], figures: Mapping[str, Figures]) -> pd.DataFrame:
    """Return a row per run and dataset; `home` says whether the run has learnt from it."""
    rows = [(key, about, dataset) for key, about in runs.items() for dataset in figures[key]]
    return pd.DataFrame(
        [
            {"run": key, "dataset": dataset, "home": dataset == about.train_on} | figures[key][dataset]
            for key, about, dataset in rows
        ]
    )


def _draw(
    key: str,
    about: Run | Checkpoint,
    figures: Figures,
    source: str,
    confusion: str,
    shown: str,
    target: Path,
    worst: str,
) -> None:
    """Draw a run's confusion matrices side by side, and of each dataset its worst frames."""
    found = {f"{dataset}, n = {one['frames']}": _table(confusion, key, dataset) for dataset, one in figures.items()}
    pictures.save(pictures.matrices(found, f"{key} ({source}): test pixels, by their truth"), target)
    for dataset, one in figures.items():
        kinds = data.kinds(dataset, data.judged(dataset, about.train_on, about.classes))
        content = arrays.read_npz(Path(shown.format(run=key, dataset=dataset)))
        title = f"{key} on {dataset} ({source}), {one['frames']} test frames"
        figure = pictures.worst(content, kinds.names, kinds.colours, title)
        pictures.save(figure, Path(worst.format(run=key, dataset=dataset)))


def _drops(key: str, home: str, figures: Figures, each: str, counts: str, ways: Resampling) -> Tables:
    """Return what a run loses on each other dataset: a row per class, and one for the mean."""
    found = {}
    matrices = {d: np.array(arrays.read(Path(counts.format(run=key, dataset=d)))) for d in figures}
    drives = {d: tables.read_csv(Path(each.format(run=key, dataset=d)))["drive"] for d in figures}
    names = data.kinds(home, data.SEVEN).names
    for other in figures:
        if other == home:
            continue
        classes, mean = scores.drops(matrices[home], drives[home], matrices[other], drives[other], ways)
        rows = [*zip(names, classes.value, classes.lo, classes.hi, strict=True), ("mean", *mean)]
        cells = [(name, *(scores.cell(float(value)) for value in values)) for name, *values in rows]
        found[f"{key}: {home} to {other}"] = pd.DataFrame(cells, columns=DROP)
    return found


def _table(pattern: str, run_: str = "", dataset: str = "") -> pd.DataFrame:
    path = Path(pattern.format(run=run_, dataset=dataset))
    try:
        return pd.read_csv(path, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a readable table ({error}); run dvc repro to make it again") from error


def _json(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not readable metrics ({error}); run dvc repro to make it again") from error
    return content


if __name__ == "__main__":
    run(main)
