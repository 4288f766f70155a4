"""Scores made honest on valid: one temperature for the log odds, and thresholds other than a half.

`positive` (N,) bool is the truth, `score` (N,) in [0, 1] the probability of the positive class.
"""

import numpy as np
from numpy.typing import NDArray

from whence import metrics, temperatures
from whence.curves import sweep

Floats = NDArray[np.float64]
Truth = NDArray[np.bool_]


def temperature(positive: Truth, score: Floats) -> float:
    """Return the temperature whose `cooled` scores have the lowest log loss; raises InputError as `metrics.check`."""
    metrics.check(positive, score)
    return temperatures.fitted(positive.astype(np.int64), _both(score))


def cooled(score: Floats, by: float) -> Floats:
    """Return scores (N,) whose log odds are divided by a temperature: above 1 they move towards a half."""
    return temperatures.cooled(_both(score), by)[:, 1]


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


def _both(score: Floats) -> Floats:
    """Return (N, 2) the probabilities of both classes."""
    return np.stack([1 - score, score], axis=1)
