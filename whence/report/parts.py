"""What the report shows of each kind of result: numbers as they stand in the files, and charts of them."""

import json
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup
from numpy.typing import NDArray

from whence import runs
from whence.base import settings
from whence.report import charts
from whence.report.charts import Axis, Line
from whence.report.files import Files, address
from whence.table.tasks import Task

Part = dict[str, Any]
MIN_BIN = 10
"""A calibration bin of fewer rows shows noise."""
SHARE = ("false positive rate", "true positive rate")


def task(files: Files, name: str) -> Part:
    """Return the page's part of a yes-or-no question: standings, curves, confusion, significance, learning."""
    question = settings.load(f"tasks.{name}", Task)
    board = files.table("leaderboard", task=name)
    places = {run: k for k, run in enumerate(board["run"])}
    first = board.iloc[0]
    return {
        "name": name,
        "question": question.question,
        "dataset": question.dataset,
        "positive": question.positive,
        "n": int(first["official_n"]),
        "clean": int(first["clean_n"]),
        "valid": int(first["valid_n"]),
        "best": {"run": first["run"], "metric": "ROC AUC", **_measured(first, "official_roc_auc")},
        "tied": int((board["group"] == first["group"]).sum()),
        "runs": list(places.items()),
        "board": [_standing(row) for _, row in board.iterrows()],
        "charts": _curves(files, name, places, float(first["official_n_positive"] / first["official_n"])),
        "learning": learning(files.table("training", task=name), places),
        "confusion": _confusion(files.table("confusion", task=name), places),
        "significance": _significance(files.table("significance", task=name), places),
        "examples": examples(files, f"tasks.{name}"),
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


def learning(table: pd.DataFrame, places: dict[str, int]) -> list[Part]:
    """Return losses and accuracies by epoch, a line per network and seed."""
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
        y = Axis("loss, nats per image", log=True) if column.endswith("loss") else Axis("accuracy")
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


def objects(files: Files) -> Part:
    """Return the part of the ten categories: every training set against every domain, F1 by category."""
    cross = files.table("cross")
    official = cross[cross["rows"] == "official"]
    order, domains = official["run"].unique().tolist(), sorted(official["domain"].unique())
    listed = {shown: run for run, shown in zip(runs.of_objects(), runs.shown(runs.of_objects()).values(), strict=True)}
    own = {run: list(settings.value(f"objects.{runs.of_objects()[listed[run]].train_on}.domains")) for run in order}
    found = {
        metric: [[_at(official, run, domain, metric) for domain in domains] for run in order]
        for metric in ("accuracy", "macro_f1")
    }
    home = [
        (run, row)
        for run in order
        for _, row in official[official["run"] == run].iterrows()
        if row["domain"] in own[run]
    ]
    run, row = max(home, key=lambda pair: pair[1]["accuracy"])
    counts = official.groupby("domain")["n"].first()
    return {
        "domains": [(domain, int(counts[domain])) for domain in domains],
        "rows": [
            {"run": each, "own": own[each], "accuracy": found["accuracy"][k], "f1": found["macro_f1"][k]}
            for k, each in enumerate(order)
        ],
        "best": {"run": run, "metric": f"accuracy on {row['domain']}", **_measured(row, "accuracy")},
        "n": int(row["n"]),
        "by_category": _by_category(files.table("objects_table")),
        "runs": [(each, k) for k, each in enumerate(order)],
        "learning": learning(files.table("training", task="objects"), {each: k for k, each in enumerate(order)}),
        "examples": examples(files, "objects."),
    }


def _at(table: pd.DataFrame, run: str, domain: str, metric: str) -> Part | None:
    part = table[(table["run"] == run) & (table["domain"] == domain)]
    return _measured(part.iloc[0], metric) if len(part) else None


def _by_category(table: pd.DataFrame) -> Part:
    return {"columns": table.columns.tolist(), "rows": table.to_numpy(object).tolist()}


def examples(files: Files, section: str) -> list[Part]:
    """Return for each network whose section begins so what it got right and wrong, by class."""
    listed = {key: entry for key, entry in runs.examples().items() if entry.section.startswith(section)}
    found = []
    for key, entry in listed.items():
        table, spectra = files.table("examples", run=key), files.table("spectra", run=key)
        pixels = np.load(files.path("pixels", run=key))
        shown = [_example(row, pixels[k], spectra) for k, (_, row) in enumerate(table.iterrows())]
        classes = [
            {"name": name, "wrong": [e for e in mine if not e["right"]], "right": [e for e in mine if e["right"]]}
            for name in spectra["class"].unique()
            if (mine := [e for e in shown if e["actual"] == name])
        ]
        found.append({"run": key, "dataset": entry.dataset, "classes": classes, "spectrum": _said(table)})
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


def maps(files: Files) -> list[Part]:
    """Return all maps: their points, for a script to draw, and what they keep of their neighbourhoods."""
    listed = runs.maps()
    summary = files.table("maps").to_dict("records")
    found = []
    for (key, entry), figures in zip(listed.items(), summary, strict=True):
        table = files.table("map", map=key)
        codes = {name: sorted(table[name].astype(str).unique()) for name in ("split", "domain", "category", "right")}
        columns = {name: table[name].astype(str).map(names.index).tolist() for name, names in codes.items()}
        places = {axis: table[axis].round(2).tolist() for axis in ("x2", "y2", "x3", "y3", "z3")}
        points = json.dumps({"names": codes, "codes": columns, "places": places}, separators=(",", ":"))
        points = Markup(points.replace("<", "\\u003c"))  # no name can end the script that holds it
        found.append(
            {
                "key": key,
                "run": entry.run,
                "dataset": entry.dataset,
                "n": len(table),
                "figures": figures,
                "points": points,
            }
        )
    return found


def by_severity(files: Files) -> Part:
    """Return a small chart for every corruption: ROC AUC by severity, a line per run."""
    table = files.table("corruptions")
    order = {run: k for k, run in enumerate(table["run"].unique())}
    clean = table[table["corruption"] == "clean"]
    found = []
    for name, part in table[table["corruption"] != "clean"].groupby("corruption", sort=False):
        lines = []
        for run, k in order.items():
            here = pd.concat([clean[clean["run"] == run], part[part["run"] == run]])
            lines.append(
                Line(run, here["severity"], here["roc_auc"], k, (here["roc_auc_lo"], here["roc_auc_hi"]), dots=True)
            )
        told = str(name).replace("_", " ")
        y = Axis("ROC AUC", min(0.4, float(table["roc_auc"].min())), 1)
        svg = charts.chart(f"ROC AUC by severity of {told}", lines, Axis("severity", 0, 5), y, ["0.5"], small=True)
        found.append({"title": told, "svg": svg})
    means = {run: files.figures("corruption_figures", run=run)["mean"] for run in order}
    return {"charts": found, "runs": list(order.items()), "n": int(table["n"].iat[0]), "means": means}


def by_epsilon(files: Files) -> Part:
    """Return a chart for every attack: accuracy by largest change, a line per run; and the hackathon's score."""
    table = files.table("attacks")
    order = {run: k for k, run in enumerate(table["run"].unique())}
    clean = table[table["attack"] == "clean"]
    found = []
    for name, part in table[table["attack"] != "clean"].groupby("attack", sort=False):
        lines = []
        for run, k in order.items():
            here = pd.concat([clean[clean["run"] == run], part[part["run"] == run]])
            lines.append(
                Line(run, here["epsilon"], here["accuracy"], k, (here["accuracy_lo"], here["accuracy_hi"]), dots=True)
            )
        x = Axis("largest change, of 255 levels", 0, float(table["epsilon"].max()))
        svg = charts.chart(f"accuracy under {name}", lines, x, Axis("accuracy", 0, 1), small=True)
        found.append({"title": str(name), "svg": svg})
    scores = {run: files.figures("attack_figures", run=run)["hackathon"] for run in order}
    return {"charts": found, "runs": list(order.items()), "n": int(table["n"].iat[0]), "scores": scores}


def controls(files: Files) -> list[Part]:
    """Return the controls of each task, what each leaves of the answer."""
    table = files.table("controls")
    found = []
    for (name, metric), part in table.groupby(["task", "metric"], sort=False):
        lines = [
            {"dot": charts.interval(row["value"], row["value_lo"], row["value_hi"], 0, 1), **row}
            for row in part.to_dict("records")
        ]
        found.append({"task": name, "metric": str(metric).replace("roc_auc", "ROC AUC"), "rows": lines})
    return found


def alarms(files: Files) -> list[Part]:
    """Return the shares of other images, none of them positive, that detectors call positive."""
    table = files.table("false_alarms")
    rows = table[table["rows"] == "unseen"].to_dict("records")
    return [{"dot": charts.interval(r["called"], r["called_lo"], r["called_hi"], 0, 1), **r} for r in rows]


def mistakes(files: Files) -> list[Part]:
    """Return how the wrong rows of a run lie in each space, beside right ones."""
    return files.table("mistakes").to_dict("records")  # type: ignore[no-any-return]


def audits(files: Files) -> list[Part]:
    """Return what is in each dataset, and what is wrong with it."""
    found = []
    for dataset in settings.value("datasets"):
        labels = files.table("labels", dataset=dataset)
        counts = labels.groupby(["split", "domain"]).size().unstack(fill_value=0)
        found.append(
            {
                "dataset": dataset,
                "n": len(labels),
                "domains": counts.columns.tolist(),
                "splits": [(split, counts.loc[split].tolist()) for split in counts.index],
                "figures": files.figures("audit", dataset=dataset),
                "gallery": files.picture("gallery", dataset=dataset),
            }
        )
    return found


def searches(files: Files) -> list[Part]:
    """Return every search: a chart of its trials, the settings of each, and what it gained."""
    found = []
    for key in settings.value("searches"):
        table = files.table("trials", search=key)
        done = table[table["state"] == "complete"]
        lines = [
            Line("trial", done["trial"], done["valid_loss"], 0, dots=True),
            Line("best so far", done["trial"], done["valid_loss"].cummin(), 1, steps=True),
        ]
        svg = charts.chart(f"trials of {key}", lines, Axis("trial"), Axis("valid loss, nats"))
        rows = table.round(6).to_numpy(object).tolist()
        figures = files.figures("search_figures", search=key)
        about = {"key": key, "svg": svg, "complete": len(done), "figures": figures}
        found.append(about | {"columns": table.columns.tolist(), "rows": rows})
    return found
