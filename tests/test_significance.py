"""Do two runs differ? Against scipy, slow definitions, textbook examples, and simulations in which nothing differs."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from whence import metrics, significance

SECTION = metrics.Settings(resamples=400, confidence=0.95, ece_bins=15, seed=0)


def answers(runs, rows=300, seed=0, members=1):
    """Truth, and scores of some runs that are better by their own strength; rounded, so that there are ties."""
    rng = np.random.default_rng(seed)
    positive = rng.random(rows) < 0.4
    shared = rng.normal(size=rows)
    return positive, {
        name: (1 / (1 + np.exp(-strength * positive - shared - rng.normal(size=(members, rows))))).round(2)
        for name, strength in runs.items()
    }


class TestDeLong:
    def test_components_are_the_shares_of_the_other_class_that_are_beaten(self):
        positive, runs = answers({"a": 1}, 60, members=2)
        above, below = significance.delong_components(positive, runs["a"])
        kernel = np.mean(
            [[[(x > y) + 0.5 * (x == y) for y in member[~positive]] for x in member[positive]] for member in runs["a"]],
            axis=0,
        )
        np.testing.assert_allclose(above, kernel.mean(axis=1))
        np.testing.assert_allclose(below, kernel.mean(axis=0))
        assert above.mean() == pytest.approx(np.mean([roc_auc_score(positive, member) for member in runs["a"]]))

    def test_p_is_that_of_the_definition_of_1988(self):
        positive, runs = answers({"a": 1, "b": 1.4}, 80)
        m, n = positive.sum(), (~positive).sum()
        kernels = [
            np.array([[(x > y) + 0.5 * (x == y) for y in score[0][~positive]] for x in score[0][positive]])
            for score in runs.values()
        ]
        auc = [kernel.mean() for kernel in kernels]
        s10, s01 = np.cov([k.mean(axis=1) for k in kernels]), np.cov([k.mean(axis=0) for k in kernels])
        s = s10 / m + s01 / n
        z = (auc[0] - auc[1]) / math.sqrt(s[0, 0] + s[1, 1] - 2 * s[0, 1])
        found = significance.delong(*(significance.delong_components(positive, score) for score in runs.values()))
        assert found == pytest.approx(2 * stats.norm.sf(abs(z)), rel=1e-9)

    def test_runs_that_do_not_differ_are_rarely_told_apart(self):
        p = []
        for seed in range(300):
            positive, runs = answers({"a": 1, "b": 1}, 120, seed)
            p.append(significance.delong(*(significance.delong_components(positive, s) for s in runs.values())))
        assert 0.02 < np.mean(np.array(p) < 0.05) < 0.09
        assert stats.kstest(p, "uniform").pvalue > 0.001

    def test_a_run_does_not_differ_from_itself_and_does_from_its_opposite(self):
        positive, runs = answers({"a": 2})
        one, other = (significance.delong_components(positive, score) for score in (runs["a"], 1 - runs["a"]))
        assert significance.delong(one, one) == 1
        assert significance.delong(one, other) < 1e-10


class TestMcNemar:
    @pytest.mark.parametrize(("better", "worse"), [(0, 0), (1, 0), (0, 9), (5, 5), (12, 30), (150, 86)])
    def test_it_is_the_binomial_test_of_scipy(self, better, worse):
        first = np.array([[1.0] * better + [0.0] * worse + [1.0, 0.0]])
        second = np.array([[0.0] * better + [1.0] * worse + [1.0, 0.0]])
        expected = stats.binomtest(better, better + worse).pvalue if better + worse else 1
        assert significance.mcnemar(first, second) == pytest.approx(expected, rel=1e-9)
        assert significance.mcnemar(second, first) == significance.mcnemar(first, second)

    def test_the_normal_form_on_agrestis_approval_ratings(self):
        """Agresti, Categorical Data Analysis, table 10.1: 150 approved first alone, 86 second alone, z = -4.17."""
        first = np.array([[1.0] * 150 + [0.0] * 86])
        twice = np.concatenate([first, first])
        assert significance.mcnemar(twice, 1 - first) == pytest.approx(2 * stats.norm.sf(64 / math.sqrt(236)))
        assert significance.mcnemar(twice, 1 - first) == pytest.approx(3.1e-5, rel=0.02)


class TestHolm:
    def test_known_values(self):
        np.testing.assert_allclose(significance.holm(np.array([0.01, 0.04, 0.03, 0.005])), [0.03, 0.06, 0.06, 0.02])

    def test_one_and_none(self):
        assert significance.holm(np.array([0.2])).tolist() == [0.2]
        assert significance.holm(np.array([])).tolist() == []

    def test_never_above_1(self):
        assert significance.holm(np.array([0.5, 0.9, 0.6])).tolist() == [1, 1, 1]


class TestPairs:
    def test_every_pair_with_the_differences_of_its_metrics(self):
        positive, runs = answers({"a": 2, "b": 1, "c": 0}, members=2)
        found = significance.pairs(positive, runs, SECTION)
        pairs = list(zip(found["first"].tolist(), found["second"].tolist(), strict=True))
        assert pairs == list(itertools.combinations("abc", 2))
        each = {name: metrics.summarise(positive, score, SECTION) for name, score in runs.items()}
        for k, (a, b) in enumerate(pairs):
            assert found["auc"][k] == pytest.approx(each[a]["roc_auc"] - each[b]["roc_auc"], abs=2e-6)
            assert found["accuracy"][k] == pytest.approx(each[a]["accuracy"] - each[b]["accuracy"], abs=2e-6)
            assert found["auc_lo"][k] < found["auc"][k] < found["auc_hi"][k]
        assert (found["delong_holm"] >= found["delong"]).all()

    def test_the_bootstrap_is_paired(self):
        """Of two runs with one noise, the difference is known far better than either."""
        positive, runs = answers({"a": 1.5})
        runs["b"] = np.clip(runs["a"] + 0.05 * positive, 0, 1)
        found = significance.pairs(positive, runs, SECTION)
        each = metrics.summarise(positive, runs["a"], SECTION)
        assert found["auc_hi"][0] - found["auc_lo"][0] < 0.3 * (each["roc_auc_hi"] - each["roc_auc_lo"])

    def test_the_resampled_auc_is_that_of_the_resampled_rows(self):
        positive, runs = answers({"a": 1}, 50)
        section = SECTION.model_copy(update={"resamples": 20})
        found = metrics.resampled_auc(positive, [runs["a"], runs["a"]], section)
        rows = np.random.default_rng(0).integers(50, size=(20, 50))
        expected = [roc_auc_score(positive[row], runs["a"][0][row]) for row in rows]
        np.testing.assert_allclose(found, np.stack([expected, expected], axis=1))

    def test_one_run_has_no_pair(self):
        positive, runs = answers({"a": 1})
        assert {len(column) for column in significance.pairs(positive, runs, SECTION).values()} == {0}

    def test_without_resamples_there_is_no_interval(self):
        positive, runs = answers({"a": 1, "b": 2})
        found = significance.pairs(positive, runs, SECTION.model_copy(update={"resamples": 0}))
        assert np.isnan(found["auc_lo"]).all()
        assert found["delong"][0] < 0.05


def test_groups_hold_what_their_best_run_does_not_differ_from():
    first, second = zip(*itertools.combinations("abcde", 2), strict=True)
    p = dict.fromkeys(zip(first, second, strict=True), 0.001)
    p |= {("a", "b"): 0.2, ("b", "c"): 0.9, ("c", "e"): 0.05}
    columns = {"first": np.array(first), "second": np.array(second), "delong_holm": np.array(list(p.values()))}
    assert significance.groups("abcde", columns, 0.05) == [1, 1, 2, 3, 2]
    assert significance.groups("abcde", columns, 0.0) == [1] * 5
