"""Ask the project's own question of two datasets of streets: can their frames be told apart, and by what?"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from whence import metrics
from whence.base import settings
from whence.base.errors import InputError
from whence.base.stage import run
from whence.classifiers import small
from whence.estimators.network import recipe
from whence.estimators.network.estimator import Estimator
from whence.roads import apart, data
from whence.roads.splits import LEFT_OUT, Frames
from whence.table import tables

SETTINGS = "apart.network"


class Settings(settings.Section):
    """Section apart."""

    side: int = Field(ge=16, le=256)
    """Of the squares that the network sees, in pixels."""
    most: int = Field(ge=4)
    """Frames of a dataset, drawn at random."""
    folds: int = Field(ge=2)
    """Each drive is asked about once, by a network that has learnt from the drives of the other folds."""
    seed: int = Field(ge=0)
    metrics: metrics.Settings
    network: dict[str, Any]
    """As the section train.small of the first pipeline."""


def main(
    params: Path, frames: str, images: str, masks: str, headline: Path, target: Path, first: str, second: str
) -> None:
    """Read all frames of two datasets, files whose names hold {dataset}; write metrics (json) and a table (csv)."""
    section = settings.load("apart", Settings, params)
    wanted = settings.check(section.network, small.Settings, f"{params}: {SETTINGS}")
    if wanted.patience is not None:
        raise InputError(f"{params}: {SETTINGS}.patience: got {wanted.patience}, expected null: nothing chooses here")
    rng = np.random.default_rng(section.seed)
    files = {
        dataset: [Path(name.format(dataset=dataset)) for name in (frames, images, masks)] for dataset in (first, second)
    }
    held = {dataset: data.read(*paths) for dataset, paths in files.items()}
    ratio = min(x.shape[2] / x.shape[1] for _, x, _ in held.values())
    parts = [_drawn(dataset, held[dataset], ratio, section, rng) for dataset in (first, second)]
    later = np.repeat([False, True], [len(unit) for unit, _ in parts])
    unit = np.concatenate([unit for unit, _ in parts])
    fold = apart.folds(unit, later, section.folds, rng)
    found = {}
    for clue in apart.CLUES:
        seen = np.concatenate([squares[clue] for _, squares in parts])
        score = _answers(seen, later, fold, wanted, f"{params}: {SETTINGS}")
        found[clue] = metrics.summarise(later, score, section.metrics)
        print(f"{clue}: ROC AUC {found[clue]['roc_auc']:.4f} of {len(later):,} frames")
    shown = ("roc_auc", "roc_auc_lo", "roc_auc_hi", "balanced_accuracy", "n", "n_positive")
    columns = {name: np.array([summary[name] for summary in found.values()]) for name in shown}
    tables.write_csv(target, {"clue": np.array(list(found))} | columns)
    metrics.write(headline, {clue: {name: summary[name] for name in shown} for clue, summary in found.items()})


def _drawn(
    dataset: str, held: tuple[Frames, Any, Any], ratio: float, section: Settings, rng: np.random.Generator
) -> tuple[tables.Strings, dict[str, NDArray[np.uint8]]]:
    """Return the unit of some frames of a dataset, and what each clue leaves of them.

    Units are drives, or frames where there are fewer drives than folds.
    """
    table, images, ids = held
    rows = np.sort(rng.permutation(np.flatnonzero(table.split != LEFT_OUT))[: section.most])
    drive = np.char.add(f"{dataset}/", table.drive[rows])
    few = len(np.unique(drive)) < section.folds
    unit = np.char.add(np.char.add(drive, "/"), table.frame[rows]) if few else drive
    if len(np.unique(unit)) < section.folds:
        raise InputError(f"{dataset}: has {len(rows)} frames, expected {section.folds} or more: apart.folds")
    masks = apart.cut(data.kinds(dataset, data.SEVEN).of_id[ids[rows]], ratio)
    seen = apart.cut(images[rows], ratio)
    return unit, {clue: see(seen, masks, section.side, rng) for clue, see in apart.CLUES.items()}


def _answers(
    seen: NDArray[np.uint8],
    second: NDArray[np.bool_],
    fold: NDArray[np.int64],
    wanted: recipe.Settings,
    where: str,
) -> NDArray[np.float64]:
    """Return (members, n) the probability of the second dataset, each frame asked about when it was held out."""
    score = np.zeros((len(wanted.seeds), len(seen)))
    for learnt, asked in apart.held_out(fold):
        train = seen[learnt], second[learnt]
        model = Estimator(small, wanted, section=where).fit(*train, *train, [False, True])
        score[:, asked] = model.member_proba(seen[asked])[:, :, 1]
        model.forget()
    return score


if __name__ == "__main__":
    run(main)
