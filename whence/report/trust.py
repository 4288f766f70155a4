"""What the report shows of how far answers can be trusted: controls, other images, maps, mistakes, data, searches."""

import json
from collections.abc import Iterable
from typing import Any

import pandas as pd
from markupsafe import Markup

from whence import runs
from whence.base import settings
from whence.report import charts
from whence.report.charts import Axis, Line
from whence.report.files import Files

Part = dict[str, Any]


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
                "source": runs.source(entry.dataset),
                "n": len(table),
                "figures": figures,
                "points": points,
            }
        )
    return found


def by_severity(files: Files) -> Part:
    """Return a small chart for every corruption: ROC AUC by severity, a line per run; and the means over all."""
    table = files.table("corruptions")
    table["corruption"] = table["corruption"].str.replace("_", " ")
    x, y = Axis("severity", 0, 5), Axis("ROC AUC", min(0.4, float(table["roc_auc"].min())), 1)
    found = _by_strength(table, "corruption", ("severity", "roc_auc"), (x, y), "ROC AUC by severity of", ["0.5"])
    means = {run: files.figures("corruption_figures", run=run)["mean"] for run, _ in found["runs"]}
    return found | {"means": means}


def by_epsilon(files: Files) -> Part:
    """Return a chart for every attack: accuracy by largest change, a line per run; and the hackathon's score."""
    table = files.table("attacks")
    x = Axis("largest change, of 255 levels", 0, float(table["epsilon"].max()))
    found = _by_strength(table, "attack", ("epsilon", "accuracy"), (x, Axis("accuracy", 0, 1)), "accuracy under")
    scores = {run: files.figures("attack_figures", run=run)["hackathon"] for run, _ in found["runs"]}
    return found | {"scores": scores}


def _by_strength(
    table: pd.DataFrame,
    kind: str,
    columns: tuple[str, str],
    axes: tuple[Axis, Axis],
    told: str,
    across: Iterable[str] = (),
) -> Part:
    """Return a small chart for each name in column `kind`, a line per run, which begins with the clean rows."""
    x, y = columns
    order = {run: k for k, run in enumerate(table["run"].unique())}
    clean = table[table[kind] == "clean"]
    found = []
    for name, part in table[table[kind] != "clean"].groupby(kind, sort=False):
        both = pd.concat([clean, part])
        lines = [
            Line(run, here[x], here[y], k, (here[f"{y}_lo"], here[f"{y}_hi"]), dots=True)
            for run, k in order.items()
            for here in [both[both["run"] == run]]
        ]
        found.append({"title": str(name), "svg": charts.chart(f"{told} {name}", lines, *axes, across, small=True)})
    return {"charts": found, "runs": list(order.items()), "n": int(table["n"].iat[0])}


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
        figures = files.figures("audit", dataset=dataset)
        domains = list(next(iter(figures["rows"].values())))
        found.append(
            {
                "dataset": dataset,
                "source": runs.source(dataset),
                "n": figures["images"],
                "domains": domains,
                "splits": [(split, [counts[name] for name in domains]) for split, counts in figures["rows"].items()],
                "figures": figures,
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
