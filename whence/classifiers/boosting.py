"""Gradient boosting of histogram trees (Friedman 2001; the method of LightGBM, Ke et al. 2017)."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from whence.base.settings import Section
from whence.estimators.classical.trees import Tree, join, sigmoid, total
from whence.models import Learnt
from whence.table.rows import Rows


class Settings(Section):
    """Section train.boosting."""

    learning_rate: float = Field(gt=0)
    max_iter: int = Field(ge=1)
    max_leaf_nodes: int = Field(ge=2)
    patience: int = Field(ge=1)
    class_weight: Literal["balanced"] | None
    seed: int = Field(ge=0, lt=2**32)


def fit(train: Rows, valid: Rows, settings: Settings) -> Learnt:
    """Add trees until the valid log loss has not fallen for `patience` rounds, or `max_iter` is reached.

    The valid rows are weighted by class as the train rows are: scikit-learn leaves them alone, and would stop by
    another loss than it minimises.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.utils.class_weight import compute_sample_weight

    weight = compute_sample_weight(settings.class_weight, valid.y)
    model = HistGradientBoostingClassifier(
        learning_rate=settings.learning_rate,
        max_iter=settings.max_iter,
        max_leaf_nodes=settings.max_leaf_nodes,
        early_stopping=True,
        n_iter_no_change=settings.patience,
        class_weight=settings.class_weight,
        random_state=settings.seed,
    ).fit(train.x, train.y, X_val=valid.x, y_val=valid.y, sample_weight_val=weight)
    # Private names, held to scikit-learn's own predictions by a test: it offers no public way to its trees.
    nodes = [predictors[0].nodes for predictors in model._predictors]
    return join(
        Tree(n["feature_idx"], n["num_threshold"], *_children(n), np.where(n["is_leaf"], n["value"], 0)) for n in nodes
    ) | {"baseline": np.asarray(model._baseline_prediction, np.float64).ravel()}


def _children(nodes: NDArray[np.void]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    left, right = (np.where(nodes["is_leaf"], -1, nodes[side].astype(np.int64)) for side in ("left", "right"))
    return left, right


def score(learnt: Learnt, x: NDArray[np.generic]) -> NDArray[np.float64]:
    """Return the probability (n,) for x (n, d)."""
    return sigmoid(total(learnt, x.astype(np.float64)) + learnt["baseline"])
