"""Metrics: values by hand, scikit-learn's definitions, closed forms, invariances, and the laws of the interval."""

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st
from sklearn import metrics as sk

from whence import metrics
from whence.base.errors import InputError
from whence.base.settings import check

QUICK = metrics.Settings(resamples=0, confidence=0.95, ece_bins=15, seed=0)
CLOSE = {"abs": 0.51 * 10**-metrics.DECIMALS, "rel": 0}
REFERENCE = {
    "accuracy": lambda y, p: sk.accuracy_score(y, p >= 0.5),
    "balanced_accuracy": lambda y, p: sk.balanced_accuracy_score(y, p >= 0.5),
    "precision": lambda y, p: sk.precision_score(y, p >= 0.5, zero_division=0),
    "recall": lambda y, p: sk.recall_score(y, p >= 0.5, zero_division=0),
    "f1": lambda y, p: sk.f1_score(y, p >= 0.5, zero_division=0),
    "mcc": lambda y, p: sk.matthews_corrcoef(y, p >= 0.5),
    "roc_auc": sk.roc_auc_score,
    "average_precision": sk.average_precision_score,
    "log_loss": lambda y, p: sk.log_loss(y, p, labels=[False, True]),
    "brier": sk.brier_score_loss,
    "ece": lambda y, p: naive_ece(y, p, QUICK.ece_bins),
}


# Pairs of class and score in eighths, both classes among them.
small = st.lists(st.tuples(st.booleans(), st.integers(0, 8)), min_size=2, max_size=30).filter(
    lambda pairs: len({p for p, _ in pairs}) == 2
)


def naive_ece(positive, score, bins):
    """The formula of Guo et al. 2017, word for word: the bins are ((m - 1) / M, m / M]."""
    confidence, correct = np.maximum(score, 1 - score), (score >= 0.5) == positive
    error = 0.0
    for m in range(1, bins + 1):
        inside = (confidence > (m - 1) / bins) & (confidence <= m / bins)
        if inside.any():
            error += inside.mean() * abs(correct[inside].mean() - confidence[inside].mean())
    return error


def rows(n, share=0.5, separation=1.5, grid=None, seed=0):
    """Draw classes and scores; a grid rounds the scores to so many steps, which makes ties."""
    rng = np.random.default_rng(seed)
    positive = rng.random(n) < share
    positive[:2] = [False, True]
    score = 1 / (1 + np.exp(-rng.normal(separation * (positive - 0.5), 1)))
    return positive, score if grid is None else np.round(score * grid) / grid


def seeds(n=400, members=3, **changes):
    """Draw classes (N,) and the scores of several members (S, N), which agree in part."""
    positive, score = rows(n, **changes)
    noise = np.random.default_rng(99).normal(0, 0.2, (members, n))
    return positive, np.clip(score + noise, 0, 1).round(2)


def bootstrap(resamples=200, **changes):
    return QUICK.model_copy(update={"resamples": resamples, **changes})


def width(summary, name):
    return summary[f"{name}_hi"] - summary[f"{name}_lo"]


class TestValues:
    def test_by_hand(self):
        positive = np.array([True, False, True, True, False])
        score = np.array([0.9, 0.8, 0.6, 0.4, 0.2])
        got = metrics.summarise(positive, score, QUICK)
        # Predicted positive: .9 .8 .6, so TP 2, FP 1, FN 1, TN 1.
        assert (got["n"], got["n_positive"]) == (5, 3)
        assert got["accuracy"] == 0.6
        assert got["balanced_accuracy"] == pytest.approx((2 / 3 + 1 / 2) / 2, **CLOSE)
        assert got["precision"] == got["recall"] == got["f1"] == pytest.approx(2 / 3, **CLOSE)
        assert got["mcc"] == pytest.approx((2 * 1 - 1 * 1) / math.sqrt(3 * 3 * 2 * 2), **CLOSE)
        # Of 6 pairs: .9 beats both negatives, .6 and .4 beat .2 only: 4 of 6.
        assert got["roc_auc"] == pytest.approx(4 / 6, **CLOSE)
        # Precision at each positive: 1/1, 2/3, 3/4.
        assert got["average_precision"] == pytest.approx((1 + 2 / 3 + 3 / 4) / 3, **CLOSE)
        assert got["log_loss"] == pytest.approx(-math.log(0.9 * 0.2 * 0.6 * 0.4 * 0.8) / 5, **CLOSE)
        assert got["brier"] == pytest.approx((0.01 + 0.64 + 0.16 + 0.36 + 0.04) / 5, **CLOSE)
        # Confidence, by bins of 1/15: one row at .9, right; two at .8 and two at .6, of which one is right each time.
        assert got["ece"] == pytest.approx((abs(1 - 0.9) + abs(1 - 1.6) + abs(1 - 1.2)) / 5, **CLOSE)

    def test_ties_by_hand(self):
        # One positive above, one positive and one negative tied below: pairs 1 + 1/2 of 2; steps 1/2 * 1 + 1/2 * 2/3.
        got = metrics.summarise(np.array([True, True, False]), np.array([0.9, 0.3, 0.3]), QUICK)
        assert got["roc_auc"] == 0.75
        assert got["average_precision"] == pytest.approx(1 / 2 + 1 / 3, **CLOSE)

    @pytest.mark.parametrize("share", [0.5, 0.02, 0.97])
    @pytest.mark.parametrize("grid", [None, 1000, 20, 2])
    def test_equal_scikit_learn(self, share, grid):
        positive, score = rows(3000, share, grid=grid)
        got = metrics.summarise(positive, score, QUICK)
        for name, reference in REFERENCE.items():
            assert got[name] == pytest.approx(reference(positive, score), **CLOSE), name

    @given(small)
    @budget(max_examples=100, deadline=None)
    def test_equal_scikit_learn_on_any_small_case(self, pairs):
        positive, score = np.array([p for p, _ in pairs]), np.array([s for _, s in pairs]) / 8
        got = metrics.summarise(positive, score, QUICK)
        for name, reference in REFERENCE.items():
            assert got[name] == pytest.approx(reference(positive, score), **CLOSE), name

    def test_perfect(self):
        positive = np.array([False, True] * 10)
        got = metrics.summarise(positive, positive.astype(float), QUICK)
        assert {got[name] for name in metrics.NAMES[:8]} == {1.0}
        assert {got[name] for name in metrics.NAMES[8:]} == {0.0}

    def test_reversed(self):
        positive = np.array([False, True] * 10)
        got = metrics.summarise(positive, (~positive).astype(float), QUICK)
        assert [got[name] for name in ("accuracy", "recall", "f1", "mcc", "roc_auc")] == [0, 0, 0, -1, 0]
        assert got["average_precision"] == got["balanced_accuracy"] + 0.5 == 0.5
        assert (got["brier"], got["ece"]) == (1, 1)
        assert got["log_loss"] == pytest.approx(-math.log(np.finfo(np.float64).eps), **CLOSE)

    @pytest.mark.parametrize("share", [0.5, 0.2])
    def test_constant_half(self, share):
        positive = np.arange(100) < 100 * share
        got = metrics.summarise(positive, np.full(100, 0.5), QUICK)
        assert got["log_loss"] == pytest.approx(math.log(2), **CLOSE)
        assert (got["brier"], got["roc_auc"], got["mcc"], got["balanced_accuracy"]) == (0.25, 0.5, 0, 0.5)
        assert (got["average_precision"], got["precision"], got["recall"]) == (share, share, 1)
        assert got["ece"] == pytest.approx(0.5 - share, **CLOSE)

    def test_no_predicted_positive_is_zero_not_undefined(self):
        got = metrics.summarise(np.array([True, False]), np.array([0.3, 0.2]), bootstrap(50))
        assert [got[name] for name in ("precision", "recall", "f1", "mcc", "precision_hi")] == [0] * 5

    def test_calibrated_scores_have_little_error(self):
        rng = np.random.default_rng(0)
        score = rng.random(50_000)
        got = metrics.summarise(rng.random(50_000) < score, score, QUICK)
        assert got["ece"] < 0.01
        assert got["brier"] == pytest.approx(1 / 6, abs=0.005)  # the mean of p (1 - p)
        assert got["roc_auc"] == pytest.approx(5 / 6, abs=0.005)

    def test_one_bin_is_the_gap_of_the_means(self):
        positive, score = rows(500)
        got = metrics.summarise(positive, score, bootstrap(0, ece_bins=1))
        confidence = np.maximum(score, 1 - score).mean()
        assert got["ece"] == pytest.approx(abs(got["accuracy"] - confidence), abs=2e-6)

    def test_bins_are_closed_on_the_right(self):
        assert metrics.bin_of(np.array([0, 0.1, 0.2, 0.2000001, 0.6, 0.99, 1]), 5).tolist() == [0, 0, 0, 1, 2, 4, 4]


class TestInvariances:
    @pytest.mark.parametrize("grid", [None, 50])
    @pytest.mark.parametrize("transform", [lambda p: p**3, np.sqrt, lambda p: 0.2 + p / 3, np.sin])
    def test_ranking_survives_monotone_transforms(self, grid, transform):
        positive, score = rows(2000, grid=grid)
        before = metrics.summarise(positive, score, bootstrap(20))
        after = metrics.summarise(positive, transform(score), bootstrap(20))
        for name in ("roc_auc", "roc_auc_lo", "roc_auc_hi", "average_precision", "average_precision_lo"):
            assert before[name] == after[name]

    @pytest.mark.parametrize("grid", [None, 51])  # 51 steps: no score is .5, which has a side
    def test_flip_of_classes_and_scores(self, grid):
        positive, score = rows(2000, 0.3, grid=grid)
        got = metrics.summarise(positive, score, QUICK)
        flipped = metrics.summarise(~positive, score, QUICK)
        both = metrics.summarise(~positive, 1 - score, QUICK)
        assert flipped["roc_auc"] == pytest.approx(1 - got["roc_auc"], abs=2e-6)
        assert flipped["mcc"] == -got["mcc"]
        assert flipped["accuracy"] == pytest.approx(1 - got["accuracy"], abs=2e-6)
        for name in ("accuracy", "balanced_accuracy", "mcc", "roc_auc", "log_loss", "brier", "ece"):
            assert both[name] == pytest.approx(got[name], **CLOSE), name

    @pytest.mark.parametrize("grid", [None, 30])
    def test_order_of_rows_changes_nothing_not_even_the_interval(self, grid):
        positive, score = rows(700, grid=grid)
        order = np.random.default_rng(1).permutation(700)
        settings = bootstrap(30)
        assert metrics.summarise(positive, score, settings) == metrics.summarise(
            positive[order], score[order], settings
        )

    def test_doubled_rows_keep_every_value(self):
        positive, score = rows(300, 0.3, grid=40)
        once = metrics.summarise(positive, score, QUICK)
        twice = metrics.summarise(np.tile(positive, 2), np.tile(score, 2), QUICK)
        assert [once[name] for name in metrics.NAMES] == pytest.approx([twice[name] for name in metrics.NAMES], **CLOSE)


class TestInterval:
    @pytest.mark.parametrize("grid", [None, 10])
    def test_equals_a_naive_loop_over_the_same_draws(self, grid):
        positive, score = rows(60, 0.4, grid=grid)
        settings = bootstrap(40, confidence=0.9, seed=5)
        got = metrics.summarise(positive, score, settings)
        order = np.lexsort([-score, positive])
        drawn = order[np.random.default_rng(5).integers(60, size=(40, 60))]
        for name, reference in REFERENCE.items():
            values = [reference(positive[rows_], score[rows_]) for rows_ in drawn]
            expected = np.quantile(values, [0.05, 0.95])
            assert [got[f"{name}_lo"], got[f"{name}_hi"]] == pytest.approx(expected, **CLOSE), name

    @pytest.mark.parametrize("n", [400, 1600])
    def test_accuracy_has_the_binomial_standard_error(self, n):
        positive = np.arange(n) % 2 == 0
        score = np.where(np.arange(n) < 0.9 * n, positive, ~positive).astype(float)
        got = metrics.summarise(positive, score, bootstrap(4000))
        assert got["accuracy"] == 0.9
        error = width(got, "accuracy") / (2 * 1.959964)
        assert error == pytest.approx(math.sqrt(0.9 * 0.1 / n), rel=0.1)

    def test_covers_the_truth_about_as_often_as_it_says(self):
        rng, hits = np.random.default_rng(0), 0
        for _ in range(200):
            score = rng.random(150)
            got = metrics.summarise(rng.random(150) < score, score, bootstrap(200, confidence=0.9))
            hits += got["roc_auc_lo"] <= 5 / 6 <= got["roc_auc_hi"]
        assert 0.84 < hits / 200 < 0.96  # .9 within three standard errors of 200 tries, rounded

    def test_holds_the_value_and_is_ordered(self):
        got = metrics.summarise(*rows(500), bootstrap())
        for name in set(metrics.NAMES) - {"ece"}:  # the resamples' ECE is biased upwards
            assert got[f"{name}_lo"] < got[name] < got[f"{name}_hi"], name

    def test_more_rows_narrow_it(self):
        few, many = (metrics.summarise(*rows(n), bootstrap()) for n in (300, 4800))
        for name in metrics.NAMES:
            assert width(many, name) < 0.5 * width(few, name), name

    def test_more_confidence_widens_it(self):
        narrow, wide = (metrics.summarise(*rows(300), bootstrap(confidence=c)) for c in (0.5, 0.99))
        assert all(width(narrow, name) < width(wide, name) for name in metrics.NAMES)

    def test_same_seed_same_bytes(self):
        first, again, other = (json.dumps(metrics.summarise(*rows(300), bootstrap(50, seed=s))) for s in (3, 3, 4))
        assert first == again != other

    @pytest.mark.parametrize("block", [1, 700, 5000, 2**24])
    @pytest.mark.parametrize("draw", [lambda: rows(333, grid=100), lambda: seeds(333)])
    def test_block_size_changes_nothing(self, monkeypatch, draw, block):
        positive, score = draw()
        expected = metrics.summarise(positive, score, bootstrap(41))
        monkeypatch.setattr(metrics, "BLOCK", block)
        assert metrics.summarise(positive, score, bootstrap(41)) == expected

    def test_resamples_of_one_class_are_left_out(self):
        # Two rows: a resample holds both with probability 1/2, and only then are there pairs to rank.
        got = metrics.summarise(np.array([False, True]), np.array([0.4, 0.6]), bootstrap(100))
        assert all(math.isfinite(value) for value in got.values())
        assert got["roc_auc_lo"] == got["roc_auc_hi"] == got["balanced_accuracy_lo"] == 1
        assert got["recall_lo"] == 0

    def test_no_usable_resample_is_refused(self):
        positive, score = np.array([False, True]), np.array([0.4, 0.6])
        seed = next(s for s in range(99) if len(set(np.random.default_rng(s).integers(2, size=(1, 2)).flat)) == 1)
        with pytest.raises(InputError, match="none of 1, 2 rows each, drew both classes"):
            metrics.summarise(positive, score, bootstrap(1, seed=seed))


# What the bootstrap over rows gave before runs had members: value, lower and upper end of each of NAMES.
ONE_MEMBER = {
    None: (
        *(0.75, 0.693167, 0.79, 0.755942, 0.694548, 0.802255, 0.603053, 0.514702, 0.667982),
        *(0.77451, 0.663456, 0.849104, 0.678112, 0.597966, 0.735949, 0.488905, 0.370964, 0.574676),
        *(0.860913, 0.803481, 0.89582, 0.787505, 0.707012, 0.847067, 0.487301, 0.453249, 0.530794),
        *(0.159965, 0.145062, 0.179576, 0.07341, 0.057434, 0.12114),
    ),
    40: (
        *(0.74, 0.676667, 0.778583, 0.750743, 0.691156, 0.79754, 0.588235, 0.501759, 0.649258),
        *(0.784314, 0.684517, 0.854255, 0.672269, 0.591457, 0.723849, 0.477199, 0.361126, 0.556186),
        *(0.860913, 0.802772, 0.895249, 0.778234, 0.700192, 0.839819, 0.487477, 0.454076, 0.531351),
        *(0.160058, 0.14531, 0.179875, 0.088, 0.066973, 0.136992),
    ),
}


class TestMembers:
    @pytest.mark.parametrize("grid", list(ONE_MEMBER))
    def test_one_member_is_the_bootstrap_over_rows_to_the_bit(self, grid):
        positive, score = rows(300, 0.4, grid=grid)
        settings = bootstrap(100, seed=2)
        alone = metrics.summarise(positive, score, settings)
        assert tuple(alone.values()) == (300, 102, *ONE_MEMBER[grid])
        assert metrics.summarise(positive, score[np.newaxis], settings) == alone

    def test_values_are_means_over_members_in_any_order(self):
        positive, score = seeds()
        got = metrics.summarise(positive, score, QUICK)
        members = [metrics.summarise(positive, member, QUICK) for member in score]
        backwards = metrics.summarise(positive, score[::-1], QUICK)
        for name in metrics.NAMES:
            assert got[name] == pytest.approx(np.mean([member[name] for member in members]), abs=1.1e-6), name
            assert got[name] == pytest.approx(backwards[name], abs=1.1e-6), name

    def test_interval_equals_a_naive_loop_over_the_same_draws(self):
        positive, score = seeds(60, share=0.4)
        got = metrics.summarise(positive, score, bootstrap(30, confidence=0.9, seed=5))
        order = np.lexsort([*-score[::-1], positive])
        rng = np.random.default_rng(5)
        drawn, members = order[rng.integers(60, size=(30, 60))], rng.integers(3, size=(3, 30)).T
        for name, reference in REFERENCE.items():
            values = [
                np.mean([reference(positive[rows_], score[s][rows_]) for s in chosen])
                for rows_, chosen in zip(drawn, members, strict=True)
            ]
            expected = np.quantile(values, [0.05, 0.95])
            assert [got[f"{name}_lo"], got[f"{name}_hi"]] == pytest.approx(expected, **CLOSE), name

    def test_order_of_rows_changes_nothing_not_even_the_interval(self):
        positive, score = seeds(500)
        score[0] = score[0].round(1)  # rows that only the later members tell apart
        order = np.random.default_rng(1).permutation(500)
        settings = bootstrap(30)
        assert metrics.summarise(positive, score, settings) == metrics.summarise(
            positive[order], score[:, order], settings
        )

    @pytest.mark.parametrize("members", [2, 3, 5])
    def test_identical_members_are_one(self, members):
        positive, score = rows(300)
        settings = bootstrap(50)
        assert metrics.summarise(positive, np.tile(score, (members, 1)), settings) == metrics.summarise(
            positive, score, settings
        )

    def test_doubled_members_keep_the_values(self):
        positive, score = seeds()
        once, twice = (metrics.summarise(positive, s, QUICK) for s in (score, np.repeat(score, 2, axis=0)))
        assert [once[name] for name in metrics.NAMES] == pytest.approx([twice[name] for name in metrics.NAMES], **CLOSE)

    def test_two_members_on_many_rows_span_their_distance(self):
        # Both draws are the same member with probability 1/2, so that the ends are the members themselves.
        n = 20_000
        positive, place = np.arange(n) % 2 == 0, np.arange(n) // 2 % 10
        score = np.stack([np.where(place < right, positive, ~positive) for right in (9, 6)]).astype(float)
        got = metrics.summarise(positive, score, bootstrap())
        assert got["accuracy"] == 0.75
        assert [got["accuracy_lo"], got["accuracy_hi"]] == pytest.approx([0.6, 0.9], abs=0.01)

    def test_spread_of_means_is_that_of_the_members(self):
        # Without rows to draw: the standard deviation of a mean of S draws, with (S - 1) / S of the variance.
        each = np.random.default_rng(0).normal(size=(20, 1, 1))
        settings = bootstrap(20_000)
        low, high = metrics.interval(lambda drawn: np.repeat(each, len(drawn), axis=1), 1, settings)[:, 0]
        expected = math.sqrt(each.var(ddof=1) * (20 - 1) / 20 / 20)
        assert (high - low) / (2 * 1.959964) == pytest.approx(expected, rel=0.03)
        assert (high + low) / 2 == pytest.approx(each.mean(), abs=0.1 * expected)

    def test_differing_members_widen_it_and_it_holds_the_value(self):
        positive, score = rows(2000)
        noise = np.random.default_rng(0).random(2000)
        members = np.stack([score, 0.75 * score + 0.25 * noise, 0.5 * score + 0.5 * noise])
        alone, got = (metrics.summarise(positive, s, bootstrap()) for s in (score, members))
        for name in ("accuracy", "mcc", "roc_auc", "average_precision", "log_loss", "brier"):
            assert got[f"{name}_lo"] < got[name] < got[f"{name}_hi"], name
            assert width(got, name) > 1.3 * width(alone, name), name

    def test_several_members_cover_the_mean_over_seeds_and_one_does_not(self):
        # Seeds whose accuracy is uniform from .7 to .9: its mean over seeds is .8, and that is what one asks for.
        rng, hits, tries = np.random.default_rng(0), np.zeros(2), 120
        positive = np.arange(200) % 2 == 0
        for _ in range(tries):
            right = rng.random((5, 200)) < rng.uniform(0.7, 0.9, (5, 1))
            score = np.where(right, positive, ~positive).astype(float)
            for i, members in enumerate((score, score[0])):
                got = metrics.summarise(positive, members, bootstrap(100, confidence=0.9))
                hits[i] += got["accuracy_lo"] <= 0.8 <= got["accuracy_hi"]
        several, one = hits / tries
        assert several > 0.8
        assert one < 0.7


class TestForm:
    def test_keys_and_plain_rounded_numbers(self):
        got: dict[str, Any] = metrics.summarise(*rows(50), bootstrap(10))
        ends = [key for name in metrics.NAMES for key in (name, f"{name}_lo", f"{name}_hi")]
        assert list(got) == ["n", "n_positive", *ends]
        assert type(got["n"]) is type(got["n_positive"]) is int
        assert all(type(got[key]) is float and got[key] == round(got[key], 6) for key in ends)
        assert list(metrics.summarise(*rows(50), QUICK)) == ["n", "n_positive", *metrics.NAMES]

    def test_no_negative_zero(self):
        # An MCC a little below 0 would print as -0.0, one a little above as 0.0.
        assert str(metrics.plain(-1e-9)) == str(metrics.plain(1e-9)) == "0.0"

    def test_module_starts_light(self):
        heavy = "import sys, whence.curves; print(*{'sklearn', 'scipy', 'pandas', 'torch'} & set(sys.modules))"
        root = Path(metrics.__file__).parents[1]
        done = subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True, check=True, cwd=root)
        assert done.stdout.strip() == ""


GOOD = {"positive": np.array([True, False, True]), "score": np.array([0.1, 0.5, 0.9])}


class TestRefused:
    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"score": np.array([0.1, 0.5])}, r"positive \(3,\) and score \(2,\)"),
            ({"positive": np.ones((3, 1), bool), "score": np.ones((3, 1))}, r"expected one of each per row"),
            ({"positive": np.ones(0, bool), "score": np.ones(0)}, "no rows"),
            ({"positive": np.array([1, 0, 1])}, "got int64, expected booleans"),
            ({"positive": np.ones(3, bool)}, "all 3 rows are positive"),
            ({"positive": np.zeros(3, bool)}, "all 3 rows are negative"),
            ({"score": np.array([0.1, np.nan, np.nan])}, r"row 1: got nan.*\(2 such rows\)"),
            ({"score": np.array([0.1, 0.2, np.inf])}, "row 2: got inf"),
            ({"score": np.array([-0.1, 0.2, 0.3])}, r"row 0: got -0.1, expected a probability in \[0, 1\]"),
            ({"score": np.array([0.1, 0.2, 1.5])}, "row 2: got 1.5"),
            (
                {"score": np.array([[0.1, 0.2, 0.3], [0.1, np.nan, 2]])},
                r"score of member 1 of row 1: got nan.*\(2 such",
            ),
            ({"score": np.ones((2, 4))}, r"positive \(3,\) and score of member 0 \(4,\)"),
            ({"score": np.ones((2, 2, 3))}, r"score of member 0 \(2, 3\): expected one of each per row"),
            ({"score": np.ones((0, 3))}, r"score \(0, 3\): no members"),
        ],
    )
    def test_rows(self, changes, message):
        with pytest.raises(InputError, match=message):
            metrics.summarise(**(GOOD | changes), settings=QUICK)

    @pytest.mark.parametrize(
        "changes",
        [{"resamples": -1}, {"confidence": 0.0}, {"confidence": 1.0}, {"ece_bins": 0}, {"seed": -1}],
    )
    def test_settings(self, changes):
        with pytest.raises(InputError, match=next(iter(changes))):
            check(QUICK.model_dump() | changes, metrics.Settings, "params.yaml: metrics")

    @pytest.mark.parametrize("key", list(metrics.Settings.model_fields))
    def test_no_setting_has_a_default(self, key):
        content = QUICK.model_dump()
        del content[key]
        with pytest.raises(InputError, match=f"{key}: missing"):
            check(content, metrics.Settings, "params.yaml: metrics")
