"""Neighbours by worked examples and against scikit-learn; maps by what they keep."""

import numpy as np
import pytest
from sklearn.metrics import pairwise_distances
from threadpoolctl import threadpool_limits

from whence import neighbours


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    with threadpool_limits(1):
        yield


def clouds(count=40, apart=20.0, d=8, seed=0):
    """Three clouds of points, and which is whose."""
    rng = np.random.default_rng(seed)
    label = np.repeat(["a", "b", "c"], count)
    return rng.normal(0, 1, (3 * count, d)) + apart * np.eye(3, d).repeat(count, 0), label


class TestPurity:
    def test_a_line_by_hand(self):
        # Of 0 1 2 | 10 11 12 the middle ones have two neighbours of their own, the odd one out has two of the others.
        x = np.array([[0.0], [1.0], [2.0], [10.0], [11.0], [12.0]])
        assert neighbours.purity(x, np.array(list("aaabbb")), 2) == 1
        assert neighbours.purity(x, np.array(list("abaccc")), 2) == pytest.approx(5 / 6)

    def test_a_point_is_not_its_own_neighbour(self):
        x, names = np.arange(6.0)[:, None], np.array(list("ababab"))
        assert neighbours.purity(x, names, 1) == 0

    def test_clouds_far_apart_are_pure_and_shuffled_names_are_not(self):
        x, label = clouds()
        assert neighbours.purity(x, label, 5) == 1
        assert neighbours.purity(x, np.random.default_rng(0).permutation(label), 5) < 0.55


class TestTrustworthiness:
    def test_the_space_itself_is_trusted_and_a_shuffle_is_not(self):
        x, _ = clouds()
        assert neighbours.trustworthiness(x, x[:, ::-1], 5) == 1
        assert neighbours.trustworthiness(x, np.random.default_rng(0).permutation(x), 5) < 0.7


class TestReduced:
    def test_units_do_not_matter_and_a_column_without_variance_says_nothing(self):
        x, _ = clouds()
        scaled = np.concatenate([x * np.arange(1, 9) + 100, np.full((len(x), 1), 3.0)], 1)
        np.testing.assert_allclose(neighbours.reduced(scaled, 50)[:, :8], neighbours.reduced(x, 50), atol=1e-4)

    def test_as_many_components_as_there_are_keep_every_distance(self):
        rng = np.random.default_rng(0)
        x = rng.normal(size=(30, 4)) @ rng.normal(size=(4, 60))
        few, all_ = neighbours.reduced(x, 4), neighbours.reduced(x, 60)
        assert few.shape == (30, 4)
        assert all_.dtype == np.float32
        np.testing.assert_allclose(pairwise_distances(few), pairwise_distances(all_), rtol=1e-3, atol=1e-3)

    def test_images_are_rows_of_pixels(self):
        x = np.random.default_rng(0).integers(0, 256, (20, 4, 4, 3), np.uint8)
        np.testing.assert_array_equal(neighbours.reduced(x, 5), neighbours.reduced(x.reshape(20, -1), 5))


class TestMap:
    @pytest.mark.parametrize("dimensions", [2, 3])
    def test_it_keeps_clouds_apart_and_the_same_seed_draws_the_same(self, dimensions):
        x, label = clouds()
        x = neighbours.reduced(x, 50)
        drawn = neighbours.tsne(x, dimensions, 10.0, 0)
        assert drawn.shape == (120, dimensions)
        assert neighbours.purity(drawn, label, 5) == 1
        assert neighbours.trustworthiness(x, drawn, 5) > 0.8
        assert drawn.tobytes() == neighbours.tsne(x, dimensions, 10.0, 0).tobytes()
