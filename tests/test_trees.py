"""Trees are followed as they were grown, and only if every walk ends."""

import numpy as np
import pytest
from scipy.special import expit

from whence.estimators.classical import trees
from whence.estimators.classical.trees import Tree


def test_sigmoid_is_scipys():
    logit = np.concatenate([np.linspace(-40, 40, 1001), [-1e308, -750.0, 0.0, 750.0, 1e308]])
    with np.errstate(all="raise", under="ignore"):
        got = trees.sigmoid(logit)
    np.testing.assert_allclose(got, expit(logit), rtol=1e-14)
    assert got[-5] == 0
    assert got[-1] == 1
    np.testing.assert_allclose(got + trees.sigmoid(-logit), 1, rtol=1e-15)


def stump(feature, threshold, low, high):
    return Tree(*map(np.array, ([feature, 0, 0], [threshold, 0, 0], [1, -1, -1], [2, -1, -1], [9, low, high])))


def test_a_stump_by_hand():
    learnt = trees.join([stump(1, 0.5, 10, 20)])
    x = np.array([[9, 0.4], [9, 0.5], [9, np.nextafter(0.5, 1)], [-9, 0.6]])
    assert trees.total(learnt, x).tolist() == [10, 10, 20, 20]


def test_trees_of_different_depths_by_hand():
    # The middle one is a lone leaf; the last asks twice.
    leaf = Tree(*map(np.array, ([-2], [-2.0], [-1], [-1], [0.25])))
    deep = Tree(
        *map(np.array, ([0, -2, 1, -2, -2], [0.0, 0, 0, 0, 0], [1, -1, 3, -1, -1], [2, -1, 4, -1, -1], [0, 1, 0, 2, 4]))
    )
    learnt = trees.join([stump(0, 1, 100, 200), leaf, deep])
    assert learnt["roots"].tolist() == [0, 3, 4]
    x = np.array([[-1, -1], [0.5, -1], [0.5, 1], [2, 1]])
    assert trees.total(learnt, x).tolist() == [101.25, 102.25, 104.25, 204.25]


@pytest.mark.parametrize("n", [0, 1, trees.BLOCK - 1, trees.BLOCK, trees.BLOCK + 1, 3 * trees.BLOCK])
def test_any_number_of_rows(n):
    x = np.random.default_rng(0).random((n, 2))
    got = trees.total(trees.join([stump(1, 0.5, 1, 2), stump(0, 0.25, 10, 20)]), x)
    assert got.tolist() == (np.where(x[:, 1] <= 0.5, 1, 2) + np.where(x[:, 0] <= 0.25, 10, 20)).tolist()


def test_trees_take_a_generator():
    assert trees.join(stump(0, k, 0, 1) for k in range(3))["roots"].tolist() == [0, 3, 6]


def pair():
    """Two trees of five and three nodes, on two features."""
    deep = Tree(*map(np.array, ([0, 0, 1, 0, 0], [0.0] * 5, [1, -1, 3, -1, -1], [2, -1, 4, -1, -1], [0, 1, 0, 2, 4])))
    return trees.join([deep, stump(1, 0.5, 10, 20)])


def changed(name, place, value):
    learnt = pair()
    learnt[name][place] = value
    return learnt


def test_the_pair_is_sound():
    assert trees.total(pair(), np.array([[1, 1]])).tolist() == [24]


@pytest.mark.parametrize(
    ("name", "place", "value"),
    [
        ("feature", 0, 2),
        ("feature", 0, -1),
        ("left", 0, 8),
        ("left", 2, 0),  # back to the root: the walk would never end
        ("right", 2, 1),
        ("right", 4, -1),
        ("left", 6, 5),
        ("roots", 1, 8),
        ("roots", 0, -1),
        ("right", 0, np.iinfo(np.int32).max),
    ],
)
def test_numbers_that_lead_out_or_back_are_refused(name, place, value):
    with pytest.raises(ValueError, match=f"{name}: leads out of the trees, or back"):
        trees.total(changed(name, place, value), np.ones((3, 2)))


@pytest.mark.parametrize("name", ["feature", "threshold", "left", "right", "value", "roots"])
@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.uint32, np.bool_])
def test_another_dtype_is_refused(name, dtype):
    with pytest.raises(ValueError, match=f"{name}: {np.dtype(dtype)}"):
        trees.total(pair() | {name: pair()[name].astype(dtype)}, np.ones((3, 2)))


@pytest.mark.parametrize("name", ["feature", "threshold", "left", "right", "value", "roots"])
@pytest.mark.parametrize("shape", ["short", "column", "number"])
def test_another_shape_is_refused(name, shape):
    array = pair()[name]
    wrong = {"short": array[:-1], "column": array[:, None], "number": array[0, ...]}[shape]
    if (name, shape) == ("roots", "short"):
        assert trees.total(pair() | {name: wrong}, np.ones((1, 2))).tolist() == [4]
        return
    with pytest.raises(ValueError, match="among trees of"):
        trees.total(pair() | {name: wrong}, np.ones((3, 2)))


def test_what_is_refused_is_refused_without_rows_too():
    with pytest.raises(ValueError, match="left"):
        trees.total(changed("left", 2, 0), np.ones((0, 2)))


def test_no_trees_say_nothing():
    learnt = pair() | {"roots": np.zeros(0, np.int32)}
    assert trees.total(learnt, np.ones((3, 2))).tolist() == [0, 0, 0]
