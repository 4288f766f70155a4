"""Datasets that are derived for a control: other labels, fewer training rows, images with something taken away."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from whence.base.errors import InputError
from whence.base.settings import Section
from whence.table.rows import Labels


class Settings(Section):
    """One entry of section derived: what is not said stays as it is."""

    dataset: str
    """Which it comes from."""
    transform: str | None = None
    """A function of whence.transforms, or null: the images as they are."""
    labels: Literal["shuffled", "halves"] | None = None
    """shuffled: the domains of each split in random order; halves: those of one domain drawn anew; null: unchanged."""
    domain: str | None = None
    """The one that `halves` parts in two; its rows alone are used."""
    without: str | None = None
    """A category that train and valid do not show, and test alone does."""
    train: int | None = Field(default=None, ge=1)
    """Most rows of train, drawn evenly from every category and domain; null: all."""
    valid: int | None = Field(default=None, ge=1)
    """Most rows of valid, drawn alike; the others are learnt from, once they have chosen the settings. null: all."""
    seed: int = Field(default=0, ge=0)


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
    for part, most, then in (("train", settings.train, "unused"), ("valid", settings.valid, "train")):
        if most is not None:
            split[_beyond(labels._replace(split=split, domain=domain), part, most, rng)] = then
    return labels._replace(split=split, domain=domain)


def _beyond(labels: Labels, part: str, most: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return a split's rows beyond `most`; the others are evenly spread over category × domain, few among the many."""
    rows = rng.permutation(np.flatnonzero(labels.split == part))
    cell = np.char.add(np.char.add(labels.domain[rows], "/"), labels.category[rows])
    # The first of every cell, in random order, then the second of every cell, and so on.
    order = np.argsort(cell, kind="stable")
    starts = np.flatnonzero(np.r_[True, cell[order][1:] != cell[order][:-1]])
    turn = np.empty(len(rows), np.int64)
    turn[order] = np.arange(len(rows)) - np.repeat(starts, np.diff(np.r_[starts, len(rows)]))
    return rows[np.argsort(turn, kind="stable")][most:]
