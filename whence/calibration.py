"""Scores made honest on valid: one temperature for the log odds, and thresholds other than a half.

`positive` (N,) bool is the truth, `score` (N,) in [0, 1] the probability of the positive class.
"""

import math

import numpy as np
from numpy.typing import NDArray

from whence import metrics
from whence.curves import sweep

Floats = NDArray[np.float64]
Truth = NDArray[np.bool_]

COLDEST, HOTTEST = 1 / 20, 20.0
"""Temperatures are sought between these: where valid has no error, none is the best."""
EDGE = 1e-7
"""Scores are kept as far from 0 and 1, whose log odds have no end."""
STEPS = 60
"""Halvings of the range of temperatures: more than float64 can tell apart."""


def temperature(positive: Truth, score: Floats) -> float:
    """Return the temperature T whose `cooled` scores have the lowest log loss (Guo et al. 2017, arXiv 1706.04599).

    The loss is convex in 1/T, so that its slope changes sign once. Raises InputError as `metrics.check` does.
    """
    metrics.check(positive, score)
    odds = _log_odds(score)
    low, high = math.log(1 / HOTTEST), math.log(1 / COLDEST)
    for _ in range(STEPS):
        middle = (low + high) / 2
        if float((odds * (_sigmoid(math.exp(middle) * odds) - positive)).sum()) > 0:
            high = middle
        else:
            low = middle
    return math.exp(-(low + high) / 2)


def cooled(score: Floats, by: float) -> Floats:
    """Return scores (N,) whose log odds are divided by a temperature: above 1 they move towards a half."""
    return _sigmoid(_log_odds(score) / by)


def youden(positive: Truth, score: Floats) -> float:
    """Return the threshold with the largest true less false positive rate (Youden 1950), of equals the highest."""
    fp, tp, threshold = sweep(positive, score)
    return float(threshold[np.argmax(tp / tp[-1] - fp / fp[-1])])


def at_most(positive: Truth, score: Floats, rate: float) -> float:
    """Return the lowest threshold at which the false positive rate is at most `rate`, above every score if need be."""
    fp, _, threshold = sweep(positive, score)
    return float(threshold[np.flatnonzero(fp <= rate * fp[-1])[-1]])


def operating(positive: Truth, score: Floats, threshold: float) -> dict[str, float]:
    """Return what a threshold does: true and false positive rate, balanced accuracy."""
    predicted = score >= threshold
    true, false = float(predicted[positive].mean()), float(predicted[~positive].mean())
    return {"true_positive_rate": true, "false_positive_rate": false, "balanced_accuracy": (1 + true - false) / 2}


def _log_odds(score: Floats) -> Floats:
    inside = score.clip(EDGE, 1 - EDGE)
    return np.asarray(np.log(inside) - np.log1p(-inside))


def _sigmoid(z: Floats) -> Floats:
    return np.asarray(0.5 + 0.5 * np.tanh(z / 2))
