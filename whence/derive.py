"""Datasets that are derived for a control: other labels, fewer training rows, images with something taken away."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from whence.base.errors import InputError
from whence.base.settings import Section
from whence.table.rows import Labels


class Settings(Section):
    """One entry of section derived."""

    dataset: str
    """Which it comes from."""
    transform: str | None
    """A function of whence.transforms, or null: the images as they are."""
    labels: Literal["shuffled", "halves"] | None
    """shuffled: the domains of each split in random order; halves: those of one domain drawn anew; null: unchanged."""
    domain: str | None
    """The one that `halves` parts in two; its rows alone are used."""
    without: str | None
    """A category that train and valid do not show, and test alone does."""
    train: int | None = Field(ge=1)
    """Most rows of train, drawn evenly from every category and domain; null: all."""
    seed: int = Field(ge=0)


def relabel(labels: Labels, settings: Settings, name: str) -> Labels:
    """Return the labels (N,) of a derived dataset; rows that it does not use are of split `unused`.

    Raises InputError, which calls the entry by `name`, for a domain or category that does not occur, and for a domain
    without halves or halves without a domain.
    """
    split, domain = labels.split.copy(), labels.domain.copy()
    rng = np.random.default_rng([settings.seed, 3])
    domains = np.unique(domain).tolist()
    if (settings.labels == "halves") != (settings.domain is not None):
        raise InputError(f"{name}: labels: halves needs a domain, and a domain halves; write both or neither")
    for key, value, known in (
        ("domain", settings.domain, domains),
        ("without", settings.without, np.unique(labels.category).tolist()),
    ):
        if value is not None and value not in known:
            raise InputError(f"{name}.{key}: got {value!r}; known are {', '.join(known)}")
    if settings.labels == "halves":
        split[domain != settings.domain] = "unused"
    if settings.labels is not None:
        for part in np.unique(split):
            rows = np.flatnonzero(split == part)
            given = domain[rows] if settings.labels == "shuffled" else np.resize(domains, len(rows))
            domain[rows] = rng.permutation(given)
    if settings.without is not None:
        shown = labels.category == settings.without
        split[shown == np.isin(split, ["train", "valid"])] = "unused"
    if settings.train is not None:
        split[_beyond(labels._replace(split=split, domain=domain), settings.train, rng)] = "unused"
    return labels._replace(split=split, domain=domain)


def _beyond(labels: Labels, most: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the train rows beyond `most`; the others are evenly spread over category × domain, few among the many."""
    train = rng.permutation(np.flatnonzero(labels.split == "train"))
    cell = np.char.add(np.char.add(labels.domain[train], "/"), labels.category[train])
    # The first of every cell, in random order, then the second of every cell, and so on.
    order = np.argsort(cell, kind="stable")
    starts = np.flatnonzero(np.r_[True, cell[order][1:] != cell[order][:-1]])
    turn = np.empty(len(train), np.int64)
    turn[order] = np.arange(len(train)) - np.repeat(starts, np.diff(np.r_[starts, len(train)]))
    return train[np.argsort(turn, kind="stable")][most:]
