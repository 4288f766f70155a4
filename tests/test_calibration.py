"""Temperatures and thresholds: closed forms, a slow search, and what they leave alone."""

import math

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit, softmax
from sklearn.metrics import log_loss, roc_auc_score, roc_curve

from whence import calibration
from whence.base.errors import InputError


@pytest.fixture
def answers():
    """Truth drawn from log odds, and scores that are twice as sure of themselves as they may be."""
    rng = np.random.default_rng(5)
    odds = rng.normal(0, 2, 4000)
    return rng.random(4000) < expit(odds), expit(2 * odds)


@pytest.mark.parametrize("share", [0.6, 0.9, 0.98])
def test_one_confidence_becomes_the_share_that_is_right(share):
    right = round(1000 * share)
    score = np.where(np.arange(1000) < 500, 0.95, 0.05)
    positive = np.roll(np.arange(1000) < 500, (1000 - right) // 2)
    found = calibration.temperature(positive, score)
    assert found == pytest.approx(logit(0.95) / logit(share), rel=1e-9)
    np.testing.assert_allclose(calibration.cooled(score, found), np.where(score > 0.5, share, 1 - share))


def test_a_slow_search_finds_the_same(answers):
    positive, score = answers
    slow = minimize_scalar(
        lambda log: log_loss(positive, expit(logit(score) / math.exp(log))), bounds=(-3, 3), method="bounded"
    )
    found = calibration.temperature(positive, score)
    assert found == pytest.approx(math.exp(slow.x), rel=1e-4)
    assert found == pytest.approx(2, rel=0.1)


def test_a_temperature_leaves_the_order_and_the_sides_alone(answers):
    positive, score = answers
    np.testing.assert_allclose(calibration.cooled(score, 1), score.clip(1e-7, 1 - 1e-7), rtol=1e-6)
    cool = calibration.cooled(score, 3)
    assert np.array_equal(np.argsort(cool, kind="stable"), np.argsort(score, kind="stable"))
    assert np.array_equal(cool >= 0.5, score >= 0.5)
    assert roc_auc_score(positive, cool) == roc_auc_score(positive, score)


@pytest.mark.parametrize(("sure", "expected"), [(0.9, calibration.COLDEST), (0.1, calibration.HOTTEST)])
def test_without_an_error_or_a_right_answer_the_temperature_ends_at_its_bounds(sure, expected):
    positive = np.array([True, False] * 20)
    assert calibration.temperature(positive, np.where(positive, sure, 1 - sure)) == pytest.approx(expected)


def test_scores_of_0_and_1_have_a_temperature():
    positive = np.array([True, True, False, False])
    found = calibration.temperature(positive, np.array([1.0, 0.0, 0.0, 0.0]))
    assert found == pytest.approx(logit(1 - calibration.EDGE) / logit(0.75), rel=1e-6)


def test_youden_is_where_scikit_learns_curve_is_highest_above_the_diagonal(answers):
    positive, score = answers
    fpr, tpr, threshold = roc_curve(positive, score, drop_intermediate=False)
    assert calibration.youden(positive, score) == threshold[np.argmax(tpr - fpr)]


@pytest.mark.parametrize("rate", [0.0, 0.01, 0.1, 0.999])
def test_a_rate_of_false_alarms_is_kept_and_the_next_threshold_breaks_it(answers, rate):
    positive, score = answers
    threshold = calibration.at_most(positive, score, rate)
    assert calibration.operating(positive, score, threshold)["false_positive_rate"] <= rate
    below = score[score < threshold].max()
    assert calibration.operating(positive, score, below)["false_positive_rate"] > rate


def test_where_every_score_is_a_false_alarm_nothing_is_called_positive():
    positive, score = np.array([True, False]), np.array([0.3, 0.3])
    threshold = calibration.at_most(positive, score, 0.5)
    assert calibration.operating(positive, score, threshold) == {
        "true_positive_rate": 0,
        "false_positive_rate": 0,
        "balanced_accuracy": 0.5,
    }


@pytest.mark.parametrize("function", [calibration.temperature, calibration.youden])
def test_one_class_is_refused(function):
    with pytest.raises(InputError, match="both classes"):
        function(np.ones(3, bool), np.array([0.1, 0.2, 0.3]))


# Of any number of classes


@pytest.fixture
def several():
    """Truth drawn from probabilities of five classes, and probabilities that are half as sure as they may be."""
    rng = np.random.default_rng(6)
    z = rng.normal(0, 2, (4000, 5))
    return np.array([rng.choice(5, p=row) for row in softmax(z, axis=1)]), softmax(z / 2, axis=1)


def test_a_slow_search_finds_the_same_of_several_classes(several):
    actual, proba = several
    slow = minimize_scalar(
        lambda log: log_loss(actual, softmax(np.log(proba) / math.exp(log), axis=1)), bounds=(-3, 3), method="bounded"
    )
    found = calibration.fitted(actual, proba)
    assert found == pytest.approx(math.exp(slow.x), rel=1e-4)
    assert found == pytest.approx(0.5, rel=0.1)


def test_several_classes_keep_their_order_and_sum_to_1(several):
    _, proba = several
    np.testing.assert_allclose(calibration.tempered(proba, 1), proba, rtol=1e-12)
    for by in (calibration.COLDEST, 0.5, 3, calibration.HOTTEST):
        cool = calibration.tempered(proba, by)
        np.testing.assert_allclose(cool.sum(axis=1), 1, rtol=1e-12)
        np.testing.assert_array_equal(cool.argmax(axis=1), proba.argmax(axis=1))
    roots = np.sqrt(proba)
    np.testing.assert_allclose(calibration.tempered(proba, 2), roots / roots.sum(axis=1, keepdims=True), rtol=1e-9)


def test_a_score_is_a_case_of_two_classes(answers):
    positive, score = answers
    proba = np.stack([1 - score, score], axis=1)
    assert calibration.temperature(positive, score) == calibration.fitted(positive.astype(int), proba)
    inside = score.clip(1e-7, 1 - 1e-7)
    np.testing.assert_allclose(calibration.tempered(proba, 3)[:, 1], expit(logit(inside) / 3), rtol=1e-9)


def test_the_names_of_the_classes_do_not_matter(several):
    actual, proba = several
    order = np.array([3, 1, 4, 0, 2])
    turned = calibration.fitted(np.argsort(order)[actual], proba[:, order])
    assert turned == pytest.approx(calibration.fitted(actual, proba), rel=1e-9)


def test_no_row_is_refused():
    with pytest.raises(InputError, match=r"^no valid rows to choose a temperature by; raise valid_share, "):
        calibration.fitted(np.zeros(0, int), np.zeros((0, 3)))


def test_a_file_holds_a_temperature_for_each_member(tmp_path):
    path = tmp_path / "new" / "c.json"
    calibration.write(path, [calibration.COLDEST, 1.23456789, calibration.HOTTEST])
    assert calibration.read(path) == [0.05, 1.234568, 20.0]


@pytest.mark.parametrize(
    "content", [None, "", "[", "[1.0]", "{}", '{"temperatures": []}', '{"temperatures": [0.01]}', "[" * 100_000]
)
def test_a_file_of_anything_else_is_refused(tmp_path, content):
    path = tmp_path / "c.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=rf"^{path}"):
        calibration.read(path)
