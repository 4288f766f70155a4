"""Names → labels.csv: what each image is, which split it stands in, and which others have the very same pixels."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from whence.base.errors import InputError, shown
from whence.base.settings import PARAMS, Section
from whence.datasets import folder
from whence.names import Name
from whence.table.rows import Labels
from whence.table.tables import Strings, read_csv


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
    advice = "labels are read off the names: take these images out of the archive, or use the published one"
    names = _parsed(table["path"].tolist(), parse, index, "the published layout", advice)
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


def of_folder(index: Path, settings: folder.Rows) -> Labels:
    """Return the labels of an index of your own images, row by row.

    Raises InputError for names that do not fit the layout (it shows them), for less than two classes, for a class
    without images in a split, and for shares as `build`.
    """
    table = read_csv(index)
    advice = f"the layout is {settings.layout}; name the folders so, or change folders.<dataset>.rows.layout"
    names = _parsed(table["path"].tolist(), folder.parser(settings.layout), index, "the layout", advice)
    official, category, domain, paths = (np.array(part, np.str_) for part in zip(*names, strict=True))
    cell = category if (domain == folder.ALL).all() else domain
    classes = np.unique(cell).tolist()
    if len(classes) < 2:
        raise InputError(f"{index}: all images are of one class, {classes[0]}; two are needed to tell them apart")
    _, first, group = np.unique(table["digest"], return_index=True, return_inverse=True)
    official = official.astype("U6")
    labels = Labels(paths, official.copy(), official, category, domain, first[group], table["digest"])
    if settings.test_share is not None:
        drawn = _draw_groups(labels, settings.test_share, np.random.default_rng([settings.seed, 3]))
        labels.official_split[drawn] = labels.split[drawn] = "test"
    splits = ["train", *np.unique(official[official != "train"]).tolist()]
    _check_complete(official, cell, [*splits, "test"], classes, index, "class")
    _carve_valid(labels, splits, settings)
    _check_complete(labels.split, cell, ["train", "valid", "test"], classes, index, "class")
    _cap(labels, settings)
    return labels


def counts(labels: Labels) -> str:
    """Return the number of rows per split and domain, as text for the terminal; of one domain, per category."""
    used = [split for split in ("train", "valid", "test", "unused") if (labels.split == split).any()]
    lines = []
    for split in used:
        if (labels.domain == folder.ALL).all():
            each = np.unique(labels.category[labels.split == split], return_counts=True)[1]
            ends = "–".join(f"{n:,}" for n in sorted({each.min(), each.max()}))
            lines.append(f"{split}: {each.sum():,} of {len(each)} categories, {ends} each")
            continue
        rows = [f"{((labels.split == split) & (labels.domain == d)).sum():,} {d}" for d in np.unique(labels.domain)]
        lines.append(f"{split}: {', '.join(rows)}")
    return "\n".join(lines)


def _parsed(paths: list[str], parse: Callable[[str], Name | None], index: Path, rule: str, advice: str) -> list[Name]:
    names = [parse(path) for path in paths]
    strangers = [path for path, name in zip(paths, names, strict=True) if name is None]
    if strangers:
        raise InputError(f"{index}: {len(strangers):,} names fit no rule of {rule}:{shown(strangers)}\n{advice}")
    return [name for name in names if name is not None]


def _check_complete(
    split: Strings, cell: Strings, splits: Sequence[str], cells: Sequence[str], index: Path, what: str = "domain"
) -> None:
    for s in splits:
        for c in cells:
            if not ((split == s) & (cell == c)).any():
                way_out = "the archive is incomplete" if what == "domain" else "add some, or draw a larger share"
                raise InputError(f"{index}: holds no image of split {s!r} and {what} {c!r}; {way_out}")


def _carve_valid(labels: Labels, splits: Sequence[str], settings: Settings | folder.Rows) -> None:
    """Give `split` its valid rows; copies of training images leave valid, so that duplicates never cross."""
    place = f"{PARAMS}: {'label' if isinstance(settings, Settings) else 'folders.<dataset>.rows'}: valid_share: got"
    if "valid" in splits:
        if settings.valid_share is not None:
            raise InputError(f"{place} {settings.valid_share}, but this dataset has its own valid split; write null")
    elif settings.valid_share is None:
        raise InputError(f"{place} null, but this dataset has no valid split; write 0.1, say")
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


def _cap(labels: Labels, settings: Settings | folder.Rows) -> None:
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
