"""Distances by hand, against scikit-learn, and by what must not change them."""

import numpy as np
import pytest
from sklearn.metrics import pairwise_distances
from sklearn.neighbors import NearestCentroid, NearestNeighbors
from threadpoolctl import threadpool_limits

from whence import distances

LINE = np.array([[0.0], [2.0], [10.0], [14.0]])
LINE_CODE = np.array([0, 0, 1, 1])


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    with threadpool_limits(1):
        yield


def clouds(n=40, m=150, d=7, seed=0):
    """Rows, others, and which of three classes each of the others has."""
    rng = np.random.default_rng(seed)
    code = np.arange(m) % 3
    return rng.normal(0, 2, (n, d)), rng.normal(0, 1, (m, d)) + 3 * np.eye(3, d)[code], code


def everything(x, others, code, k=5):
    """All that the module says of x among the others, in the unit of that space."""
    centres = distances.centroids(others, code, 3)
    unit = distances.spread(others, code, centres)
    near = distances.near(x, others, code, 3, k)
    lengths = (distances.to_points(x, centres), near.mean, near.by_class)
    return [*(length / unit for length in lengths), near.share]


def rotation(d, seed=1):
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(d, d)))[0]


class TestByHand:
    def test_a_line(self):
        centres = distances.centroids(LINE, LINE_CODE, 2)
        assert centres.tolist() == [[1], [12]]
        assert distances.spread(LINE, LINE_CODE, centres) == pytest.approx(np.sqrt((1 + 1 + 4 + 4) / 4))
        assert distances.to_points(np.array([[4.0], [12.0]]), centres).tolist() == [[3, 8], [11, 0]]

    def test_the_neighbours_on_a_line(self):
        near = distances.near(np.array([[5.0], [7.0]]), LINE, LINE_CODE, 2, 2)
        # Of 0 2 | 10 14 those nearest to 5 are 2 and either of 0 and 10, of which the first class counts as nearer.
        np.testing.assert_allclose(near.by_class, [[4, 7], [6, 5]])
        np.testing.assert_allclose(near.mean, [4, 4])
        assert near.share.tolist() == [[1, 0], [0.5, 0.5]]

    def test_three_four_five(self):
        assert distances.to_points(np.array([[3, 4]], np.uint8), np.zeros((1, 2))).tolist() == [[5]]
        np.testing.assert_allclose(distances.nearest(np.array([[3.0, 4]]), np.zeros((2, 2)), 2), [[5, 5]])

    def test_rows_all_alike_have_no_spread(self):
        x = np.full((6, 3), 7, np.float32)
        code = np.arange(6) % 2
        assert distances.spread(x, code, distances.centroids(x, code, 2)) == 0
        assert distances.nearest(x, x, 2).tolist() == [[0, 0]] * 6


class TestAgainstBruteForce:
    def test_centroids(self):
        _, others, code = clouds()
        wanted = NearestCentroid().fit(others, code).centroids_
        np.testing.assert_allclose(distances.centroids(others, code, 3), wanted)

    def test_distances_to_points(self):
        x, others, _ = clouds()
        np.testing.assert_allclose(distances.to_points(x, others), pairwise_distances(x, others))

    @pytest.mark.parametrize("k", [1, 5, 150])
    def test_nearest(self, k):
        x, others, _ = clouds()
        wanted, _ = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(others).kneighbors(x)
        np.testing.assert_allclose(distances.nearest(x, others, k), wanted)

    def test_the_neighbours_of_all_and_of_each_class(self):
        x, others, code = clouds()
        near = distances.near(x, others, code, 3, 6)
        wanted, index = NearestNeighbors(n_neighbors=6).fit(others).kneighbors(x)
        np.testing.assert_allclose(near.mean, wanted.mean(1))
        np.testing.assert_allclose(near.share, [np.bincount(code[row], minlength=3) / 6 for row in index])
        for c in range(3):
            np.testing.assert_allclose(near.by_class[:, c], distances.nearest(x, others[code == c], 6).mean(1))


class TestLaws:
    @pytest.mark.parametrize(
        "change",
        [lambda x: x + 1000, lambda x: x @ rotation(7), lambda x: 1e-3 * x, lambda x: -x, lambda x: 5 * x[:, ::-1] - 2],
        ids=["moved", "rotated", "shrunk", "mirrored", "all"],
    )
    def test_neither_place_nor_direction_nor_unit_of_a_space_matters(self, change):
        x, others, code = clouds()
        for found, wanted in zip(everything(change(x), change(others), code), everything(x, others, code), strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-9)

    @pytest.mark.parametrize("block", [1, 7, 40, 149, 150])
    def test_blocks_give_what_one_gives(self, block, monkeypatch):
        x, others, code = clouds()
        wanted = everything(x, others, code)
        monkeypatch.setattr(distances, "BLOCK", block)
        for found, one in zip(everything(x, others, code), wanted, strict=True):
            np.testing.assert_allclose(found, one, rtol=1e-12)

    def test_far_from_the_origin_small_distances_are_kept(self):
        x, others, _ = clouds()
        far = 1e6 + np.float32(2**-3) * np.round(8 * x), 1e6 + np.float32(2**-3) * np.round(8 * others)
        wanted, _ = NearestNeighbors(n_neighbors=3, algorithm="kd_tree").fit(far[1]).kneighbors(far[0])
        np.testing.assert_allclose(distances.nearest(*far, 3), wanted, rtol=1e-12)

    def test_a_copy_of_a_row_is_nothing_away(self):
        _, others, _ = clouds()
        assert distances.nearest(others, others, 1).max() < 1e-6

    def test_the_order_of_the_others_does_not_matter(self):
        x, others, code = clouds()
        order = np.random.default_rng(2).permutation(len(others))
        for found, wanted in zip(everything(x, others[order], code[order]), everything(x, others, code), strict=True):
            np.testing.assert_allclose(found, wanted)

    def test_images_are_rows_of_pixels_and_whole_numbers_do_not_wrap_around(self):
        x = np.random.default_rng(0).integers(0, 256, (60, 4, 4, 3), np.uint8)
        code, flat = np.arange(60) % 3, x.reshape(60, -1).astype(np.float64)
        for found, wanted in zip(everything(x[:9], x, code), everything(flat[:9], flat, code), strict=True):
            np.testing.assert_array_equal(found, wanted)

    def test_of_no_rows_nothing_is_said(self):
        _, others, code = clouds()
        shapes = [found.shape for found in everything(others[:0].astype(np.float32), others, code)]
        assert shapes == [(0, 3), (0,), (0, 3), (0, 3)]

    def test_shares_are_of_one_whole_and_distances_rise(self):
        x, others, code = clouds()
        near = distances.near(x, others, code, 3, 5)
        np.testing.assert_allclose(near.share.sum(1), 1)
        assert (near.mean <= near.by_class.min(1) + 1e-12).all()
        assert (np.diff(distances.nearest(x, others, 9), axis=1) >= 0).all()
