"""What `make repro` says at its end: where the report is, and the best figure of each question."""

import csv
from pathlib import Path
from typing import Any

import yaml

REPORT, PLOTS, ROADS = Path("plots/report.html"), Path("plots/tasks"), Path("roads/plots/leaderboard.csv")


def best(path: Path, metric: str, objects: dict[str, Any]) -> tuple[str, float, float, float]:
    """Return the run of a table with the highest metric on official test rows, its value, and its interval's ends.

    Of the ten categories only the domains count that a run has learnt from, and of streets the dataset.
    """
    with path.open(encoding="utf-8", newline="") as handle:
        lines = [line for line in csv.DictReader(handle) if line.get("rows", "official") == "official"]
    home = [line for line in lines if "domain" not in line or line["domain"] in objects[line["train_on"]]["domains"]]
    home = [line for line in home if line.get("home", "True") == "True"] or home
    line = max(home, key=lambda one: float(one[metric]))
    domain = line.get("domain", line.get("dataset"))
    where = f" on {domain}" if domain else ""
    value, low, high = (float(line[f"{metric}{end}"]) for end in ("", "_lo", "_hi"))
    return line["run"] + where, value, low, high


def main() -> None:
    """Print them."""
    with Path("params.yaml").open(encoding="utf-8") as handle:
        params = yaml.safe_load(handle)
    figures = {task: (PLOTS / task / "leaderboard.csv", "official_roc_auc", "ROC AUC") for task in params["tasks"]}
    figures |= {name: (PLOTS / name / "leaderboard.csv", "official_accuracy", "accuracy") for name in params["classes"]}
    figures["objects"] = (PLOTS / "objects" / "cross.csv", "accuracy", "accuracy")
    asked = params["tasks"] | params["classes"]
    own = [name for name, about in asked.items() if about["dataset"] in params["folders"]]
    but = f", but for {', '.join(own)}" if own else ""
    drawn = (
        f" (images drawn by the project itself{but}: no result about the world)" if params["source"] == "sample" else ""
    )
    print(f"\nBest runs on test rows{drawn}:")
    for task, (path, metric, said) in figures.items():
        if path.exists():
            run, value, low, high = best(path, metric, params["objects"])
            print(f"  {task:8} {said:8} {value:.3f} [{low:.3f}, {high:.3f}]  {run}")
    if ROADS.exists():
        run, value, low, high = best(ROADS, "mean_iou", {})
        print(f"  {'roads':8} {'mean IoU':8} {value:.3f} [{low:.3f}, {high:.3f}]  {run}")
    print(f"Open {REPORT} for everything else.")


if __name__ == "__main__":
    main()
