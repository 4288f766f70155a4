"""The questions: which column of the labels is asked for, and which value counts as positive."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from whence.errors import InputError
from whence.rows import Labels
from whence.settings import PARAMS, Section


class Task(Section):
    """Section tasks.<name>."""

    dataset: str
    question: str
    label: Literal["domain"]
    negative: str
    positive: str

    def target(self, labels: Labels) -> NDArray[np.bool_]:
        """Return (N,) True where the row is positive; raises InputError for labels that are neither class."""
        column = labels.domain
        strangers = np.setdiff1d(column, [self.negative, self.positive])
        if len(strangers):
            asked = f"negative: {self.negative}, positive: {self.positive}"
            found = f"a {self.label} of {self.dataset} is {str(strangers[0])!r}"
            raise InputError(f"{PARAMS}: tasks: expected {asked}, but {found}; name the two values that occur")
        return np.asarray(column == self.positive)
