"""What the report shows of the road scenes: standings, classes, confusion, what is lost elsewhere, the worst frames."""

import math
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from whence import runs
from whence.base import arrays, settings
from whence.report import answers, charts
from whence.report.files import Files, address
from whence.roads import data
from whence.roads.classes import IGNORED, Classes, Mask, palette, wrong
from whence.roads.runs import Checkpoint, Run, all_of

Part = dict[str, Any]
MEANS = ("mean_iou", "pixel_accuracy", "class_accuracy", "mean_precision", "mean_average_precision")
CLUES = {
    "whole": "the frame, small: all clues but the finest detail",
    "colour": "its pixels in a random order: colours alone",
    "detail": "a square of its own pixels in grey, less what is smooth: resolution, sharpness, coding",
    "layout": "its mask, painted: what stands where",
}
MOST, WIDEST, PARTS = 7, 320, 6
"""Classes whose worst frame is shown; pixels across, for so many runs times datasets: of more, frames are smaller."""
RED = np.array([220, 30, 30])


def roads(files: Files) -> Part | None:
    """Return the page's part of the road scenes, or None where no file of theirs is told."""
    if "roads_board" not in files.patterns:
        return None
    params, board = files.path("roads_params"), files.table("roads_board")
    if not len(board):
        return None
    listed, source = all_of(params), str(settings.value("source", params))
    trained = {key: about for key, about in listed.items() if isinstance(about, Run)}
    shown, width = runs.shown(trained), round(WIDEST * min(1, math.sqrt(PARTS / max(1, len(board)))))
    names = {key: shown.get(key, key) for key in listed}
    asked = [_asked(files, row, listed[row["run"]], width) for row in board.to_dict("records")]
    return {
        "source": runs.SOURCES.get(source, source),
        "synthetic": source == "sample",
        "confidence": settings.value("evaluate.metrics.confidence", params),
        "params": params.read_text(encoding="utf-8"),
        "best": max(asked, key=lambda one: (one["classes"] == data.SEVEN, one["home"], one["mean_iou"]["value"])),
        "names": names,
        "places": [(name, place) for place, name in enumerate(names.values())],
        "asked": {key: [one for one in asked if one["run"] == key] for key in listed},
        "looks": [(name, files.picture("roads_look", dataset=name)) for name in dict.fromkeys(board["dataset"])],
        "learning": _learning(files, shown),
        "drops": _drops(files.table("roads_drops"), listed, board),
        "clues": {
            between: [
                row | {"left": CLUES.get(row["clue"], "")} | _measured(row, "roc_auc", 0.4, 1)
                for row in part.to_dict("records")
            ]
            for between, part in files.table("roads_clues").groupby("between")
        },
    }


def _asked(files: Files, row: Part, about: Run | Checkpoint, width: int) -> Part:
    """Return how a run does on the test frames of a dataset."""
    where = {name: str(row[name]) for name in ("run", "dataset")}
    which = data.judged(where["dataset"], about.train_on, about.classes)
    kinds = data.kinds(where["dataset"], which)
    return {
        **row,
        "train_on": about.train_on,
        "classes": which,
        "kinds": list(zip(kinds.names, kinds.colours, strict=True)),
        **{name: _measured(row, name) for name in MEANS},
        "table": _classes(files.table("roads_classes", **where), kinds),
        "confusion": _confusion(files.table("roads_confusion", **where)),
        "worst": _worst(arrays.read_npz(files.path("roads_worst", **where)), kinds, width),
    }


def _measured(row: Any, name: str, start: float = 0, stop: float = 1) -> Part:
    """Return a figure, the ends of its interval, NaN where it does not apply, and both as a dot."""
    value, low, high = (_number(row.get(f"{name}{end}")) for end in ("", "_lo", "_hi"))
    dot = "" if math.isnan(value) else charts.interval(value, low, high, start, stop)
    return {"value": value, "low": low, "high": high, "dot": dot}


def _number(cell: Any) -> float:
    return float(pd.to_numeric(cell, errors="coerce")) if cell is not None else math.nan


def _classes(table: pd.DataFrame, kinds: Classes) -> list[Part]:
    colours = dict(zip(kinds.names, kinds.colours, strict=True))
    figures = ("precision", "recall", "average_precision", "share", "taken_share")
    return [
        {name: _number(row[name]) for name in figures}
        | {name: row[name] if isinstance(row[name], str) else "" for name in ("taken_for", "note")}
        | {"name": row["class"], "colour": colours[row["class"]], "iou": _measured(row, "iou")}
        for row in table.to_dict("records")
    ]


def _confusion(table: pd.DataFrame) -> Part:
    """Return a matrix: the classes, of each its pixels, and what share of these was called each."""
    names = table["actual"].unique().tolist()
    counts = table["count"].to_numpy().reshape(len(names), -1)
    total = counts.sum(axis=1)
    shares = counts / total.clip(1)[:, None]
    return {"rows": list(zip(names, total.tolist(), shares.tolist(), strict=True)), "n": int(total.sum())}


def _learning(files: Files, names: dict[str, str]) -> list[Part]:
    """Return the charts that questions have, of losses per pixel."""
    tables = [files.table("roads_training", run=key).assign(run=name) for key, name in names.items()]
    places = {name: place for place, name in enumerate(names.values())}
    return answers.learning(pd.concat(tables), places, "pixel") if tables else []


def _drops(table: pd.DataFrame, listed: dict[str, Run | Checkpoint], board: pd.DataFrame) -> Part:
    """Return what each run loses of a class's IoU on each other dataset, on one axis about 0."""
    ends = [abs(_number(cell)) for cell in table.filter(like="drop").to_numpy().ravel()]
    end, found = math.ceil(max([0.1, *(far for far in ends if far > 0)]) * 10) / 10, []
    for key, about in listed.items():
        frames = dict(board[board["run"] == key][["dataset", "frames"]].to_numpy().tolist())
        for other in frames:
            rows = table[table["between"] == f"{key}: {about.train_on} to {other}"].to_dict("records")
            classes = [(row["class"], _measured(row, "drop", -end, end)) for row in rows]
            if classes:
                between = [(dataset, frames[dataset]) for dataset in (about.train_on, other)]
                found.append({"run": key, "between": between, "classes": classes})
    return {"end": end, "tables": found}


def _worst(content: dict[str, NDArray[Any]], kinds: Classes, width: int) -> list[Part]:
    """Return the frames that a class is told worst in, each once, with the classes that it is shown for."""
    found: dict[int, list[tuple[str, float]]] = {}
    for place in np.unique(content["shown"][:, 1], return_index=True)[1][:MOST]:
        frame, k = content["shown"][place].tolist()
        found.setdefault(frame, []).append((kinds.names[k], float(content["iou"][place])))
    parts = [content[name] for name in ("images", "truth", "called")]
    return [
        {"row": int(content["row"][frame]), "classes": told}
        | {"pictures": _pictures(kinds, width, *(part[frame] for part in parts))}
        for frame, told in found.items()
    ]


def _pictures(kinds: Classes, width: int, image: NDArray[Any], truth: Mask, called: Mask) -> list[Part]:
    """Return frame, truth, answer and error, of at most `width`: what each is, its address, and it in words."""
    counted, red = truth != IGNORED, wrong(truth, called)
    tall, wide = truth.shape
    across = min(width, wide)
    down = round(tall * across / wide)
    at = np.ix_(np.arange(down) * tall // down, np.arange(across) * wide // across)
    paint = palette(kinds.colours)
    small = np.asarray(Image.fromarray(image).resize((across, down), Image.Resampling.BOX))
    grey = small.mean(axis=2, keepdims=True) * 0.6 // 16 * 16 + 100  # few levels: a third of the bytes
    error = np.where(red[at][..., None], RED, grey).astype(np.uint8)
    said = (
        "a street",
        *(_most(mask[counted], kinds) for mask in (truth, called)),
        f"{red.sum() / max(1, counted.sum()):.0%}",
    )
    names = ("frame", "truth", "answer", "wrong, in red")
    shown = zip(names, (small, paint[truth[at]], paint[called[at]], error), said, strict=True)
    return [{"name": name, "image": address(picture), "words": words} for name, picture, words in shown]


def _most(numbers: Mask, kinds: Classes) -> str:
    """Return the classes that most pixels are, in words."""
    share = np.bincount(numbers, minlength=len(kinds.names)) / max(1, len(numbers))
    return ", ".join(f"{kinds.names[k]} {share[k]:.0%}" for k in np.argsort(-share, kind="stable")[:3] if share[k])
