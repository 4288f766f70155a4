"""Names → labels.csv: what each image is, which split it stands in, and which others have the very same pixels."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from whence.base.errors import InputError
from whence.base.settings import PARAMS, Section
from whence.names import Name
from whence.table.rows import Labels
from whence.table.tables import Strings, read_csv

SHOWN = 10


class Settings(Section):
    """Section label.<dataset>."""

    valid_share: float | None = Field(gt=0, lt=1)
    cap: int | None = Field(ge=1)
    seed: int = Field(ge=0)


def build(
    index: Path,
    parse: Callable[[str], Name | None],
    unparse: Callable[[Name], str],
    splits: Sequence[str],
    domains: Sequence[str],
    settings: Settings,
) -> Labels:
    """Return the labels of an index (csv: path, digest), row by row.

    Raises InputError for names that fit no rule (it shows them), two rows of one name, a split × domain without
    images, and a valid share where the dataset has its own valid split, or none where it has not.
    """
    table = read_csv(index)
    names = _parsed(table["path"].tolist(), parse, index)
    paths = [unparse(name) for name in names]
    twice = [path for path, count in Counter(paths).items() if count > 1]
    if twice:
        raise InputError(f"{index}: two members or more stand for {twice[0]}; keep one of them")
    official, category, domain, _ = (np.array(part, np.str_) for part in zip(*names, strict=True))
    _check_complete(official, domain, splits, domains, index)
    _, first, group = np.unique(table["digest"], return_index=True, return_inverse=True)
    labels = Labels(np.array(paths), official.astype("U6"), official, category, domain, first[group], table["digest"])
    _carve_valid(labels, splits, settings)
    _cap(labels, settings)
    return labels


def counts(labels: Labels) -> str:
    """Return the number of rows per split and domain, as text for the terminal."""
    used = [split for split in ("train", "valid", "test", "unused") if (labels.split == split).any()]
    lines = []
    for split in used:
        rows = [f"{((labels.split == split) & (labels.domain == d)).sum():,} {d}" for d in np.unique(labels.domain)]
        lines.append(f"{split}: {', '.join(rows)}")
    return "\n".join(lines)


def _parsed(paths: list[str], parse: Callable[[str], Name | None], index: Path) -> list[Name]:
    names = [parse(path) for path in paths]
    strangers = [path for path, name in zip(paths, names, strict=True) if name is None]
    if strangers:
        more = f"\n  and {len(strangers) - SHOWN:,} more" if len(strangers) > SHOWN else ""
        raise InputError(
            f"{index}: {len(strangers):,} names fit no rule of the published layout:\n  "
            + "\n  ".join(strangers[:SHOWN])
            + f"{more}\nlabels are read off the names: take these images out of the archive, or use the published one"
        )
    return [name for name in names if name is not None]


def _check_complete(
    official: Strings, domain: Strings, splits: Sequence[str], domains: Sequence[str], index: Path
) -> None:
    for s in splits:
        for d in domains:
            if not ((official == s) & (domain == d)).any():
                raise InputError(
                    f"{index}: the archive holds no image of split {s!r} and domain {d!r}; it is incomplete"
                )


def _carve_valid(labels: Labels, splits: Sequence[str], settings: Settings) -> None:
    """Give `split` its valid rows; copies of training images leave valid, so that duplicates never cross."""
    if "valid" in splits:
        if settings.valid_share is not None:
            got = f"{PARAMS}: label: valid_share: got {settings.valid_share}"
            raise InputError(f"{got}, but this dataset has its own valid split; write null")
    elif settings.valid_share is None:
        raise InputError(f"{PARAMS}: label: valid_share: got null, but this dataset has no valid split; write 0.1, say")
    else:
        labels.split[_draw_groups(labels, settings.valid_share, np.random.default_rng([settings.seed, 1]))] = "valid"
    trained_on = np.unique(labels.group[labels.split == "train"])
    labels.split[(labels.split == "valid") & np.isin(labels.group, trained_on)] = "unused"


def _draw_groups(labels: Labels, share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Draw the share of train per category × domain, whole duplicate groups at a time; return a mask (N,)."""
    train = labels.official_split == "train"
    groups, first, size = np.unique(labels.group[train], return_index=True, return_counts=True)
    cell = _cells(labels.category, labels.domain)[train]
    chosen = []
    for k in np.unique(cell):
        order = rng.permutation(np.flatnonzero(cell[first] == k))
        wanted = round(share * int((cell == k).sum()))
        chosen.append(groups[order[np.cumsum(size[order]) <= wanted]])
    return np.asarray(train & np.isin(labels.group, np.concatenate(chosen)))


def _cap(labels: Labels, settings: Settings) -> None:
    """Leave at most `cap` rows in each split × category × domain; the others become unused."""
    if settings.cap is None:
        return
    rng = np.random.default_rng([settings.seed, 2])
    used = np.flatnonzero(labels.split != "unused")
    cell = _cells(labels.split, labels.category, labels.domain)[used]
    for k in np.unique(cell):
        labels.split[rng.permutation(used[cell == k])[settings.cap :]] = "unused"


def _cells(*columns: Strings) -> NDArray[np.int64]:
    """Return (N,) the number of each row's combination of values, in sorted order."""
    cell = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        values, code = np.unique(column, return_inverse=True)
        cell = cell * len(values) + code
    return cell
