"""What is asked of the rows: of which domain they are, or, trained on some domains, which object they show."""

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from whence.base import settings
from whence.base.errors import InputError
from whence.base.settings import PARAMS, Section
from whence.table.rows import Labels
from whence.table.tables import Strings

Share = Annotated[float, Field(gt=0, le=1)]


class Task(Section):
    """Section tasks.<name>: a yes-or-no question about the domain."""

    dataset: str
    question: str
    label: Literal["domain"]
    negative: str
    positive: str

    @property
    def classes(self) -> list[str]:
        """Return the two classes, the positive one last."""
        return [self.negative, self.positive]

    def check_model(self, classes: list[Any], card: Path) -> None:
        """Raise InputError, which names the model's `card`, unless it tells these two classes apart."""
        if classes != self.classes:
            raise InputError(f"{card}: tells {classes} apart, expected {self.classes}; run dvc repro")

    def target(self, labels: Labels) -> Strings:
        """Return (N,) the class of each row; raises InputError for labels that are neither class."""
        strangers = np.setdiff1d(labels.domain, self.classes)
        if len(strangers):
            asked = f"negative: {self.negative}, positive: {self.positive}"
            found = f"a {self.label} of {self.dataset} is {str(strangers[0])!r}"
            raise InputError(f"{PARAMS}: tasks: expected {asked}, but {found}; name the two values that occur")
        return labels.domain

    def chosen(self, labels: Labels) -> NDArray[np.bool_]:
        """Return (N,) True: the question is put to every row."""
        return np.ones(len(labels.path), bool)


class Objects(Section):
    """Section objects.<name>: which of the ten categories, learnt from some domains of a dataset."""

    dataset: str
    label: Literal["category"]
    domains: dict[str, Share] = Field(min_length=1)
    """The share of each domain's train and valid rows that is used, drawn evenly from every category."""
    seed: int = Field(ge=0)

    def target(self, labels: Labels) -> Strings:
        """Return (N,) the category of each row."""
        return labels.category

    def chosen(self, labels: Labels) -> NDArray[np.bool_]:
        """Return (N,) whether a row is one of train or valid that is used.

        A domain's draw depends on the seed and that domain alone, not on what stands beside it, and a larger share
        holds the smaller one. Raises InputError for a domain that does not occur, and for a share of no training row.
        """
        known = np.unique(labels.domain).tolist()
        chosen = np.zeros(len(labels.path), bool)
        for domain, share in self.domains.items():
            if domain not in known:
                found = f"{self.dataset} has no domain {domain!r}, only {', '.join(known)}"
                raise InputError(f"{PARAMS}: objects: {found}; name one of these, or train on the dataset that has it")
            rng = np.random.default_rng([self.seed, known.index(domain)])
            for split in ("train", "valid"):
                here = (labels.domain == domain) & (labels.split == split)
                for category in np.unique(labels.category[here]).tolist():
                    rows = np.flatnonzero(here & (labels.category == category))
                    count = round(share * len(rows))
                    if split == "train" and not count:
                        found = f"{share} of the {len(rows):,} train rows of {category!r} in {domain!r} is not a row"
                        raise InputError(f"{PARAMS}: objects: domains: {found}; raise the share")
                    chosen[rng.permutation(rows)[:count]] = True
        return chosen


KINDS: dict[str, type[Task] | type[Objects]] = {"tasks": Task, "objects": Objects}


def load(section: str) -> Task | Objects:
    """Return what stands at tasks.<name> or objects.<name>; raises InputError that names every wrong key and value."""
    kind = section.partition(".")[0]
    if kind not in KINDS:
        raise InputError(f"{section}: no section of tasks; expected tasks.<name> or objects.<name> of {PARAMS}")
    return settings.load(section, KINDS[kind])
