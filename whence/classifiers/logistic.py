"""Logistic regression on standardised features: the linear yardstick."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from whence.base.settings import Section
from whence.estimators.classical.trees import sigmoid
from whence.models import Learnt
from whence.table.rows import Rows


class Settings(Section):
    """Section train.logistic."""

    C: float = Field(gt=0)
    class_weight: Literal["balanced"] | None
    max_iter: int = Field(ge=1)


def fit(train: Rows, valid: Rows, settings: Settings) -> Learnt:
    """Learn mean and scale of each feature, a weight for each, and the intercept; the valid rows are not needed."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler(copy=False)  # in place: wide features are large
    model = LogisticRegression(C=settings.C, class_weight=settings.class_weight, max_iter=settings.max_iter)
    model.fit(scaler.fit_transform(train.x.astype(np.float64)), train.y)
    return {"mean": scaler.mean_, "scale": scaler.scale_, "weights": model.coef_[0], "intercept": model.intercept_}


def score(learnt: Learnt, x: NDArray[np.generic]) -> NDArray[np.float64]:
    """Return the probability (n,) for x (n, d)."""
    standardised = (x.astype(np.float64) - learnt["mean"]) / learnt["scale"]
    # A sum per row, not a matrix product: BLAS rounds a row differently in batches of different length.
    return sigmoid((standardised * learnt["weights"]).sum(axis=1) + learnt["intercept"])
