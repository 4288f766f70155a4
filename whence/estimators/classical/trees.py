"""Decision trees as arrays: read off scikit-learn's once, then followed with NumPy alone.

A saved forest needs no scikit-learn, whose import costs more than a second.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from whence.models import Learnt

BLOCK = 1024
"""Rows that follow trees at once: with a hundred trees a megabyte of positions."""


def sigmoid(logit: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1 / (1 + exp(-logit)), without overflow at either end."""
    small = np.exp(-np.abs(logit))
    return np.asarray(np.where(logit >= 0, 1, small) / (1 + small))


class Tree(NamedTuple):
    """One tree, an entry per node; children count from the tree's own root, node 0; leaves are where left < 0."""

    feature: NDArray[np.int64]
    threshold: NDArray[np.float64]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    value: NDArray[np.float64]


def join(trees: Iterable[Tree]) -> Learnt:
    """Return arrays for `total`: the nodes of all trees in a row, a leaf being its own child, and the roots."""
    grown = list(trees)
    sizes = [len(tree.value) for tree in grown]
    roots = np.cumsum([0, *sizes[:-1]])
    nodes: dict[str, list[NDArray[Any]]] = {"feature": [], "threshold": [], "left": [], "right": [], "value": []}
    for root, tree in zip(roots, grown, strict=True):
        leaf, self_ = tree.left < 0, np.arange(len(tree.value))
        nodes["feature"].append(np.where(leaf, 0, tree.feature).astype(np.int32))
        nodes["threshold"].append(tree.threshold.astype(np.float64))
        nodes["left"].append((root + np.where(leaf, self_, tree.left)).astype(np.int32))
        nodes["right"].append((root + np.where(leaf, self_, tree.right)).astype(np.int32))
        nodes["value"].append(tree.value.astype(np.float64))
    return {name: np.concatenate(parts) for name, parts in nodes.items()} | {"roots": roots.astype(np.int32)}


def total(learnt: Learnt, x: NDArray[Any]) -> NDArray[np.float64]:
    """Return (n,) the sum over all trees of the value of the leaf where each row of x (n, d) ends.

    A row goes left where x[feature] <= threshold, as in scikit-learn. Raises ValueError if these are no trees on x.
    """
    _check(learnt, x.shape[1])
    blocks = [_total(learnt, x[start : start + BLOCK]) for start in range(0, len(x), BLOCK)]
    return np.concatenate(blocks) if blocks else np.zeros(0)


def _check(learnt: Learnt, features: int) -> None:
    """Raise ValueError unless every number leads somewhere and no child stands before its parent: then walks end."""
    nodes = learnt["value"].size
    here = np.arange(nodes)
    numbers = {"feature": (0, features), "left": (here, nodes), "right": (here, nodes), "roots": (0, nodes)}
    for name, dtype in {"threshold": np.float64, "value": np.float64, **dict.fromkeys(numbers, np.int32)}.items():
        array = learnt[name]
        if array.dtype != dtype or array.shape != (array.size if name == "roots" else nodes,):
            raise ValueError(f"{name}: {array.dtype} {array.shape} among trees of {nodes} nodes")
    for name, (least, end) in numbers.items():
        if ((learnt[name] < least) | (learnt[name] >= end)).any():
            raise ValueError(f"{name}: leads out of the trees, or back")


def _total(learnt: Learnt, x: NDArray[Any]) -> NDArray[np.float64]:
    feature, threshold, left, right = (learnt[name] for name in ("feature", "threshold", "left", "right"))
    rows = np.arange(len(x))[:, None]
    node = np.repeat(learnt["roots"][None, :], len(x), axis=0)
    while True:
        follow = np.where(x[rows, feature[node]] <= threshold[node], left[node], right[node])
        if np.array_equal(follow, node):
            return np.asarray(learnt["value"][node].sum(axis=1), np.float64)
        node = follow
