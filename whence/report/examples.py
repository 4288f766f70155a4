"""What the report shows of a network's answers, image by image: what is covered, and what the spectrum says."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from whence import runs
from whence.report import charts
from whence.report.charts import Axis, Line
from whence.report.files import Files, address

Part = dict[str, Any]


def examples(files: Files, listed: Mapping[str, runs.Run | runs.ObjectRun]) -> list[Part]:
    """Return for each network of these what it got right and wrong, by class."""
    names, found = runs.shown(listed), []
    for key, entry in runs.examples().items():
        if key not in listed:
            continue
        table, spectra = files.table("examples", run=key), files.table("spectra", run=key)
        pixels = np.load(files.path("pixels", run=key))
        shown = [_example(row, pixels[k], spectra) for k, (_, row) in enumerate(table.iterrows())]
        classes = [
            {"name": name, "wrong": [e for e in mine if not e["right"]], "right": [e for e in mine if e["right"]]}
            for name in spectra["class"].unique()
            if (mine := [e for e in shown if e["actual"] == name])
        ]
        about = {"run": names[key], "dataset": entry.dataset, "source": runs.source(entry.dataset)}
        found.append({**about, "classes": classes, "spectrum": _said(table)})
    return found


def _said(table: pd.DataFrame) -> Part:
    """Return how often the spectrum alone says the true class, and how often what the network says."""
    return {
        "n": len(table),
        "true": int((table["spectrum_says"] == table["actual"]).sum()),
        "same": int((table["spectrum_says"] == table["predicted"]).sum()),
    }


def _example(row: Any, pixels: NDArray[Any], spectra: pd.DataFrame) -> Part:
    rings = spectra["ring"].unique().tolist()
    return {
        "path": row["path"],
        "actual": row["actual"],
        "predicted": row["predicted"],
        "category": row["category"],
        "score": float(row["score"]),
        "right": row["right"] == "yes",
        "says": row["spectrum_says"],
        "image": address(pixels[..., :3].astype(np.uint8)),
        "saliency": address(_shaded(pixels)),
        "spectrum": _spectrum(row, rings, spectra),
    }


def _shaded(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Return the image in grey, red where covering takes from the answer, blue where it adds to it."""
    grey = pixels[..., :3].astype(float).mean(axis=2, keepdims=True).repeat(3, axis=2)
    covered = pixels[..., 3].astype(float)
    share = (np.abs(covered) / max(float(np.abs(covered).max()), 1e-9))[..., None] * 0.75
    colour = np.where(covered[..., None] > 0, [214, 39, 40], [31, 87, 220])
    return np.asarray((grey * (1 - share) + colour * share).round(), np.uint8)


def _spectrum(row: Any, rings: list[str], spectra: pd.DataFrame) -> Any:
    """Return a chart of the log power by ring, less the mean of all classes: the image, its class, what was said."""
    by = {name: part["mean"].to_numpy() for name, part in spectra.groupby("class", sort=False)}
    middle = np.mean(list(by.values()), axis=0)
    edges = [float(ring.rpartition("_")[2]) for ring in rings]
    own = row[rings].to_numpy(float) - middle
    lines = [Line(str(name), edges, mean - middle, k) for k, (name, mean) in enumerate(by.items()) if len(by) == 2]
    lines.append(Line("this image", edges, own, 3, dots=True))
    told = "the spectrum of this image against the mean of its classes"
    return charts.chart(
        told, lines, Axis("cycles per pixel", 0, 0.71), Axis("log₁₀ power", -1.5, 1.5), ["0"], small=True
    )
