"""Random forest (Breiman 2001)."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from whence.base.settings import Section
from whence.estimators.classical.trees import Tree, join, total
from whence.models import Learnt
from whence.table.rows import Rows


class Settings(Section):
    """Section train.forest."""

    trees: int = Field(ge=1)
    min_samples_leaf: int = Field(ge=1)
    class_weight: Literal["balanced"] | None
    seed: int = Field(ge=0, lt=2**32)


def fit(train: Rows, valid: Rows, settings: Settings) -> Learnt:
    """Grow the trees on bootstrap draws of the train rows; the valid rows are not needed."""
    from sklearn.ensemble import RandomForestClassifier

    model = RandomForestClassifier(
        n_estimators=settings.trees,
        min_samples_leaf=settings.min_samples_leaf,
        class_weight=settings.class_weight,
        random_state=settings.seed,
        n_jobs=-1,
    ).fit(train.x, train.y)
    grown = [estimator.tree_ for estimator in model.estimators_]
    shares = [tree.value[:, 0, 1] / tree.value[:, 0].sum(axis=1) for tree in grown]
    return join(
        Tree(tree.feature, tree.threshold, tree.children_left, tree.children_right, share / len(grown))
        for tree, share in zip(grown, shares, strict=True)
    )


def score(learnt: Learnt, x: NDArray[np.generic]) -> NDArray[np.float64]:
    """Return (n,) the mean over the trees of the positive share in the leaf of each row of x (n, d)."""
    return np.clip(total(learnt, x.astype(np.float32)), 0, 1)
