"""Curves: hand-made cases, scikit-learn's curves, and the law that a thinned curve shows the same picture."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve

from whence import curves
from whence.base.errors import InputError

ALL = 10**9
CLOSE = {"abs": 0.51e-6, "rel": 0}


def rows(n, share=0.5, separation=1.5, grid=None, seed=0):
    rng = np.random.default_rng(seed)
    positive = rng.random(n) < share
    positive[:2] = [False, True]
    score = 1 / (1 + np.exp(-rng.normal(separation * (positive - 0.5), 1)))
    return positive, score if grid is None else np.round(score * grid) / grid


def area(curve):
    return np.trapezoid(curve["tpr"], curve["fpr"])


# Pairs of class and score in eighths, both classes among them.
small = st.lists(st.tuples(st.booleans(), st.integers(0, 8)), min_size=2, max_size=40).filter(
    lambda pairs: len({p for p, _ in pairs}) == 2
)


class TestRoc:
    def test_by_hand(self):
        positive = np.array([True, False, True, True, False])
        got = curves.roc(positive, np.array([0.9, 0.8, 0.6, 0.4, 0.2]), ALL)
        # Up, right, up, up, right: the point at .6 lies inside the vertical stretch.
        assert got["fpr"].tolist() == [0, 0, 0.5, 0.5, 1]
        assert got["tpr"].tolist() == pytest.approx([0, 1 / 3, 1 / 3, 1, 1], **CLOSE)
        assert got["threshold"].tolist() == [1.000001, 0.9, 0.8, 0.4, 0.2]

    def test_slanted_stretches_are_one(self):
        # Every score holds one row of each class: the diagonal, whose ends say it all.
        got = curves.roc(np.array([True, False] * 5), np.repeat(np.arange(5) / 5, 2), ALL)
        assert {name: column.tolist() for name, column in got.items()} == {
            "fpr": [0, 1],
            "tpr": [0, 1],
            "threshold": [1.000001, 0],
        }

    @pytest.mark.parametrize("share", [0.5, 0.05])
    @pytest.mark.parametrize("grid", [None, 100, 3])
    def test_same_curve_as_scikit_learn(self, share, grid):
        positive, score = rows(2000, share, grid=grid)
        got = curves.roc(positive, score, ALL)
        fpr, tpr, threshold = sk.roc_curve(positive, score, drop_intermediate=False)
        ours = set(zip(*(column.tolist() for column in got.values()), strict=True))
        theirs = set(zip(fpr.round(6).tolist(), tpr.round(6).tolist(), threshold.round(6).tolist(), strict=True))
        assert ours - theirs == {(0, 0, curves.NOTHING_POSITIVE)}
        assert area(got) == pytest.approx(sk.roc_auc_score(positive, score), abs=1e-6)

    @given(small)
    @budget(max_examples=60, deadline=None)
    def test_no_point_is_inside_a_straight_stretch(self, pairs):
        positive, score = np.array([p for p, _ in pairs]), np.array([s for _, s in pairs]) / 8
        got = curves.roc(positive, score, ALL)
        assert area(got) == pytest.approx(sk.roc_auc_score(positive, score), abs=1e-5)
        turn = np.diff(got["fpr"])[:-1] * np.diff(got["tpr"])[1:] - np.diff(got["tpr"])[:-1] * np.diff(got["fpr"])[1:]
        assert (abs(turn) > 1e-3).all()  # in counts a turn is at least 1, so here at least 1 / (20 * 20)

    @pytest.mark.parametrize("separation", [0, 0.5, 1.5, 4, 6])
    @pytest.mark.parametrize("share", [0.5, 0.05])
    def test_thinned_to_200_points_keeps_the_area(self, separation, share):
        positive, score = rows(20_000, share, separation)
        got = curves.roc(positive, score, 200)
        assert len(got["fpr"]) <= 200
        assert area(got) == pytest.approx(sk.roc_auc_score(positive, score), abs=1e-3)

    @pytest.mark.parametrize(("flip", "expected"), [(False, [0, 0, 1]), (True, [0, 1, 1])])
    def test_perfect_and_reversed(self, flip, expected):
        positive = np.array([False, True] * 10)
        got = curves.roc(positive, (positive ^ flip).astype(float), 50)
        assert got["fpr"].tolist() == expected
        assert got["tpr"].tolist() == [1 - x for x in reversed(expected)]
        assert got["threshold"].tolist() == [1.000001, 1, 0]

    def test_constant(self):
        got = curves.roc(np.array([False, True]), np.array([0.5, 0.5]), 2)
        assert [got[name].tolist() for name in got] == [[0, 1], [0, 1], [1.000001, 0.5]]


class TestPrecisionRecall:
    def test_by_hand(self):
        positive = np.array([True, False, False, True, False])
        got = curves.precision_recall(positive, np.array([0.9, 0.8, 0.6, 0.4, 0.2]), ALL)
        # Precision after each row: 1/1, 1/2 (inside the fall at recall 1/2, left out), 1/3, 2/4, 2/5.
        assert got["recall"].tolist() == [0, 0.5, 0.5, 1, 1]
        assert got["precision"].tolist() == pytest.approx([1, 1, 1 / 3, 0.5, 0.4], **CLOSE)
        assert got["threshold"].tolist() == [1.000001, 0.9, 0.6, 0.4, 0.2]

    @pytest.mark.parametrize("grid", [None, 100, 3])
    def test_same_curve_as_scikit_learn(self, grid):
        positive, score = rows(2000, 0.2, grid=grid)
        got = curves.precision_recall(positive, score, ALL)
        precision, recall, _ = sk.precision_recall_curve(positive, score)
        ours = set(zip(got["recall"].tolist(), got["precision"].tolist(), strict=True))
        assert ours <= set(zip(recall.round(6).tolist(), precision.round(6).tolist(), strict=True))
        steps = np.diff(got["recall"]) @ got["precision"][1:]
        assert steps == pytest.approx(sk.average_precision_score(positive, score), abs=1e-4)

    @pytest.mark.parametrize("separation", [0, 1.5, 4])
    def test_thinned_keeps_the_area(self, separation):
        positive, score = rows(20_000, 0.3, separation)
        full, thin = (curves.precision_recall(positive, score, points) for points in (ALL, 200))
        areas = [np.trapezoid(curve["precision"], curve["recall"]) for curve in (full, thin)]
        assert len(thin["recall"]) <= 200
        assert areas[0] == pytest.approx(areas[1], abs=2e-3)

    def test_negative_first(self):
        got = curves.precision_recall(np.array([False, True]), np.array([0.9, 0.1]), ALL)
        assert [got[name].tolist() for name in ("recall", "precision")] == [[0, 0, 1], [1, 0, 0.5]]


@pytest.mark.parametrize("curve", [curves.roc, curves.precision_recall])
class TestBoth:
    @pytest.mark.parametrize("points", [2, 3, 10, 200, ALL])
    @pytest.mark.parametrize("grid", [None, 100, 2])
    def test_bounded_finite_rounded_monotone_with_both_ends(self, curve, points, grid):
        positive, score = rows(1500, 0.3, grid=grid)
        got, full = curve(positive, score, points), curve(positive, score, ALL)
        first, second, threshold = got.values()
        assert 2 <= len(first) == len(second) == len(threshold) <= points
        for name, column in got.items():
            assert np.isfinite(column).all()
            assert (column == column.round(6)).all()
            assert [column[0], column[-1]] == [full[name][0], full[name][-1]]
        assert (np.diff(first) >= 0).all()
        assert (np.diff(threshold) < 0).all()
        if curve is curves.roc:
            assert (np.diff(second) >= 0).all()

    @given(small, st.integers(2, 12))
    @budget(max_examples=60, deadline=None)
    def test_what_is_left_out_lies_within_one_step_of_what_is_kept(self, curve, pairs, points):
        positive, score = np.array([p for p, _ in pairs]), np.array([s for _, s in pairs]) / 8
        first, second, threshold = curve(positive, score, ALL).values()
        kept = np.isin(threshold, curve(positive, score, points)["threshold"])
        length = np.concatenate([[0], np.hypot(np.diff(first), np.diff(second)).cumsum()])
        assert kept.sum() <= points
        assert kept[[0, -1]].all()
        distance = abs(length[:, None] - length[kept]).min(axis=1)
        assert (distance <= length[-1] / (points - 1) + 1e-4).all()

    def test_each_point_is_what_its_threshold_gives(self, curve):
        positive, score = rows(800, 0.3, grid=1000)  # three decimals: rounding leaves the thresholds alone
        got = curve(positive, score, 60)
        for x, y, threshold in zip(*got.values(), strict=True):
            (tn, fp), (fn, tp) = curves.confusion(positive, score >= threshold)
            recall, precision = tp / (tp + fn), tp / (tp + fp) if tp + fp else 1
            expected = (fp / (fp + tn), recall) if curve is curves.roc else (recall, precision)
            assert (x, y) == pytest.approx(expected, **CLOSE)

    def test_order_of_rows_changes_nothing(self, curve):
        positive, score = rows(500, grid=60)
        order = np.random.default_rng(0).permutation(500)
        got, again = curve(positive, score, 30), curve(positive[order], score[order], 30)
        assert all((got[name] == again[name]).all() for name in got)

    @pytest.mark.parametrize("points", [-1, 0, 1])
    def test_fewer_than_two_points_are_refused(self, curve, points):
        with pytest.raises(InputError, match=f"points: got {points}, expected at least 2"):
            curve(*rows(10), points)

    @pytest.mark.parametrize(
        ("positive", "score"),
        [([True, True], [0.1, 0.2]), ([True, False], [0.1, math.nan]), ([True, False], [0.1, 2]), ([True], [0.1, 0.2])],
    )
    def test_bad_rows_are_refused(self, curve, positive, score):
        with pytest.raises(InputError):
            curve(np.array(positive), np.array(score), 10)


class TestReliability:
    def test_by_hand(self):
        positive = np.array([False, True, False, True, True])
        got = curves.reliability(positive, np.array([0.0, 0.1, 0.2, 0.85, 1.0]), 5)
        # (0, .2] holds three rows, one positive; (.8, 1] holds two; the three between are empty.
        assert {name: column.tolist() for name, column in got.items()} == {
            "centre": [0.1, 0.9],
            "mean_score": [0.1, 0.925],
            "observed": [0.333333, 1],
            "count": [3, 2],
        }
        assert got["count"].dtype == np.int64

    def test_equals_scikit_learn(self):
        positive, score = rows(3000, 0.3)  # no ties and none on an edge, where the two conventions differ
        got = curves.reliability(positive, score, 15)
        observed, mean = calibration_curve(positive, score, n_bins=15)
        assert got["observed"] == pytest.approx(observed, **CLOSE)
        assert got["mean_score"] == pytest.approx(mean, **CLOSE)

    @given(small, st.integers(1, 20))
    @budget(max_examples=60, deadline=None)
    def test_bins_add_up_to_the_whole(self, pairs, bins):
        positive, score = np.array([p for p, _ in pairs]), np.array([s for _, s in pairs]) / 8
        got = curves.reliability(positive, score, bins)
        assert got["count"].sum() == len(pairs)
        assert (got["count"] > 0).all()
        assert got["count"] @ got["observed"] == pytest.approx(positive.sum(), abs=1e-4)
        assert got["count"] @ got["mean_score"] == pytest.approx(score.sum(), abs=1e-4)
        assert (abs(got["mean_score"] - got["centre"]) <= 0.5 / bins + 2e-6).all()

    def test_no_bins_are_refused(self):
        with pytest.raises(InputError, match="bins: got 0"):
            curves.reliability(*rows(10), 0)


class TestConfusion:
    def test_by_hand(self):
        got = curves.confusion(np.array([True, True, True, False, False]), np.array([True, True, False, True, False]))
        assert got.tolist() == [[1, 1], [1, 2]]
        assert got.dtype == np.int64

    def test_equals_scikit_learn(self):
        positive, score = rows(500)
        assert (curves.confusion(positive, score >= 0.5) == sk.confusion_matrix(positive, score >= 0.5)).all()

    def test_all_of_one_kind_is_still_two_by_two(self):
        assert curves.confusion(np.zeros(3, bool), np.zeros(3, bool)).tolist() == [[3, 0], [0, 0]]

    def test_other_lengths_are_refused(self):
        with pytest.raises(InputError, match=r"positive \(3,\) and predicted \(2,\)"):
            curves.confusion(np.zeros(3, bool), np.zeros(2, bool))
