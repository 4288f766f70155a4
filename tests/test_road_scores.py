"""Scores of segmentations: nine pixels by hand, torchmetrics and scikit-learn, laws of order, and of the interval."""

import json
import math
import warnings

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from whence.base.errors import InputError
from whence.metrics import DECIMALS, Settings
from whence.roads import scores
from whence.roads.classes import IGNORED
from whence.table.tables import read_csv, write_csv

QUICK = Settings(resamples=0, confidence=0.95, ece_bins=15, seed=0)
CLOSE = {"abs": 1e-12, "rel": 0}
PER_CLASS = ("iou", "dice", "precision", "recall", "f1", "average_precision")
MEANS = (*scores.MEANS, "pixel_accuracy", "weighted_iou")


@pytest.fixture(autouse=True)
def silent():
    """What is not applicable is not warned about."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.fixture(scope="module")
def reference():
    """The package torchmetrics, whose import takes seconds: where it is used alone."""
    import torchmetrics.segmentation

    return torchmetrics


def bootstrap(resamples=200, **changes):
    return QUICK.model_copy(update={"resamples": resamples, **changes})


def count(masks, called, ids, classes):
    """Return counts (n, ids, K): how many pixels of each id of a mask (n, P) are called each class."""
    return np.array(
        [
            [[(c[m == each] == k).sum() for k in range(classes)] for each in ids]
            for m, c in zip(masks, called, strict=True)
        ]
    )


def rank(truth, bins, count):
    """Return ranked (n, K, 2, B) of the classes (n, P) of pixels and the bins (n, P, K) of their probabilities."""
    return np.array(
        [
            [
                [np.bincount(b[(t != IGNORED) & ((t == k) == side), k], minlength=count) for side in (False, True)]
                for k in range(bins.shape[2])
            ]
            for t, b in zip(truth, bins, strict=True)
        ]
    )


def matched(matrices, seed=0):
    """Return ranked pixels (n, K, 2, 5), drawn, as many as the matrices (n, K, K) count."""
    rng, truth = np.random.default_rng(seed), matrices.sum(axis=2)
    counts = np.stack([truth.sum(axis=1, keepdims=True) - truth, truth], axis=2)
    return rng.multinomial(counts, np.array([[0.4, 0.3, 0.1, 0.1, 0.1], [0.1, 0.1, 0.1, 0.3, 0.4]]))


def streets(n=12, classes=4, pixels=400, seed=0, ids=None):
    """Draw images whose classes and answers differ: masks of ids (n, P), probabilities (n, P, K), the class of each id.

    Ids are 3, 8, 11, …; two are of class 0 and the second of all is ignored.
    """
    rng = np.random.default_rng(seed)
    ids = np.array([3, 8, 11, *range(20, 19 + classes)] if ids is None else ids)
    of_row = np.array([0, IGNORED, 0, *range(1, classes)], np.uint8)
    share = rng.dirichlet(np.full(len(ids), 2.0), n)
    masks = np.array([rng.choice(ids, pixels, p=each) for each in share])
    truth = of_row[np.searchsorted(ids, masks)]
    logits = rng.normal(size=(n, pixels, classes)) + rng.uniform(0, 3, (n, 1, 1)) * (truth[..., None] == range(classes))
    proba = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    return masks, proba, ids, of_row


def counted(masks, proba, ids, of_row, bins=50):
    """Return what evaluation streams: counts (n, ids, K) and ranked (n, K, 2, B)."""
    truth = of_row[np.searchsorted(ids, masks)]
    classes = proba.shape[2]
    return count(masks, proba.argmax(axis=2), ids, classes), rank(truth, (proba * bins).astype(int), bins)


def drawn(n=30, classes=4, scale=100, seed=0):
    """Draw confusion matrices (n, K, K), with most of their pixels on the diagonal, and ranked pixels to match."""
    rng = np.random.default_rng(seed)
    matrices = rng.poisson(rng.gamma(1, scale, (n, classes, classes)) * (1 + 5 * np.eye(classes)))
    return matrices, matched(matrices, seed)


def one_each(n):
    return np.array([f"{i:03}" for i in range(n)])


def one(n):
    return np.full(n, "one")


def width(figure):
    return figure.hi - figure.lo


def everything(summary):
    return summary.classes | summary.means


def same(first, second):
    """Whether two summaries are equal to the bit."""
    ends = zip(everything(first).values(), everything(second).values(), strict=True)
    return first.images == second.images and all(np.array_equal(x, y, equal_nan=True) for x, y in ends)


# 3 x 3 pixels. Ids: 7 sky, 21 and 22 road, 23 car, 0 ignored; classes: road 0, car 1, sky 2, and nothing of tree 3.
IDS = np.array([0, 7, 21, 22, 23])
OF_ROW = np.array([IGNORED, 2, 0, 0, 1], np.uint8)
MASK = np.array([[7, 7, 0], [23, 23, 21], [21, 22, 22]])
CALLED = np.array([[2, 0, 2], [1, 0, 0], [0, 0, 1]])
MATRIX = [[3, 1, 0, 0], [1, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]]


class TestByHand:
    def test_confusion(self):
        counts = count(MASK.reshape(1, 9), CALLED.reshape(1, 9), IDS, 4)
        assert counts.tolist() == [[[0, 0, 1, 0], [1, 0, 1, 0], [2, 0, 0, 0], [1, 1, 0, 0], [1, 1, 0, 0]]]
        found = scores.confusion(counts, OF_ROW)
        assert found.tolist() == [MATRIX]
        assert found.dtype == np.int64

    def test_figures(self):
        got = {name: values.tolist() for name, values in scores.figures(np.array(MATRIX)).items()}
        # Truth has 4 road, 2 car, 2 sky; called were 5, 2, 1; of these 3, 1, 1 are right.
        expected = {
            "iou": [3 / 6, 1 / 3, 1 / 2],
            "dice": [6 / 9, 2 / 4, 2 / 3],
            "precision": [3 / 5, 1 / 2, 1 / 1],
            "recall": [3 / 4, 1 / 2, 1 / 2],
            "f1": [6 / 9, 2 / 4, 2 / 3],
        }
        assert {name: values[:3] for name, values in got.items()} == expected
        assert all(math.isnan(values[3]) for values in got.values())

    def test_summary(self):
        matrices = np.array([MATRIX])
        ranked = np.zeros((1, 4, 2, 3), np.int64)
        ranked[0, 0] = [[2, 1, 1], [1, 1, 2]]  # of the class: 2 of 3 at the top, 3 of 5, 4 of 8
        ranked[0, 1] = [[5, 1, 0], [0, 0, 2]]
        ranked[0, 2] = [[0, 0, 6], [2, 0, 0]]
        ranked[0, 3] = [[8, 0, 0], [0, 0, 0]]
        got = scores.summarise(matrices, ranked, one(1), QUICK)
        precision = got.classes["average_precision"].value
        assert precision[:3].tolist() == pytest.approx([(2 * 2 / 3 + 3 / 5 + 4 / 8) / 4, 1, 2 / 8], **CLOSE)
        assert math.isnan(precision[3])
        means = {name: float(figure.value) for name, figure in got.means.items()}
        assert means == pytest.approx(
            {
                "mean_iou": (1 / 2 + 1 / 3 + 1 / 2) / 3,
                "mean_dice": (2 / 3 + 1 / 2 + 2 / 3) / 3,
                "class_accuracy": (3 / 4 + 1 / 2 + 1 / 2) / 3,
                "mean_precision": (3 / 5 + 1 / 2 + 1) / 3,
                "mean_f1": (2 / 3 + 1 / 2 + 2 / 3) / 3,
                "mean_average_precision": ((2 * 2 / 3 + 3 / 5 + 4 / 8) / 4 + 1 + 1 / 4) / 3,
                "pixel_accuracy": 5 / 8,
                "weighted_iou": (4 / 2 + 2 / 3 + 2 / 2) / 8,
            },
            **CLOSE,
        )
        assert (got.pixels.tolist(), got.images, got.drives, got.resampled) == ([4, 2, 2, 0], 1, 1, "frames")

    def test_images_are_added_before_they_are_divided(self):
        right, wrong = [[90, 0], [0, 10]], [[0, 10], [0, 10]]
        got = scores.summarise(np.array([right, wrong]), matched(np.array([right, wrong])), one(2), QUICK)
        assert got.classes["iou"].value.tolist() == [90 / 100, 20 / 30]

    def test_perfect(self):
        matrices = np.array([np.diag([5, 3, 1])])
        ranked = np.zeros((1, 3, 2, 2), np.int64)
        ranked[0, :, 0, 0], ranked[0, :, 1, 1] = [4, 6, 8], [5, 3, 1]
        got = scores.summarise(matrices, ranked, one(1), bootstrap(20))
        assert all((end == 1).all() for figure in everything(got).values() for end in figure)


class TestReferences:
    @pytest.mark.parametrize("seed", range(3))
    def test_equal_torchmetrics(self, reference, seed):
        import torch

        masks, proba, ids, of_row = streets(seed=seed)
        counts, ranked = counted(masks, proba, ids, of_row)
        got = scores.summarise(scores.confusion(counts, of_row), ranked, one(len(masks)), QUICK)
        truth = torch.tensor(of_row[np.searchsorted(ids, masks)].astype(int))
        called = torch.tensor(proba.argmax(axis=2))
        assert (truth == IGNORED).any()

        def theirs(name, average):
            how = getattr(reference.classification, f"Multiclass{name}")
            return pytest.approx(how(4, average=average, ignore_index=IGNORED)(called, truth).numpy(), abs=1e-6)

        names = {
            "JaccardIndex": "iou",
            "F1Score": "f1",
            "Precision": "precision",
            "Recall": "recall",
            "Accuracy": "recall",
        }
        for name, ours in names.items():
            assert got.classes[ours].value == theirs(name, "none"), ours
            mean = next(mean for mean, each in scores.MEANS.items() if each == ours)
            assert got.means[mean].value == theirs(name, "macro"), mean
        assert got.means["pixel_accuracy"].value == theirs("Accuracy", "micro")
        assert got.means["weighted_iou"].value == theirs("JaccardIndex", "weighted")
        dice = reference.segmentation.DiceScore(4, average="none", input_format="index")
        kept = [each[truth != IGNORED][None] for each in (called, truth)]
        assert got.classes["dice"].value == pytest.approx(dice(*kept).numpy(), abs=1e-6)

    @pytest.mark.parametrize("bins", [2, 7, 50, 1000])
    def test_average_precision_equals_scikit_learn_on_the_bins(self, bins):
        masks, proba, ids, of_row = streets()
        _, ranked = counted(masks, proba, ids, of_row, bins)
        got = scores.average_precision(ranked.sum(axis=0))
        truth, bin_ = of_row[np.searchsorted(ids, masks)], (proba * bins).astype(int)
        kept = truth != IGNORED
        expected = [average_precision_score(truth[kept] == k, bin_[kept][:, k]) for k in range(4)]
        assert got == pytest.approx(expected, **CLOSE)

    def test_average_precision_of_many_bins_nears_that_of_the_probabilities(self):
        masks, proba, ids, of_row = streets()
        _, ranked = counted(masks, proba, ids, of_row, 2048)
        truth = of_row[np.searchsorted(ids, masks)]
        kept = truth != IGNORED
        expected = [average_precision_score(truth[kept] == k, proba[kept][:, k]) for k in range(4)]
        assert scores.average_precision(ranked.sum(axis=0)) == pytest.approx(expected, abs=2e-3)


def rows_law(confuse):
    """What a row is stands in `of_row` alone: rows of a table in another order change no figure."""
    masks, proba, ids, of_row = streets()
    counts, _ = counted(masks, proba, ids, of_row)
    expected = confuse(counts, of_row)
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(len(ids))
        assert np.array_equal(confuse(counts[:, order], of_row[order]), expected)


def truth_law(confuse):
    """The truth of an image is what its mask holds, counted without any matrix."""
    masks, proba, ids, of_row = streets()
    counts, _ = counted(masks, proba, ids, of_row)
    truth = of_row[np.searchsorted(ids, masks)]
    assert np.array_equal(confuse(counts, of_row).sum(axis=2), [[(t == k).sum() for k in range(4)] for t in truth])


def by_place(counts, of_row):
    """Rows taken for classes in the order of the ids, as if no id were ignored and none shared its class."""
    return counts[:, : counts.shape[2]]


def closed_up(counts, of_row):
    """Ignored rows are dropped and the others take their numbers: wrong from the first shared class on."""
    return counts[:, of_row != IGNORED][:, : counts.shape[2]]


class TestOrder:
    @pytest.mark.parametrize("law", [rows_law, truth_law])
    def test_rows_of_a_table(self, law):
        law(scores.confusion)

    @pytest.mark.parametrize("law", [rows_law, truth_law])
    @pytest.mark.parametrize("confuse", [by_place, closed_up])
    def test_misaligned_rows_break_the_laws(self, law, confuse):
        with pytest.raises(AssertionError):
            law(confuse)

    @pytest.mark.parametrize("unit", [one, one_each])
    def test_classes_take_their_figures_along(self, unit):
        masks, proba, ids, of_row = streets()
        names = np.array(["road", "car", "sky", "tree"])

        def summary(order):
            """Call class order[k] k, in the masks and in the answers."""
            number = np.append(np.argsort(order), [IGNORED] * 252).astype(np.uint8)
            counts, ranked = counted(masks, proba[..., order], ids, number[of_row])
            matrices = scores.confusion(counts, number[of_row])
            got = scores.summarise(matrices, ranked, unit(len(masks)), bootstrap(50))
            return scores.table(got, names[order].tolist()), scores.numbers(got.means)

        columns, means = summary(np.arange(4))
        assert len(set(columns["iou"])) == len(set(columns["average_precision"])) == 4
        for order in ([1, 2, 3, 0], [0, 2, 1, 3], [3, 1, 0, 2]):
            permuted, other = summary(np.array(order))
            assert other == pytest.approx(means, abs=2 * 10**-DECIMALS)
            for name, column in columns.items():
                assert [column[k] for k in order] == permuted[name], name

    @pytest.mark.parametrize("drives", [1, 12])
    def test_images_in_any_order(self, drives):
        matrices, ranked = drawn(36)
        unit = np.array([f"drive {i % drives}" for i in range(36)])
        expected = scores.summarise(matrices, ranked, unit, bootstrap(30))
        for seed in range(3):
            order = np.random.default_rng(seed).permutation(36)
            assert same(scores.summarise(matrices[order], ranked[order], unit[order], bootstrap(30)), expected)

    def test_images_with_one_matrix_are_told_apart_by_their_ranks(self):
        matrices = np.repeat(drawn(1)[0], 9, axis=0)
        ranked = matched(matrices)
        expected = scores.summarise(matrices, ranked, one(9), bootstrap(30))
        assert width(expected.means["mean_average_precision"]) > 0
        assert same(scores.summarise(matrices[::-1], ranked[::-1], one(9), bootstrap(30)), expected)


class TestNotApplicable:
    def summary(self, resamples=50):
        # Tree is called but never there; train is neither; car is there and never called.
        matrices = np.zeros((6, 4, 4), np.int64)
        matrices[:, 0, 0] = np.arange(6) + 20
        matrices[:, 0, 1], matrices[:, 2, 0] = 3, 7
        return scores.summarise(matrices, matched(matrices), one(6), bootstrap(resamples))

    def test_absent_classes_are_not_zero(self):
        got = self.summary().classes
        there = {name: (~np.isnan(figure.value)).tolist() for name, figure in got.items()}
        truth = [True, False, True, False]
        assert there == dict.fromkeys(PER_CLASS, truth) | {"precision": [True, True, False, False]}
        assert (got["iou"].value[2], got["recall"].value[2], got["precision"].value[1]) == (0, 0, 0)
        for figure in got.values():
            assert np.array_equal(np.isnan(figure.lo), np.isnan(figure.value))
            assert np.array_equal(np.isnan(figure.hi), np.isnan(figure.value))

    def test_means_are_over_the_classes_there(self):
        got = self.summary()
        road = 135 / (135 + 18 + 42)
        assert got.means["mean_iou"].value == pytest.approx((road + 0) / 2, **CLOSE)
        assert got.means["class_accuracy"].value == pytest.approx((135 / 153 + 0) / 2, **CLOSE)
        assert got.means["mean_precision"].value == pytest.approx((135 / 177 + 0) / 2, **CLOSE)
        assert got.means["weighted_iou"].value == pytest.approx(road * 153 / 195, **CLOSE)

    def test_table_says_so_and_json_stays_silent(self, tmp_path):
        got = self.summary()
        columns = scores.table(got, ["road", "tree", "car", "train"])
        of = ["iou", "iou_lo", "iou_hi", "dice", "precision", "recall", "f1", "average_precision"]
        assert list(columns) == ["class", *of, "pixels", "share"]
        assert [name for name in of if columns[name][1] == "n/a"] == [name for name in of if name != "precision"]
        assert [name for name in of if columns[name][2] == "n/a"] == ["precision"]
        assert [columns[name][3] for name in of] == ["n/a"] * len(of)
        assert columns["pixels"] == [153, 0, 42, 0]
        assert columns["share"] == [round(153 / 195, DECIMALS), 0, round(42 / 195, DECIMALS), 0]
        write_csv(tmp_path / "t.csv", {name: np.array(column, object) for name, column in columns.items()})
        assert read_csv(tmp_path / "t.csv")["iou"].tolist() == [str(columns["iou"][0]), "n/a", "0.0", "n/a"]
        assert "nan" not in (tmp_path / "t.csv").read_text().lower()
        json.dumps([columns, scores.flat(got), scores.numbers(got.means)], allow_nan=False)

    def test_flat_is_the_headline(self):
        assert tuple(scores.flat(self.summary())) == scores.HEADLINE
        assert tuple(scores.flat(self.summary(resamples=0))) == ("mean_iou", *scores.HEADLINE[3:])
        got = scores.numbers(self.summary().means)
        assert list(got) == [f"{name}{end}" for name in MEANS for end in ("", "_lo", "_hi")]

    def test_numbers_leave_out_what_is_not_applicable(self):
        figure = scores.Figure(np.array(0.5), np.array(np.nan), np.array(np.nan))
        assert scores.numbers({"drop": figure}) == {"drop": 0.5}

    def test_a_resample_without_a_class_is_skipped_for_it(self):
        # One image of ten has cars, all of them found: where a resample has any, their IoU is 1.
        matrices = np.zeros((10, 2, 2), np.int64)
        matrices[:, 0, 0], matrices[0, 1, 1] = 10, 10
        got = scores.summarise(matrices, matched(matrices), one(10), bootstrap())
        assert [end.tolist() for end in got.classes["iou"]] == [[1, 1]] * 3
        assert [float(end) for end in got.means["mean_iou"]] == [1] * 3

    def test_an_image_of_ignored_pixels_alone_changes_nothing(self):
        matrices, ranked = drawn(9)
        more = [np.concatenate([each, np.zeros_like(each[:1])]) for each in (matrices, ranked)]
        got, expected = (scores.summarise(*each, one(len(each[0])), QUICK) for each in (more, (matrices, ranked)))
        assert scores.numbers(got.means) == scores.numbers(expected.means)


class TestInterval:
    @pytest.mark.parametrize("drives", [3, 10])
    def test_equals_a_naive_loop_over_the_same_draws(self, drives):
        matrices, ranked = drawn(33, classes=3)
        unit = np.array([f"{i * drives // 33:02}" for i in range(33)])
        settings = bootstrap(40, confidence=0.9, seed=5)
        got = scores.summarise(matrices, ranked, unit, settings)
        parts = drives if drives >= scores.DRIVES else 33
        order = sorted(range(33), key=lambda i: np.sort(matrices[i], axis=None).tobytes())
        place = np.unique(unit, return_inverse=True)[1] if parts == drives else np.argsort(order)
        weights = np.random.default_rng(5).multinomial(parts, np.full(parts, 1 / parts), size=40)
        values = []
        for weight in weights:
            rows = np.repeat(np.arange(33), weight[place])
            values.append(scores.summarise(matrices[rows], ranked[rows], one(len(rows)), QUICK))
        for name, figure in everything(got).items():
            expected = np.quantile([everything(each)[name].value for each in values], [0.05, 0.95], axis=0)
            assert [figure.lo, figure.hi] == pytest.approx(expected, **CLOSE), name

    def test_accuracy_has_the_binomial_standard_error(self):
        # Each image is wholly right or wholly wrong.
        matrices = np.zeros((400, 2, 2), np.int64)
        matrices[:360, [0, 1], [0, 1]], matrices[360:, [0, 1], [1, 0]] = 50, 50
        got = scores.summarise(matrices, matched(matrices), one_each(400), bootstrap(4000)).means["pixel_accuracy"]
        assert got.value == 0.9
        assert width(got) / (2 * 1.959964) == pytest.approx(math.sqrt(0.9 * 0.1 / 400), rel=0.1)

    @pytest.mark.parametrize("unit", [one, one_each])
    def test_identical_images_have_no_width(self, unit):
        matrices, ranked = (np.repeat(each[:1], 20, axis=0) for each in drawn())
        got = scores.summarise(matrices, ranked, unit(20), bootstrap())
        for name, figure in everything(got).items():
            assert figure.lo == pytest.approx(figure.value, **CLOSE), name
            assert figure.hi == pytest.approx(figure.value, **CLOSE), name

    def test_drives_of_copies_are_wider_than_frames(self):
        matrices, ranked = (np.repeat(each, 9, axis=0) for each in drawn(16))
        drive = np.repeat(one_each(16), 9)
        by_drive, by_frame = (scores.summarise(matrices, ranked, u, bootstrap(2000)) for u in (drive, one(144)))
        assert (by_drive.resampled, by_drive.drives, by_drive.images) == ("drives", 16, 144)
        assert (by_frame.resampled, by_frame.drives, by_frame.images) == ("frames", 1, 144)
        for name in MEANS:
            assert by_drive.means[name].value == by_frame.means[name].value
            assert width(by_drive.means[name]) == pytest.approx(3 * width(by_frame.means[name]), rel=0.15), name

    def test_ten_drives_are_the_fewest(self):
        matrices, ranked = drawn(20)
        ways = [scores.summarise(matrices, ranked, one_each(k)[np.arange(20) % k], bootstrap(5)) for k in (9, 10)]
        assert [each.resampled for each in ways] == ["frames", "drives"]
        assert [each.drives for each in ways] == [9, 10]

    def test_holds_the_value_and_is_ordered(self):
        got = scores.summarise(*drawn(60), one_each(60), bootstrap())
        for name, figure in everything(got).items():
            assert (figure.lo < figure.value).all(), name
            assert (figure.value < figure.hi).all(), name

    def test_more_confidence_widens_it_and_more_images_narrow_it(self):
        narrow, wide = (scores.summarise(*drawn(40), one_each(40), bootstrap(confidence=c)) for c in (0.5, 0.99))
        many = scores.summarise(*drawn(640), one_each(640), bootstrap(confidence=0.99))
        for name in MEANS:
            assert width(narrow.means[name]) < width(wide.means[name])
            assert width(many.means[name]) < 0.5 * width(wide.means[name])

    def test_same_seed_same_bits(self):
        first, again, other = (scores.summarise(*drawn(), one_each(30), bootstrap(seed=s)) for s in (3, 3, 4))
        assert same(first, again)
        assert not same(first, other)

    @pytest.mark.parametrize("block", [1, 70, 2**24])
    def test_block_size_changes_nothing(self, monkeypatch, block):
        expected = scores.summarise(*drawn(), one_each(30), bootstrap(41))
        monkeypatch.setattr(scores, "BLOCK", block)
        assert same(scores.summarise(*drawn(), one_each(30), bootstrap(41)), expected)


class TestLargeCounts:
    def test_more_pixels_than_32_bits_hold(self):
        small, ranked = drawn(12)
        times = 2**33
        few, many = (scores.summarise(small * k, ranked * k, one_each(12), bootstrap(40)) for k in (1, times))
        assert many.pixels.tolist() == [int(pixels) * times for pixels in few.pixels]
        assert min(many.pixels) > 2**31
        for name, figure in everything(few).items():
            assert np.stack(everything(many)[name]) == pytest.approx(np.stack(figure), **CLOSE), name

    def test_confusion_adds_ids_in_64_bits(self):
        counts = np.full((1, 3, 2), 2**31)
        assert scores.confusion(counts, np.array([1, 1, 1], np.uint8)).tolist() == [[[0, 0], [3 * 2**31] * 2]]


class TestDrops:
    def test_by_hand(self):
        first, second = np.array([[[8, 2], [0, 10]]]), np.array([[[5, 5], [0, 10]]])
        each, mean = scores.drops(first, one(1), second, one(1), QUICK)
        assert each.value == pytest.approx([8 / 10 - 5 / 10, 10 / 12 - 10 / 15], **CLOSE)
        assert mean.value == pytest.approx((0.3 + 1 / 6) / 2, **CLOSE)
        assert np.isnan([mean.lo, mean.hi, *each.lo, *each.hi]).all()

    def test_nothing_between_the_same_constant_images(self):
        matrices = np.repeat(drawn(1)[0], 20, axis=0)
        for figure in scores.drops(matrices, one_each(20), matrices[:7], one(7), bootstrap()):
            assert all(end == pytest.approx(0, abs=1e-12) for end in figure)

    def test_the_two_are_resampled_apart(self):
        matrices, ranked = drawn(100)
        alone = scores.summarise(matrices, ranked, one_each(100), bootstrap(2000)).means["mean_iou"]
        _, mean = scores.drops(matrices, one_each(100), matrices, one_each(100), bootstrap(2000))
        assert mean.lo < mean.value == 0 < mean.hi
        assert width(mean) == pytest.approx(math.sqrt(2) * width(alone), rel=0.1)

    def test_a_class_that_one_lacks_has_none_and_leaves_the_mean(self):
        first, second = drawn(20)[0], drawn(20, seed=1)[0]
        second[:, 2] = 0
        each, mean = scores.drops(first, one_each(20), second, one(20), bootstrap())
        assert np.isnan([each.value[2], each.lo[2], each.hi[2]]).all()
        assert mean.value == pytest.approx(each.value[[0, 1, 3]].mean(), **CLOSE)
        assert [scores.cell(value) for value in each.value][2] == "n/a"
        json.dumps(scores.numbers({"drop": mean}), allow_nan=False)

    def test_order_changes_nothing(self):
        first, second = drawn(20)[0], drawn(30, seed=1)[0]
        expected = scores.drops(first, one_each(20), second, one(30), bootstrap())
        got = scores.drops(first[::-1], one_each(20)[::-1], second[::-1], one(30), bootstrap())
        assert all(np.array_equal(x, y) for x, y in zip(got, expected, strict=True))


def wrong(**changes):
    matrices, ranked = drawn(3)
    return {"matrices": matrices, "ranked": ranked, "unit": one(3), "settings": QUICK} | changes


class TestRefused:
    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"unit": one(2)}, r"\(3, 4, 4\) int64 and units \(2,\)"),
            ({"matrices": drawn(3)[0].astype(np.int32)}, "int32"),
            ({"matrices": drawn(3)[0][:, :3]}, r"\(3, 3, 4\)"),
            ({"matrices": np.zeros((3, 4, 4), np.int64)}, "a pixel at least"),
            ({"matrices": -drawn(3)[0]}, "expected counts"),
            ({"ranked": drawn(3)[1][:, :3]}, r"\(3, 3, 2, 5\)"),
            ({"ranked": drawn(3)[1].astype(float)}, "float64"),
            ({"ranked": drawn(3)[1][::-1]}, "image 0, not of class 0 and of it"),
            ({"ranked": drawn(3)[1][:, [1, 0, 2, 3]]}, "image 0, not of class 0 and of it"),
        ],
    )
    def test_counts_that_do_not_fit(self, changes, message):
        with pytest.raises(InputError, match=message):
            scores.summarise(**wrong(**changes))

    def test_negative_ranks(self):
        ranked = drawn(3)[1]
        ranked[1, 2, 0, :2] += [-10_000, 10_000]
        with pytest.raises(InputError, match="image 1, not of class 2"):
            scores.summarise(**wrong(ranked=ranked))

    @pytest.mark.parametrize(
        ("of_row", "message"),
        [([0, 1], r"its rows \(2,\)"), ([0, 1, 2], r"got \[2\], expected 0 to 1, or 255")],
    )
    def test_classes_of_the_rows(self, of_row, message):
        with pytest.raises(InputError, match=message):
            scores.confusion(np.ones((1, 3, 2), np.int64), np.array(of_row, np.uint8))

    def test_counts_of_few_bits(self):
        with pytest.raises(InputError, match="uint8"):
            scores.confusion(np.ones((1, 3, 2), np.uint8), np.array([0, 1, 1], np.uint8))

    def test_names_of_other_classes(self):
        with pytest.raises(InputError, match="2 names for 4 classes"):
            scores.table(scores.summarise(**wrong()), ["road", "sky"])

    def test_drops_of_other_classes(self):
        with pytest.raises(InputError, match="4 and 3 classes"):
            scores.drops(drawn(3)[0], one(3), drawn(3, classes=3)[0], one(3), QUICK)
