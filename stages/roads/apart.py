"""Ask the project's own question of two datasets of streets: can their frames be told apart, and by what?"""

import itertools
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
SHOWN = ("roc_auc", "roc_auc_lo", "roc_auc_hi", "balanced_accuracy", "n", "n_positive")


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


def main(params: Path, frames: str, images: str, masks: str, headline: Path, target: Path) -> None:
    """Read all frames of every two datasets, files whose names hold {dataset}; write metrics (json), a table (csv)."""
    section = settings.load("apart", Settings, params)
    wanted = settings.check(section.network, small.Settings, f"{params}: {SETTINGS}")
    if wanted.patience is not None:
        raise InputError(f"{params}: {SETTINGS}.patience: got {wanted.patience}, expected null: nothing chooses here")
    found = {}
    for pair in itertools.combinations(data.listed(params), 2):
        files = {dataset: [Path(name.format(dataset=dataset)) for name in (frames, images, masks)] for dataset in pair}
        held = {dataset: data.read(*paths) for dataset, paths in files.items()}
        found[" and ".join(pair)] = _told_apart(held, section, wanted, f"{params}: {SETTINGS}")
    rows = [(between, clue, summary) for between, told in found.items() for clue, summary in told.items()]
    for between, clue, summary in rows:
        print(f"{between}, {clue}: ROC AUC {summary['roc_auc']:.4f} of {summary['n']:,} frames")
    columns = {name: np.array([summary[name] for _, _, summary in rows]) for name in SHOWN}
    names = {"between": np.array([between for between, _, _ in rows]), "clue": np.array([clue for _, clue, _ in rows])}
    tables.write_csv(target, names | columns)
    metrics.write(headline, found)


def _told_apart(
    held: dict[str, tuple[Frames, Any, Any]], section: Settings, wanted: small.Settings, where: str
) -> dict[str, dict[str, Any]]:
    """Return, of each clue, how well it tells the frames of two datasets apart."""
    rng = np.random.default_rng(section.seed)
    ratio = min(x.shape[2] / x.shape[1] for _, x, _ in held.values())
    parts = [_drawn(dataset, content, ratio, section, rng) for dataset, content in held.items()]
    later = np.repeat([False, True], [len(unit) for unit, _ in parts])
    unit = np.concatenate([unit for unit, _ in parts])
    fold = apart.folds(unit, later, section.folds, rng)
    found = {}
    for clue in apart.CLUES:
        seen = np.concatenate([squares[clue] for _, squares in parts])
        summary = metrics.summarise(later, _answers(seen, later, fold, wanted, where), section.metrics)
        found[clue] = {name: summary[name] for name in SHOWN}
    return found


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
