"""What is counted of answers about streets, where a network is wrong, and what tells two datasets of streets apart."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score
from torch.nn import functional

from whence import metrics
from whence.roads import apart, counting, mistakes, scores
from whence.roads.classes import IGNORED, LEVEL1, Classes, wrong

NAMES = ("road", "car", "sky")
KINDS = Classes(NAMES, ("000000",) * 3, (0, 3, 6), np.array([0, 1, 1, 2, *[IGNORED] * 252], np.uint8))


def asked(frames=3, classes=3, seed=0, spread=3.0):
    """Return logits, masks of ids 0 to 4, and the classes of these."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, 5, (frames, 10, 12)).astype(np.uint8)
    z = torch.from_numpy(rng.normal(0, spread, (frames, classes, 10, 12)).astype(np.float32))
    return z, torch.from_numpy(ids), KINDS.of_id[ids]


class TestCounts:
    def test_they_are_those_of_a_loop(self):
        z, ids, truth = asked()
        found = counting.count(z, ids, KINDS)
        by_id, ranked = np.zeros((3, 256, 3), int), np.zeros((3, 3, 2, counting.BINS), int)
        for k, row, column in np.ndindex(*ids.shape):
            logits = z[k, :, row, column].double()
            by_id[k, ids[k, row, column], logits.argmax()] += 1
            if truth[k, row, column] == IGNORED:
                continue
            for number, p in enumerate(logits.softmax(0).tolist()):
                place = int((np.log(p / (1 - p)) + counting.REACH) * counting.BINS / (2 * counting.REACH))
                ranked[k, number, int(truth[k, row, column] == number), min(max(place, 0), counting.BINS - 1)] += 1
        assert np.array_equal(found.ids, by_id)
        assert np.array_equal(found.ranked.sum(3), ranked.sum(3))
        assert np.abs(found.ranked.cumsum(3) - ranked.cumsum(3)).max() <= 1, "float32 at the edge of a bin"
        assert np.abs(found.ranked - ranked).sum() <= 0.02 * ranked.sum()

    def test_counts_of_both_kinds_agree(self):
        z, ids, _ = asked(seed=1)
        found = counting.count(z, ids, KINDS)
        matrices = scores.confusion(found.ids, KINDS.of_id)
        assert np.array_equal(found.ranked[:, :, 1].sum(2), matrices.sum(2))
        assert (found.ranked.sum((2, 3)) == matrices.sum((1, 2))[:, None]).all()

    def test_bins_rise_with_probability(self):
        odds = torch.linspace(-20, 20, 4000)
        z = torch.stack([torch.zeros(4000), odds], 1)[:, :, None, None]
        found = counting.count(z, torch.ones(4000, 1, 1, dtype=torch.uint8), KINDS._replace(names=NAMES[:2]))
        bins, other = found.ranked[:, 1, 1].argmax(1), found.ranked[:, 0, 0].argmax(1)
        assert (np.diff(bins) >= 0).all()
        assert (np.diff(other) <= 0).all()
        assert (bins[0], bins[-1]) == (0, counting.BINS - 1)
        exact = odds.abs().numpy() < 9  # float32 tells little apart near 1
        assert np.abs((bins + 0.5) / 32 - 16 - odds.numpy())[exact].max() < 0.017
        assert np.abs(other + bins - (counting.BINS - 1))[exact].max() <= 1, "two probabilities add up to one"

    def test_average_precision_is_near_that_of_the_probabilities(self):
        z, ids, truth = asked(40, spread=2.0)
        hot = functional.one_hot(torch.from_numpy(np.where(truth == IGNORED, 0, truth)).long(), 3)
        z += 2 * hot.permute(0, 3, 1, 2)
        found = scores.average_precision(counting.count(z, ids, KINDS).ranked.sum(0))
        p, counted = z.double().softmax(1).permute(0, 2, 3, 1).numpy()[truth != IGNORED], truth[truth != IGNORED]
        for k in range(3):
            wanted = average_precision_score(counted == k, p[:, k])
            assert 0.4 < wanted < 0.99
            assert found[k] == pytest.approx(wanted, abs=0.005)

    def test_probabilities_of_groups_add_up(self):
        z, *_ = asked(classes=5)
        p, parts = counting.grouped(z, (2, 0, 2, 3, 0), 4).softmax(1), z.softmax(1)
        nothing = torch.zeros_like(p[:, 0])
        wanted = [parts[:, 1] + parts[:, 4], nothing, parts[:, 0] + parts[:, 2], parts[:, 3]]
        torch.testing.assert_close(p, torch.stack(wanted, 1))
        torch.testing.assert_close(counting.grouped(z, (0, 1, 2, 3, 4), 5), z.log_softmax(1))


# Mistakes


def matrix(*hits, of=100):
    """Return a confusion matrix: of `of` pixels of each class so many are told right, the rest is called the next."""
    sizes = of if isinstance(of, tuple) else (of,) * len(hits)
    found = np.diag(hits).astype(np.int64)
    for k, (hit, size) in enumerate(zip(hits, sizes, strict=True)):
        found[k, (k + 1) % len(hits)] += size - hit
    return found


class TestWorst:
    MATRICES = np.stack([matrix(90, 80), matrix(50, 100), matrix(0, 3, of=(397, 3)), matrix(100, 0, of=(100, 0))])

    def test_they_are_the_frames_of_lowest_iou_of_each_class(self):
        found = mistakes.worst(self.MATRICES, 0.01, 2)
        assert [pair[:2] for pair in found] == [(2, 0), (1, 0), (1, 1), (0, 1)]
        assert [iou for *_, iou in found] == pytest.approx([0, 50 / 100, 100 / 150, 80 / 110])

    def test_one_of_which_a_frame_holds_too_little_comes_after_all_others(self):
        frames = {
            least: [k for k, c, _ in mistakes.worst(self.MATRICES, least, 9) if c == 1] for least in (0, 0.0075, 0.01)
        }
        assert frames == {0: [2, 1, 0], 0.0075: [2, 1, 0], 0.01: [1, 0, 2]}
        assert [k for k, c, _ in mistakes.worst(self.MATRICES, 0.01, 2) if c == 1] == [1, 0]

    def test_of_equals_the_first_is_taken(self):
        same = np.stack([matrix(5, 5, of=10)] * 4)
        assert [pair[:2] for pair in mistakes.worst(same, 0.01, 1)] == [(0, 0), (0, 1)]
        assert [pair[:2] for pair in mistakes.worst(same, 0.6, 1)] == [(0, 0), (0, 1)]


def test_edges_by_hand():
    mask = np.array([[0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 1], [2, 0, 255, 1]], np.uint8)
    # Corners do not touch; what counts as nothing is another class, too.
    whole = np.zeros((4, 4), np.uint8)
    found = mistakes.edges(np.stack([mask, whole]), 4)
    assert found.tolist() == [[5, 3, 1, 0], [0, 0, 0, 0]]
    assert np.array_equal(mistakes.edges(mask.T[None], 4), found[:1])


def test_errors_are_where_it_counts():
    truth, called = np.array([[0, 1], [IGNORED, 2]], np.uint8), np.array([[1, 1], [0, 0]], np.uint8)
    assert wrong(truth, called).tolist() == [[True, False], [False, True]]


class TestNotes:
    def notes(self, matrices, touching=None):
        names = ("road", "car", "sky", "pole")
        matrices = np.pad(matrices, ((0, 0), *[(0, 4 - matrices.shape[1])] * 2))
        about = metrics.Settings(resamples=0, confidence=0.95, ece_bins=15, seed=0)
        ranked = np.zeros((len(matrices), 4, 2, 1), np.int64)
        ranked[:, :, 1, 0] = matrices.sum(2)
        ranked[:, :, 0, 0] = matrices.sum((1, 2))[:, None] - matrices.sum(2)
        summary = scores.summarise(matrices, ranked, np.array([f"{k}" for k in range(len(matrices))]), about)
        touching = np.zeros((len(matrices), 4), np.int64) if touching is None else touching
        return mistakes.notes(summary, matrices, touching, names)

    def test_what_is_absent_has_no_figures(self):
        found = self.notes(np.stack([matrix(100, 90, 80)] * 3))
        assert found["note"] == ["", "", "", "is in no frame"]
        assert found["edge"] == [0, 0, 0, "n/a"]
        assert found["frames"] == [1, 1, 1, 0]
        assert found["taken_for"] == ["", "sky", "road", ""]
        assert found["taken_share"] == [0, 0.1, 0.2, 0]

    def test_a_weak_class_is_told_why(self):
        often, seldom = matrix(1000, 0, 1000, of=(1000, 0, 1000)), matrix(1000, 4, 1000, of=(1000, 20, 1000))
        touching = np.zeros((3, 4), np.int64)
        touching[0, :2] = 100, 8
        found = self.notes(np.stack([seldom, often, often]), touching)
        assert found["note"][:3:2] == ["", ""]
        reasons = "has 0.3% of the pixels; is in 33% of the frames; touches others with 40% of its pixels"
        assert found["note"][1] == f"weak: {reasons}; is called sky in 80% of them"
        assert found["edge"][:2] == [pytest.approx(100 / 3000, abs=1e-6), 0.4]

    def test_one_that_nothing_explains(self):
        whole = np.array([[[96, 4, 0], [200, 60, 0], [0, 0, 50]]])
        assert self.notes(whole)["note"][0] == "weak: no figure here says why"


# What tells two datasets apart


def pictures(count=6, height=40, width=56, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, height, width, 3), np.uint8), rng.choice([0, 3, 6, 255], (count, height, width))


def seen(clue, images, masks, seed=0, side=16):
    found = apart.CLUES[clue](images, masks.astype(np.uint8), side, np.random.default_rng(seed))
    assert (found.shape, found.dtype) == ((len(images), side, side, 3), np.uint8)
    return found


class TestClues:
    def test_each_gives_squares_of_any_frames_and_leaves_them_as_they_are(self):
        images, masks = pictures()
        given = images.copy()
        for clue in apart.CLUES:
            for side in (16, 48):
                assert np.array_equal(seen(clue, images, masks, side=side), seen(clue, images, masks, side=side))
        assert np.array_equal(images, given)

    def test_whole_is_the_means_of_boxes(self):
        images, masks = pictures(height=32, width=64)
        boxes = images.reshape(6, 16, 2, 16, 4, 3).mean((2, 4))
        assert np.abs(seen("whole", images, masks) - boxes).max() <= 1

    def test_colour_keeps_the_pixels_and_not_their_places(self):
        images, masks = pictures()
        whole, mixed = (seen(clue, images, masks).reshape(6, -1, 3) for clue in ("whole", "colour"))
        for one, other in zip(whole, mixed, strict=True):
            assert sorted(map(tuple, one)) == sorted(map(tuple, other))
        assert (whole != mixed).any(2).mean() > 0.9
        orders = [seen("colour", images[:1].repeat(2, 0), masks[:2])[k] for k in (0, 1)]
        assert not np.array_equal(*orders), "each frame has an order of its own"

    def test_detail_does_not_see_colour_or_light(self):
        images, masks = pictures()
        grey = np.rint(images @ apart.GREY).astype(np.uint8)[..., None].repeat(3, 3)
        found = seen("detail", images, masks)
        assert np.array_equal(found, seen("detail", grey, masks))
        assert np.ptp(found, axis=3).max() == 0
        assert not np.array_equal(found, seen("detail", images, masks, seed=1)), "anywhere in the frame"
        dim = images // 2
        assert np.abs(seen("detail", dim, masks).astype(int) - seen("detail", dim + 60, masks)).max() <= 1
        assert np.ptp(seen("detail", np.full_like(images, 200), masks)) <= 1

    def test_layout_sees_masks_alone(self):
        images, masks = pictures()
        found = seen("layout", images, masks)
        assert np.array_equal(found, seen("layout", images[::-1], masks, seed=1))
        assert not np.array_equal(found, seen("layout", images, masks[::-1]))
        paint = {tuple(bytes.fromhex(LEVEL1[k].colour)) for k in (0, 3, 6)} | {(0, 0, 0)}
        assert {tuple(map(int, pixel)) for pixel in found.reshape(-1, 3)} == paint


@settings(max_examples=60, deadline=None)
@given(
    st.integers(2, 4), st.integers(0, 6), st.integers(0, 6), st.lists(st.integers(0, 9), max_size=40), st.integers(0, 9)
)
def test_folds_are_of_whole_units_and_both_datasets(count, first, second, more, seed):
    rng = np.random.default_rng(seed)
    drives = [*(f"a/{k}" for k in range(count + first)), *(f"b/{k}" for k in range(count + second))]
    unit = rng.permutation([*drives, *(drives[k % len(drives)] for k in more)])
    later = np.char.startswith(unit, "b")
    fold = apart.folds(unit, later, count, rng)
    for name in drives:
        assert len(np.unique(fold[unit == name])) == 1
    for side in (False, True):
        sizes = [len(np.unique(unit[(fold == k) & (later == side)])) for k in range(count)]
        assert min(sizes) >= 1
        assert max(sizes) - min(sizes) <= 1
    asked = np.zeros(len(unit), int)
    for learnt, held in apart.held_out(fold):
        assert np.array_equal(learnt, ~held)
        assert not set(unit[learnt]) & set(unit[held])
        asked += held
    assert (asked == 1).all()


def test_frames_are_cut_to_one_shape_from_the_middle():
    images = np.arange(2 * 4 * 10 * 3, dtype=np.uint8).reshape(2, 4, 10, 3)
    assert np.array_equal(apart.cut(images, 1.5), images[:, :, 2:8])
    assert np.array_equal(apart.cut(images[..., 0], 1.5), images[:, :, 2:8, 0])
    assert np.array_equal(apart.cut(images, 9.0), images)


def test_folds_are_drawn():
    unit = np.array([f"{side}{k}" for side in "ab" for k in range(20)])
    later = np.repeat([False, True], 20)
    one, again, other = (apart.folds(unit, later, 2, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
