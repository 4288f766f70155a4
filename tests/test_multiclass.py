"""Multi-class metrics: scikit-learn's definitions, values by hand, closed forms, invariances, the binary metrics."""

import json
import math
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st
from sklearn import metrics as sk

from whence import metrics, multiclass
from whence.base.errors import InputError

QUICK = metrics.Settings(resamples=0, confidence=0.95, ece_bins=15, seed=0)
CLOSE = {"abs": 0.51 * 10**-metrics.DECIMALS, "rel": 0}
NAMES = ["bird", "cat", "deer", "frog", "ship"]


def naive_ece(actual, proba, bins):
    """The formula of Guo et al. 2017, word for word: the bins are ((m - 1) / M, m / M]."""
    confidence, correct = proba.max(axis=1), proba.argmax(axis=1) == actual
    error = 0.0
    for m in range(1, bins + 1):
        inside = (confidence > (m - 1) / bins) & (confidence <= m / bins)
        if inside.any():
            error += inside.mean() * abs(correct[inside].mean() - confidence[inside].mean())
    return error


def reference(actual, proba, names):
    """Every value of one member, by scikit-learn."""
    predicted, codes = proba.argmax(axis=1), np.arange(len(names))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # classes that are predicted and never actual
        precision, recall, f1, _ = sk.precision_recall_fscore_support(actual, predicted, labels=codes, zero_division=0)
        values = {
            "accuracy": sk.accuracy_score(actual, predicted),
            "balanced_accuracy": sk.balanced_accuracy_score(actual, predicted),
            "macro_f1": sk.f1_score(actual, predicted, labels=codes, average="macro", zero_division=0),
            "weighted_f1": sk.f1_score(actual, predicted, labels=codes, average="weighted", zero_division=0),
            "mcc": sk.matthews_corrcoef(actual, predicted),
            "log_loss": sk.log_loss(actual, proba, labels=codes),
            "ece": naive_ece(actual, proba, QUICK.ece_bins),
        }
    for k, name in enumerate(names):
        values |= {f"f1_{name}": f1[k], f"precision_{name}": precision[k], f"recall_{name}": recall[k]}
    return values


def rows(n, members=1, classes=5, separation=1.5, grid=None, seed=0):
    """Draw codes (N,) and probabilities (S, N, K); a grid rounds the scores before softmax, which makes equal rows."""
    rng = np.random.default_rng(seed)
    actual = rng.integers(classes, size=n)
    # What members share comes from the row, the rest from the seed.
    score = (
        rng.normal(size=(n, classes)) + separation * np.eye(classes)[actual] + rng.normal(size=(members, n, classes))
    )
    return actual, softmax(score if grid is None else np.round(score * grid) / grid)


def softmax(score):
    power = np.exp(score)
    return power / power.sum(axis=-1, keepdims=True)


def bootstrap(resamples=200, **changes):
    return QUICK.model_copy(update={"resamples": resamples, **changes})


def answers(predicted, classes, confidence=1.0):
    """Give each row's predicted class this probability and the others equal shares of the rest: (1, N, K)."""
    rest = (1 - confidence) / (classes - 1)
    return (rest + (confidence - rest) * np.eye(classes)[predicted])[np.newaxis]


def width(summary, name):
    return summary[f"{name}_hi"] - summary[f"{name}_lo"]


# Pairs of code and scores in eighths, of three classes: small cases in which classes are often missing and scores tie.
small = st.lists(st.tuples(st.integers(0, 2), st.tuples(*[st.integers(0, 8)] * 3)), min_size=1, max_size=25)


class TestValues:
    def test_by_hand(self):
        actual, predicted = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 0, 1, 1, 2, 2])
        got = multiclass.summarise(actual, answers(predicted, 3, 0.8), ["a", "b", "c"], QUICK)
        # Table: [2 1 0], [0 1 1], [0 0 1]; actual 3 2 1, predicted 2 2 2.
        assert got["n"] == 6
        assert got["accuracy"] == pytest.approx(4 / 6, **CLOSE)
        assert got["balanced_accuracy"] == pytest.approx((2 / 3 + 1 / 2 + 1) / 3, **CLOSE)
        f1 = {"a": 4 / 5, "b": 2 / 4, "c": 2 / 3}
        for name, value in f1.items():
            assert got[f"f1_{name}"] == pytest.approx(value, **CLOSE)
        assert [got[f"precision_{name}"] for name in "abc"] == [1, 0.5, 0.5]
        assert [got[f"recall_{name}"] for name in "abc"] == pytest.approx([2 / 3, 1 / 2, 1], **CLOSE)
        assert got["macro_f1"] == pytest.approx(sum(f1.values()) / 3, **CLOSE)
        assert got["weighted_f1"] == pytest.approx((3 * f1["a"] + 2 * f1["b"] + f1["c"]) / 6, **CLOSE)
        # Right 4 of 6; chance 3 * 2 + 2 * 2 + 1 * 2 = 12; squares 9 + 4 + 1 and 4 + 4 + 4.
        assert got["mcc"] == pytest.approx((4 * 6 - 12) / math.sqrt((36 - 14) * (36 - 12)), **CLOSE)
        assert got["log_loss"] == pytest.approx(-(4 * math.log(0.8) + 2 * math.log(0.1)) / 6, **CLOSE)
        assert got["ece"] == pytest.approx(0.8 - 4 / 6, **CLOSE)

    @pytest.mark.parametrize("classes", [2, 3, 5])
    @pytest.mark.parametrize("grid", [None, 4, 0.5])
    def test_equal_scikit_learn(self, classes, grid):
        actual, proba = rows(2000, classes=classes, grid=grid)
        got = multiclass.summarise(actual, proba, NAMES[:classes], QUICK)
        expected = reference(actual, proba[0], NAMES[:classes])
        assert list(got) == ["n", *expected]
        for name, value in expected.items():
            assert got[name] == pytest.approx(value, **CLOSE), name

    @given(small)
    @budget(max_examples=60, deadline=None)
    def test_equal_scikit_learn_on_any_small_case(self, pairs):
        actual = np.array([code for code, _ in pairs])
        proba = softmax(np.array([scores for _, scores in pairs]) / 4)[np.newaxis]
        got = multiclass.summarise(actual, proba, NAMES[:3], QUICK)
        for name, value in reference(actual, proba[0], NAMES[:3]).items():
            assert got[name] == pytest.approx(value, **CLOSE), name

    @pytest.mark.parametrize("share", [0.5, 0.1])
    def test_two_classes_are_the_binary_metrics(self, share):
        rng = np.random.default_rng(0)
        positive = rng.random(800) < share
        score = np.clip(rng.normal(0.4 + 0.2 * positive, 0.2), 0, 1)
        binary = metrics.summarise(positive, score, QUICK)
        got = multiclass.summarise(
            positive.astype(int), np.stack([1 - score, score], axis=1)[None], ["no", "yes"], QUICK
        )
        for name in ("accuracy", "balanced_accuracy", "mcc", "log_loss", "ece"):
            assert got[name] == pytest.approx(binary[name], **CLOSE), name
        assert [got[f"{name}_yes"] for name in multiclass.PER_CLASS] == [binary[name] for name in multiclass.PER_CLASS]

    def test_perfect(self):
        actual = np.arange(50) % 5
        got = multiclass.summarise(actual, answers(actual, 5), NAMES, bootstrap(50))
        assert got.pop("n") == 50
        assert {got[f"{name}{end}"] for name in ("log_loss", "ece") for end in ("", "_lo", "_hi")} == {0.0}
        assert {value for key, value in got.items() if not key.startswith(("log_loss", "ece"))} == {1.0}

    def test_always_wrong(self):
        actual = np.arange(50) % 5
        got = multiclass.summarise(actual, answers((actual + 1) % 5, 5), NAMES, QUICK)
        assert {got[name] for name in ("accuracy", "balanced_accuracy", "macro_f1", "weighted_f1", "f1_cat")} == {0.0}
        assert got["mcc"] == -0.25  # -1 / (K - 1), the least that K equal classes allow
        assert got["ece"] == 1
        assert got["log_loss"] == pytest.approx(-math.log(np.finfo(np.float64).eps), **CLOSE)

    def test_constant_is_the_first_class(self):
        actual = np.array([0] * 30 + [1] * 50 + [2] * 20)
        got = multiclass.summarise(actual, np.full((1, 100, 3), 1 / 3), NAMES[:3], QUICK)
        assert (got["accuracy"], got["mcc"], got["recall_bird"], got["precision_bird"]) == (0.3, 0, 1, 0.3)
        assert got["balanced_accuracy"] == pytest.approx(1 / 3, **CLOSE)
        assert got["log_loss"] == pytest.approx(math.log(3), **CLOSE)
        assert got["ece"] == pytest.approx(1 / 3 - 0.3, **CLOSE)

    def test_a_class_that_is_nowhere_counts_as_zero_in_macro_f1_alone(self):
        actual = np.array([0, 1, 0, 1])
        got = multiclass.summarise(actual, answers(actual, 4), NAMES[:4], bootstrap(20))
        assert (got["macro_f1"], got["weighted_f1"], got["balanced_accuracy"], got["mcc"]) == (0.5, 1, 1, 1)
        assert [got[f"f1_deer{end}"] for end in ("", "_lo", "_hi")] == [0, 0, 0]

    def test_calibrated_probabilities_have_little_error(self):
        rng = np.random.default_rng(0)
        proba = softmax(rng.normal(size=(40_000, 4)))
        actual = (rng.random((40_000, 1)) > proba.cumsum(axis=1)[:, :3]).sum(axis=1)
        got = multiclass.summarise(actual, proba[np.newaxis], NAMES[:4], QUICK)
        assert got["ece"] < 0.015
        assert got["log_loss"] == pytest.approx(-(proba * np.log(proba)).sum(axis=1).mean(), abs=0.01)


class TestConfusion:
    @pytest.mark.parametrize("classes", [3, 5])
    def test_equals_scikit_learn(self, classes):
        actual, predicted = np.random.default_rng(0).integers(3, size=(2, 200))
        got = multiclass.confusion(actual, predicted, classes)
        assert got.dtype == np.int64
        assert (got == sk.confusion_matrix(actual, predicted, labels=range(classes))).all()

    def test_no_rows_are_zeros(self):
        nothing = np.zeros(0, np.int64)
        assert multiclass.confusion(nothing, nothing, 2).tolist() == [[0, 0], [0, 0]]

    @pytest.mark.parametrize(
        ("actual", "predicted", "message"),
        [
            ([0, 1], [0], r"actual \(2,\) and predicted \(1,\)"),
            ([[0, 1]], [[0, 1]], "one of each per row"),
            ([0, 3], [0, 1], "actual: row 1 has class 3, expected 0 to 2"),
            ([0, 1], [-1, 1], "predicted: row 0 has class -1"),
            ([0.0, 1.0], [0, 1], "actual: got float64"),
        ],
    )
    def test_refused(self, actual, predicted, message):
        with pytest.raises(InputError, match=message):
            multiclass.confusion(np.array(actual), np.array(predicted), 3)


class TestMembers:
    def test_values_are_means_over_members_in_any_order(self):
        actual, proba = rows(300, members=3)
        got, backwards = (multiclass.summarise(actual, p, NAMES, QUICK) for p in (proba, proba[::-1]))
        members = [reference(actual, member, NAMES) for member in proba]
        for name in members[0]:
            assert got[name] == pytest.approx(np.mean([member[name] for member in members]), **CLOSE), name
            assert got[name] == pytest.approx(backwards[name], abs=1.1e-6), name

    @pytest.mark.parametrize("members", [2, 3])
    def test_identical_members_are_one(self, members):
        actual, proba = rows(200)
        got = multiclass.summarise(actual, np.repeat(proba, members, axis=0), NAMES, bootstrap(50))
        assert got == multiclass.summarise(actual, proba, NAMES, bootstrap(50))

    def test_doubled_members_keep_the_values(self):
        actual, proba = rows(200, members=3)
        once, twice = (multiclass.summarise(actual, p, NAMES, QUICK) for p in (proba, np.tile(proba, (2, 1, 1))))
        assert list(once.values()) == pytest.approx(list(twice.values()), **CLOSE)

    def test_two_members_on_many_rows_span_their_distance(self):
        # Both draws are the same member with probability 1/2, so that the ends are the members themselves.
        n = 20_000
        actual, place = np.arange(n) % 5, np.arange(n) // 5 % 10
        proba = np.concatenate([answers(np.where(place < right, actual, (actual + 1) % 5), 5) for right in (9, 6)])
        got = multiclass.summarise(actual, proba, NAMES, bootstrap())
        assert got["accuracy"] == got["macro_f1"] == got["f1_cat"] == 0.75
        for name in ("accuracy", "macro_f1", "weighted_f1", "balanced_accuracy"):
            assert [got[f"{name}_lo"], got[f"{name}_hi"]] == pytest.approx([0.6, 0.9], abs=0.015), name

    def test_differing_members_widen_it_and_it_holds_the_value(self):
        actual, proba = rows(2000)
        noise = softmax(3 * np.random.default_rng(0).normal(size=proba.shape))
        members = np.concatenate([proba, 0.75 * proba + 0.25 * noise, 0.5 * proba + 0.5 * noise])
        alone, got = (multiclass.summarise(actual, p, NAMES, bootstrap()) for p in (proba, members))
        for name in (*multiclass.NAMES[:6], *(f"f1_{name}" for name in NAMES)):
            assert got[f"{name}_lo"] < got[name] < got[f"{name}_hi"], name
            assert width(got, name) > 1.2 * width(alone, name), name


class TestInterval:
    @pytest.mark.parametrize("members", [1, 3])
    def test_equals_a_naive_loop_over_the_same_draws(self, members):
        actual, proba = rows(40, members, classes=3)
        got = multiclass.summarise(actual, proba, NAMES[:3], bootstrap(25, confidence=0.9, seed=5))
        order = np.lexsort([*(proba[s, :, k] for s in range(members) for k in range(3)), actual])
        rng = np.random.default_rng(5)
        drawn, chosen = order[rng.integers(40, size=(25, 40))], rng.integers(members, size=(members, 25)).T
        each = [
            [reference(actual[rows_], proba[s][rows_], NAMES[:3]) for s in these]
            for rows_, these in zip(drawn, chosen, strict=True)
        ]
        for name in (*multiclass.NAMES, *(f"f1_{name}" for name in NAMES[:3])):
            values = [np.mean([member[name] for member in of_draw]) for of_draw in each]
            expected = np.quantile(values, [0.05, 0.95])
            assert [got[f"{name}_lo"], got[f"{name}_hi"]] == pytest.approx(expected, **CLOSE), name

    @pytest.mark.parametrize("n", [400, 1600])
    def test_accuracy_has_the_binomial_standard_error(self, n):
        actual = np.arange(n) % 4
        proba = answers(np.where(np.arange(n) < 0.9 * n, actual, (actual + 1) % 4), 4)
        got = multiclass.summarise(actual, proba, NAMES[:4], bootstrap(4000))
        assert width(got, "accuracy") / (2 * 1.959964) == pytest.approx(math.sqrt(0.9 * 0.1 / n), rel=0.1)

    @pytest.mark.parametrize("members", [1, 3])
    @pytest.mark.parametrize("grid", [None, 0.5])
    def test_order_of_rows_changes_nothing(self, members, grid):
        actual, proba = rows(400, members, classes=3, grid=grid)
        order = np.random.default_rng(1).permutation(400)
        got, again = (
            multiclass.summarise(a, p, NAMES[:3], bootstrap(30))
            for a, p in ((actual, proba), (actual[order], proba[:, order]))
        )
        assert got == again

    def test_relabelling_the_classes_moves_the_keys_alone(self):
        actual, proba = rows(400)
        order = np.array([3, 0, 4, 1, 2])
        got = multiclass.summarise(actual, proba, NAMES, QUICK)
        again = multiclass.summarise(order.argsort()[actual], proba[:, :, order], [NAMES[k] for k in order], QUICK)
        assert got == pytest.approx(again, **CLOSE)

    def test_doubled_rows_keep_every_value(self):
        actual, proba = rows(200, 2)
        once = multiclass.summarise(actual, proba, NAMES, QUICK)
        twice = multiclass.summarise(np.tile(actual, 2), np.tile(proba, (1, 2, 1)), NAMES, QUICK)
        assert {**once, "n": 400} == pytest.approx(twice, **CLOSE)

    def test_holds_the_value_and_more_rows_narrow_it(self):
        few, many = (multiclass.summarise(*rows(n), NAMES, bootstrap()) for n in (300, 4800))
        for name in (*multiclass.NAMES[:6], *(f"f1_{name}" for name in NAMES)):  # a resample's ECE is biased upwards
            assert few[f"{name}_lo"] < few[name] < few[f"{name}_hi"], name
            assert width(many, name) < 0.5 * width(few, name), name

    @pytest.mark.parametrize("block", [1, 700, 2**24])
    def test_block_size_changes_nothing(self, monkeypatch, block):
        actual, proba = rows(133, 2)
        expected = multiclass.summarise(actual, proba, NAMES, bootstrap(31))
        monkeypatch.setattr(metrics, "BLOCK", block)
        assert multiclass.summarise(actual, proba, NAMES, bootstrap(31)) == expected

    def test_same_seed_same_bytes(self):
        first, again, other = (
            json.dumps(multiclass.summarise(*rows(200), NAMES, bootstrap(30, seed=seed))) for seed in (3, 3, 4)
        )
        assert first == again != other


class TestForm:
    def test_keys_and_plain_rounded_numbers(self):
        got: dict[str, Any] = multiclass.summarise(*rows(50, 2, classes=2), NAMES[:2], bootstrap(10))
        overall = [key for name in multiclass.NAMES for key in (name, f"{name}_lo", f"{name}_hi")]
        bird, cat = ([f"f1_{k}", f"f1_{k}_lo", f"f1_{k}_hi", f"precision_{k}", f"recall_{k}"] for k in ("bird", "cat"))
        assert list(got) == ["n", *overall, *bird, *cat]
        assert type(got.pop("n")) is int
        assert all(type(value) is float and value == round(value, 6) for value in got.values())

    def test_no_nan_and_no_negative_zero_where_everything_is_at_its_edge(self):
        actual = np.array([0, 0, 1])
        for predicted in (actual, 1 - actual, np.array([2, 2, 2])):
            text = json.dumps(multiclass.summarise(actual, answers(predicted, 3), NAMES[:3], bootstrap(50)))
            assert "NaN" not in text
            assert not text.replace("}", ",").count(": -0.0,")

    def test_one_row_is_enough(self):
        got = multiclass.summarise(np.array([1]), answers([1], 3, 0.5), NAMES[:3], bootstrap(10))
        assert (got["accuracy"], got["accuracy_lo"], got["mcc"], got["mcc_hi"]) == (1, 1, 0, 0)


GOOD: dict[str, Any] = {"actual": np.array([0, 1, 2]), "proba": np.full((2, 3, 3), 1 / 3), "names": ["a", "b", "c"]}


def changed(index, value):
    proba = GOOD["proba"].copy()
    proba[index] = value
    return {"proba": proba}


class TestRefused:
    def test_good_is_good(self):
        assert multiclass.summarise(**GOOD, settings=QUICK)["n"] == 3

    @pytest.mark.parametrize("error", [9e-5, -9e-5])
    def test_sums_within_the_tolerance_pass(self, error):
        multiclass.summarise(**(GOOD | changed((0, 0, 0), 1 / 3 + error)), settings=QUICK)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"actual": np.array([0, 1])}, r"actual \(2,\), proba \(2, 3, 3\) and 3 names: expected"),
            ({"actual": np.zeros((3, 1), np.int64)}, r"actual \(3, 1\)"),
            ({"proba": np.full((3, 3), 1 / 3)}, r"proba \(3, 3\)"),
            ({"proba": np.ones((0, 3, 3))}, "with a member at least"),
            ({"names": ["a", "b"]}, "and 2 names"),
            ({"names": ["a", "b", "a"]}, "keys are equal"),
            ({"actual": np.zeros(0, np.int64), "proba": np.ones((1, 0, 3))}, "no rows"),
            ({"actual": np.array([0, 1, 3])}, "actual: row 2 has class 3, expected 0 to 2"),
            ({"actual": np.array([0, -1, 2])}, "actual: row 1 has class -1"),
            ({"actual": np.array([0.0, 1.0, 2.0])}, "got float64, expected int64"),
            (changed((1, 2, 0), np.nan), r"class 0, row 2, member 1: got nan, expected one in \[0, 1\] \(1 such\)"),
            (changed((0, 1), [1.5, -0.5, 0]), r"class 0, row 1, member 0: got 1.5.*\(2 such\)"),
            (changed((0, 1, 2), -0.1), "class 2, row 1, member 0: got -0.1"),
            (
                changed((1, 0, 0), 0.3336),
                r"row 0, member 1: sum to 1.000266\d*, expected 1 within 0.0001 \(1 such rows",
            ),
        ],
    )
    def test_rows(self, changes, message):
        with pytest.raises(InputError, match=message):
            multiclass.summarise(**(GOOD | changes), settings=QUICK)

    def test_names_that_make_the_key_of_an_interval(self):
        with pytest.raises(InputError, match="keys are equal"):
            multiclass.summarise(**(GOOD | {"names": ["a", "b", "a_lo"]}), settings=bootstrap(5))
