"""Classical classifiers: one contract for every module that scores, and equality with scikit-learn's predictions.

What networks have in common with them is in test_estimators.py.
"""

import importlib
import inspect
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st
from scipy import stats
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_sample_weight
from threadpoolctl import threadpool_limits

from whence import models
from whence.base import settings
from whence.base.errors import InputError
from whence.classifiers import boosting, forest, guess, logistic, majority
from whence.table.rows import Rows

ROOT = Path(__file__).resolve().parent.parent
MODULES = sorted(p.stem for p in (ROOT / "whence" / "classifiers").glob("*.py") if "\ndef score(" in p.read_text())
LEARN_NOTHING = ("guess", "majority")


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Small problems are slower with many threads, and much slower where others run beside."""
    with threadpool_limits(1):
        yield


@cache
def classifier(name, **changes):
    """The module of a classifier, and its settings from params.yaml, smaller where that saves time."""
    module = importlib.import_module(f"whence.classifiers.{name}")
    section = settings.value(f"train.{name}", ROOT / "params.yaml")
    quick = {"forest": {"trees": 20}, "boosting": {"max_iter": 30}}.get(name, {})
    return module, settings.check(section | quick | changes, module.Settings, name)


def problem(n=240, d=6, seed=0, dtype=np.float32, share=0.4, separation=2.0):
    """Rows of two overlapping classes, told apart by their first features."""
    rng = np.random.default_rng(seed)
    y = rng.random(n) < share
    x = rng.normal(0, 1, (n, d))
    x[:, : min(3, d)] += separation * y[:, None]
    if dtype == np.uint8:
        return Rows(np.clip(100 + 25 * x, 0, 255).astype(np.uint8), y)
    return Rows(x.astype(dtype), y)


@cache
def learnt(name, dtype=np.float32):
    module, section = classifier(name)
    return module.fit(problem(dtype=dtype), problem(120, seed=1, dtype=dtype), section)


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
class TestEveryClassifier:
    def test_fit_returns_arrays_that_are_data(self, name, dtype):
        for key, array in learnt(name, dtype).items():
            assert isinstance(key, str)
            assert isinstance(array, np.ndarray)
            assert array.dtype.kind in "fiu"
            assert np.isfinite(array).all()

    def test_scores_are_probabilities(self, name, dtype):
        module, _ = classifier(name)
        score = module.score(learnt(name, dtype), problem(300, seed=2, dtype=dtype).x)
        assert score.shape == (300,)
        assert score.dtype == np.float64
        assert ((score >= 0) & (score <= 1)).all()

    def test_far_off_rows_have_probabilities_too(self, name, dtype):
        module, _ = classifier(name)
        ends = (0, 255) if dtype == np.uint8 else (-1e30, 0, 1e30)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            score = module.score(learnt(name, dtype), np.stack([np.full(6, end, dtype) for end in ends]))
        assert ((score >= 0) & (score <= 1)).all()

    @pytest.mark.parametrize("block", [1, 2, 7, 64])
    def test_a_batch_changes_no_bit(self, name, dtype, block):
        module, _ = classifier(name)
        x = problem(130, seed=2, dtype=dtype).x
        parts = [module.score(learnt(name, dtype), x[k : k + block]) for k in range(0, len(x), block)]
        assert np.concatenate(parts).tobytes() == module.score(learnt(name, dtype), x).tobytes()

    def test_an_order_changes_no_bit(self, name, dtype):
        module, _ = classifier(name)
        x = problem(130, seed=2, dtype=dtype).x
        order = np.random.default_rng(3).permutation(len(x))
        score = module.score(learnt(name, dtype), x)
        assert module.score(learnt(name, dtype), x[order]).tobytes() == score[order].tobytes()

    def test_the_files_make_the_round_trip_and_have_the_same_bytes_twice(self, name, dtype, tmp_path):
        module, section = classifier(name)
        again = module.fit(problem(dtype=dtype), problem(120, seed=1, dtype=dtype), section)
        about = models.Card(
            classifier=name,
            classes=[False, True],
            shape=[6],
            settings=section.model_dump(),
            preprocessing={},
            parameters=1,
            best_epoch=[0],
        )
        one, two = ((tmp_path / f"{k}.safetensors", tmp_path / f"{k}.json") for k in ("one", "two"))
        models.save(learnt(name, dtype), about, *one)
        models.save(dict(reversed(again.items())), about, *two)
        assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]
        x = problem(50, seed=2, dtype=dtype).x
        loaded, _ = models.load(*one, name)
        assert module.score(loaded, x).tobytes() == module.score(learnt(name, dtype), x).tobytes()

    def test_fit_and_score_leave_their_rows_alone(self, name, dtype):
        module, section = classifier(name)
        train, valid = problem(60, dtype=dtype), problem(60, seed=1, dtype=dtype)
        for array in (*train, *valid):
            array.flags.writeable = False
        module.score(module.fit(train, valid, section), valid.x)

    def test_positive_rows_score_higher(self, name, dtype):
        module, _ = classifier(name)
        test = problem(300, seed=2, dtype=dtype)
        score = module.score(learnt(name, dtype), test.x)
        if name in LEARN_NOTHING:
            assert roc_auc_score(test.y, score) == pytest.approx(0.5, abs=0.1)
        else:
            assert roc_auc_score(test.y, score) > 0.9


@pytest.mark.parametrize("name", MODULES)
class TestEveryModule:
    def test_nothing_but_train_and_valid_rows_reaches_fit(self, name):
        module, _ = classifier(name)
        assert list(inspect.signature(module.fit).parameters) == ["train", "valid", "settings"]
        assert list(inspect.signature(module.score).parameters) == ["learnt", "x"]

    def test_the_settings_of_params_yaml_fit(self, name):
        module = importlib.import_module(f"whence.classifiers.{name}")
        assert settings.load(f"train.{name}", module.Settings, ROOT / "params.yaml")

    def test_more_features_than_rows(self, name):
        module, section = classifier(name)
        x = np.random.default_rng(0).integers(0, 256, (90, 3072), np.uint8)
        y = np.arange(90) % 3 == 0
        x[y, :100] //= 2
        score = module.score(module.fit(Rows(x[:60], y[:60]), Rows(x[60:], y[60:]), section), x)
        assert score.shape == (90,)
        assert ((score >= 0) & (score <= 1)).all()
        if name not in LEARN_NOTHING:
            assert roc_auc_score(y[:60], score[:60]) > 0.9

    def test_features_that_never_change_neither_break_nor_matter(self, name):
        # What seems to vary by a rounding error, and is divided by that, explodes when it does vary.
        module, section = classifier(name)
        train, valid = problem(241), problem(120, seed=1)
        constant = [Rows(np.column_stack([r.x, np.full(len(r.x), 0.1, np.float32)]), r.y) for r in (train, valid)]
        fitted = module.fit(*constant, section)
        moved = constant[1].x.copy()
        moved[:, -1] += 0.05
        if name != "guess":
            np.testing.assert_allclose(module.score(fitted, moved), module.score(fitted, constant[1].x), atol=1e-12)

    def test_global_seeds_do_not_matter(self, name):
        module, section = classifier(name)
        drawn = []
        for seed in (1, 2):
            np.random.seed(seed)
            fitted = module.fit(problem(80), problem(60, seed=1), section)
            drawn.append(module.score(fitted, problem(60, seed=2).x).tobytes())
        assert drawn[0] == drawn[1]


class TestMajority:
    @pytest.mark.parametrize(("positives", "share"), [(1, 0.25), (2, 0.5), (3, 0.75)])
    def test_the_share_of_positive_rows(self, positives, share):
        rows = Rows(np.zeros((4, 2)), np.arange(4) < positives)
        fitted = majority.fit(rows, rows, majority.Settings())
        assert majority.score(fitted, np.zeros((3, 2))).tolist() == [share] * 3


class TestGuess:
    def scores(self, seed, x):
        return guess.score(guess.fit(problem(4), problem(4), guess.Settings(seed=seed)), x)

    @pytest.mark.parametrize("dtype", [np.float32, np.uint8])
    def test_even_over_the_unit_interval(self, dtype):
        x = np.random.default_rng(0).integers(0, 256, (20_000, 12)).astype(dtype)
        score = self.scores(0, x)
        assert score.mean() == pytest.approx(0.5, abs=4 / np.sqrt(12 * 20_000))
        assert stats.kstest(score, "uniform").pvalue > 0.001
        assert len(np.unique(score)) == 20_000

    def test_even_for_rows_that_hardly_differ(self):
        x = np.zeros((4096, 3), np.float32)
        x[:, 1] = np.arange(4096) / 4096
        assert stats.kstest(self.scores(0, x), "uniform").pvalue > 0.001

    def test_another_seed_is_another_coin(self):
        x = problem(5000).x
        flips = np.stack([self.scores(seed, x) for seed in (0, 1, 2, 3, 2**31, 2**32 - 1)])
        correlation = np.corrcoef(flips)[~np.eye(len(flips), dtype=bool)]
        assert np.abs(correlation).max() < 5 / np.sqrt(5000)

    def test_it_has_nothing_to_do_with_the_class(self):
        test = problem(20_000, separation=5)
        assert roc_auc_score(test.y, self.scores(0, test.x)) == pytest.approx(0.5, abs=0.02)

    def test_the_same_image_gets_the_same_coin(self):
        x = problem(50).x
        assert self.scores(7, np.concatenate([x, x])).reshape(2, 50).std(0).max() == 0


@pytest.mark.parametrize("weight", [None, "balanced"])
@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
class TestEqualsScikitLearn:
    def test_logistic(self, dtype, weight):
        module, section = classifier("logistic", class_weight=weight, C=0.3)
        train, test = problem(dtype=dtype, share=0.2), problem(400, seed=2, dtype=dtype)
        # A column of one value, and one whose values are far from 0.
        train, test = (
            Rows(np.column_stack([r.x, np.full(len(r.x), 7, dtype), 200 + r.x[:, 0] // 2]).astype(dtype), r.y)
            for r in (train, test)
        )
        theirs = make_pipeline(StandardScaler(), LogisticRegression(C=0.3, class_weight=weight, max_iter=1000))
        theirs.fit(train.x, train.y)
        got = module.score(module.fit(train, train, section), test.x)
        np.testing.assert_allclose(got, theirs.predict_proba(test.x)[:, 1], rtol=0, atol=1e-6)

    def test_forest(self, dtype, weight):
        module, section = classifier("forest", class_weight=weight, seed=5)
        train, test = problem(dtype=dtype, share=0.2), problem(1500, seed=2, dtype=dtype)
        theirs = RandomForestClassifier(
            section.trees, min_samples_leaf=section.min_samples_leaf, class_weight=weight, random_state=5
        ).fit(train.x, train.y)
        fitted = module.fit(train, train, section)
        x = np.concatenate([test.x, train.x, at_thresholds(fitted, dtype)])
        np.testing.assert_allclose(module.score(fitted, x), theirs.predict_proba(x)[:, 1], rtol=0, atol=1e-12)

    def test_boosting(self, dtype, weight):
        module, section = classifier("boosting", class_weight=weight, seed=5)
        train, valid = problem(400, dtype=dtype, share=0.2), problem(200, seed=1, dtype=dtype, share=0.2)
        test = problem(1500, seed=2, dtype=dtype)
        theirs = HistGradientBoostingClassifier(
            learning_rate=section.learning_rate,
            max_iter=section.max_iter,
            max_leaf_nodes=section.max_leaf_nodes,
            n_iter_no_change=section.patience,
            early_stopping=True,
            class_weight=weight,
            random_state=5,
        ).fit(
            train.x,
            train.y,
            X_val=valid.x,
            y_val=valid.y,
            sample_weight_val=compute_sample_weight(weight, valid.y) if weight else None,
        )
        fitted = module.fit(train, valid, section)
        x = np.concatenate([test.x, train.x, at_thresholds(fitted, dtype)])
        np.testing.assert_allclose(module.score(fitted, x), theirs.predict_proba(x)[:, 1], rtol=0, atol=1e-12)
        assert len(fitted["roots"]) == theirs.n_iter_


def at_thresholds(trees, dtype):
    """Rows whose features lie exactly at the trees' thresholds, and one step of the dtype below and above."""
    inner = np.flatnonzero(trees["left"] != np.arange(len(trees["left"])))[:300]
    feature, at = trees["feature"][inner], trees["threshold"][inner].astype(dtype)
    if dtype == np.uint8:
        values = [at - 1, at, at + 1]
    else:
        values = [np.nextafter(at, dtype(-np.inf)), at, np.nextafter(at, dtype(np.inf))]
    rows = np.repeat(problem(1, dtype=dtype).x, 3 * len(inner), axis=0)
    rows[np.arange(len(rows)), np.tile(feature, 3)] = np.concatenate(values)
    return rows


class TestLearning:
    def test_balanced_classes_lift_the_rare_one(self):
        train = problem(600, share=0.1, separation=0.5)
        test = problem(400, seed=2, share=0.1, separation=0.5)
        for module, name in ((logistic, "logistic"), (forest, "forest"), (boosting, "boosting")):
            plain, balanced = (
                module.score(module.fit(train, test, classifier(name, class_weight=weight)[1]), test.x).mean()
                for weight in (None, "balanced")
            )
            assert balanced > plain + 0.1, name

    def test_boosting_stops_by_the_valid_rows(self):
        section = classifier("boosting", max_iter=300, patience=3)[1]
        train, valid = problem(300, separation=0.3), problem(300, seed=1, separation=0.3)
        fitted = boosting.fit(train, valid, section)
        trees = len(fitted["roots"])
        assert 3 <= trees < 300
        losses = [log_loss(valid.y, boosting.score(first_trees(fitted, k), valid.x)) for k in range(trees + 1)]
        # Nothing in the last three rounds was better than what came before them.
        assert min(losses[-3:]) > min(losses[:-3]) - 1e-7

    def test_boosting_weighs_the_valid_rows_as_the_train_rows(self):
        section = classifier("boosting", max_iter=300, patience=3, class_weight="balanced")[1]
        train, valid = (problem(400, seed=seed, share=0.1, separation=0.5) for seed in (0, 1))
        fitted = boosting.fit(train, valid, section)
        weight = compute_sample_weight("balanced", valid.y)
        losses = [
            log_loss(valid.y, boosting.score(first_trees(fitted, k), valid.x), sample_weight=weight)
            for k in range(len(fitted["roots"]) + 1)
        ]
        best = int(np.argmin(losses))
        assert best == len(losses) - 1 - 3

    def test_forests_of_another_seed_are_other_forests(self):
        one, two = (forest.fit(problem(), problem(), classifier("forest", seed=seed)[1]) for seed in (0, 1))
        assert not np.array_equal(forest.score(one, problem(seed=2).x), forest.score(two, problem(seed=2).x))

    @budget(max_examples=25, deadline=None)
    @given(st.integers(2, 40), st.integers(1, 4), st.integers(0, 2**32 - 1))
    def test_logistic_takes_any_little_problem(self, n, d, seed):
        rng = np.random.default_rng(seed)
        y = np.arange(n) % 2 == 0
        rows = Rows(rng.integers(0, 3, (n, d)).astype(np.float32), y)
        score = logistic.score(logistic.fit(rows, rows, classifier("logistic")[1]), rows.x)
        assert ((score > 0) & (score < 1)).all()


def first_trees(fitted, count):
    """The same boosting, cut off after some trees."""
    cut = dict(fitted)
    cut["roots"] = fitted["roots"][:count]
    return cut


class TestKnn:
    def test_the_votes_are_scikit_learns(self):
        """Of its neighbours of standardised rows; one vote for each class besides (Laplace)."""
        train, x = problem(300, d=20), problem(100, d=20, seed=1).x
        module, section = classifier("knn", neighbours=7, rows=10_000)
        scaler = StandardScaler().fit(train.x)
        theirs = KNeighborsClassifier(7, algorithm="brute").fit(scaler.transform(train.x), train.y)
        votes = theirs.predict_proba(scaler.transform(x))[:, 1] * 7
        np.testing.assert_allclose(module.score(module.fit(train, train, section), x), (votes + 1) / 9, atol=1e-12)

    def test_no_more_rows_are_kept_than_asked(self):
        module, section = classifier("knn", neighbours=3, rows=50)
        learnt_ = module.fit(problem(), problem(), section)
        assert learnt_["known"].shape == (50, 6)
        assert learnt_["positive"].shape == (50,)

    def test_more_neighbours_than_rows_are_refused(self):
        module, section = classifier("knn", neighbours=51, rows=50)
        with pytest.raises(
            InputError, match=r"^params.yaml: train.knn.neighbours: got 51 of 50 rows; make it smaller$"
        ):
            module.fit(problem(), problem(), section)
        assert module.fit(problem(), problem(), classifier("knn", neighbours=50, rows=50)[1])

    def test_a_feature_without_any_variance_says_nothing(self):
        train = problem(100)
        flat = Rows(np.concatenate([train.x, np.full((100, 1), 7, np.float32)], 1), train.y)
        module, section = classifier("knn", neighbours=5)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = module.score(module.fit(flat, flat, section), flat.x)
        np.testing.assert_array_equal(found, module.score(module.fit(train, train, section), train.x))
