"""Map what some features see: t-SNE in two and three dimensions, and figures of what the map keeps."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from whence import metrics, neighbours
from whence.base import arrays, settings
from whence.base.errors import InputError
from whence.base.stage import run
from whence.table import rows, tables, tasks

SPLITS = ("train", "valid", "test")
DECIMALS = 3
"""Of coordinates."""


class Settings(settings.Section):
    """Section tsne."""

    rows: int = Field(ge=10)
    """Most rows of each split, drawn at random."""
    perplexity: float = Field(gt=1)
    components: int = Field(ge=2)
    """Principal components of the standardised features that the map is drawn from, at most."""
    neighbours: int = Field(ge=1)
    """Nearest others that purity and trustworthiness look at."""
    seed: int = Field(ge=0)


def main(section: str, labels: Path, features: Path, scores: Path, coordinates: Path, figures: Path) -> None:
    """Read `features` (.npy, N×…) and a run's `scores` (csv); write `coordinates` (csv) and `figures` (json).

    `section` is what the run was asked, tasks.<name> or objects.<name>. A line of coordinates is an image: whether the
    run is right about it is empty for those of train, which it learnt.
    """
    how, asked = settings.load("tsne", Settings), tasks.load(section)
    table, array = rows.read(labels), arrays.read(features)
    rows.check_aligned(table, array, features)
    chosen = _drawn(table.split, how)
    if len(chosen) <= 3 * max(how.perplexity, how.neighbours):
        found = f"{len(chosen)} rows for a perplexity of {how.perplexity:g} and {how.neighbours} neighbours"
        raise InputError(f"{settings.PARAMS}: tsne: {found} are too few; make these smaller, or rows larger")
    x = neighbours.reduced(array[chosen], how.components)
    drawn = {d: neighbours.tsne(x, d, how.perplexity, how.seed) for d in (2, 3)}
    about = {"split": table.split, "category": table.category, "domain": table.domain}
    columns: dict[str, NDArray[Any]] = {"row": chosen} | {name: column[chosen] for name, column in about.items()}
    columns["right"] = _right(scores, asked, len(table.path))[chosen]
    for d, points in drawn.items():
        columns |= {f"{axis}{d}": points[:, k].round(DECIMALS) for k, axis in enumerate("xyz"[:d])}
    tables.write_csv(coordinates, columns)
    metrics.write(figures, _figures(x, drawn, columns, how.neighbours))


def _drawn(split: tables.Strings, section: Settings) -> NDArray[np.int64]:
    rng = np.random.default_rng(section.seed)
    return np.sort(np.concatenate([rng.permutation(np.flatnonzero(split == s))[: section.rows] for s in SPLITS]))


def _right(scores: Path, asked: tasks.Task | tasks.Objects, count: int) -> tables.Strings:
    """Return (N,) "yes" or "no", the mean over the seeds being the run's answer, or nothing where it gave none.

    Of categories a run's answer is right if those of most of its seeds are.
    """
    scored = tables.read_csv(scores)
    if isinstance(asked, tasks.Task):
        score = np.mean([column.astype(float) for name, column in scored.items() if name.startswith("score_")], axis=0)
        agrees = (score >= metrics.THRESHOLD) == (scored["actual"] == asked.positive)
    else:
        said = [column == scored["actual"] for name, column in scored.items() if name.startswith("predicted_")]
        agrees = np.mean(said, axis=0) > 0.5
    right = np.full(count, "", "<U3")
    right[scored["row"].astype(int)] = np.where(agrees, "yes", "no")
    return right


def _figures(
    x: NDArray[np.float32], drawn: dict[int, NDArray[np.float64]], about: dict[str, NDArray[Any]], k: int
) -> dict[str, dict[str, float]]:
    """Return purity by domain and category in the space and in each map, and the trustworthiness of each map."""
    spaces = {"space": x} | {f"map_{d}d": points for d, points in drawn.items()}
    found: dict[str, dict[str, float]] = {"all": {"n": len(x)}}
    for name, points in spaces.items():
        found[name] = {f"{what}_knn": neighbours.purity(points, about[what], k) for what in ("domain", "category")}
        if name != "space":
            found[name]["trustworthiness"] = neighbours.trustworthiness(x, points, k)
    return found


if __name__ == "__main__":
    run(main)
