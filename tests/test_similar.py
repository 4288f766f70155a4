"""The search for near-duplicates: what counts as one photograph, and that no pair is missed."""

import numpy as np
import pytest

from whence import similar
from whence.base.errors import InputError

SECTION = similar.Settings(similarity=0.6, detail=0.6, rmse=50, most_pairs=1000)


@pytest.fixture
def images():
    """Sixty fields whose amplitude falls with frequency as that of photographs does, (60, 32, 32, 3), no two alike."""
    rng = np.random.default_rng(3)
    frequency = np.hypot(np.fft.fftfreq(32)[:, None], np.fft.rfftfreq(32)).clip(1 / 32)[:, :, None]
    fields = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(60, 32, 32, 3)), axes=(1, 2)) / frequency, axes=(1, 2))
    return np.clip(128 + 50 * fields / fields.std(), 0, 255).astype(np.uint8)


def pairs(images, rows=None, **changes):
    chosen = np.arange(len(images)) if rows is None else np.array(rows)
    return similar.near_duplicates(images, chosen, SECTION.model_copy(update=changes)).pair.tolist()


def test_unrelated_images_are_not_near_duplicates(images):
    assert pairs(images) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image,
        lambda image: np.roll(image, 1, axis=0),
        lambda image: np.roll(image, (-1, 1), axis=(0, 1)),
        lambda image: image // 2 + 40,
        lambda image: np.clip(image + np.random.default_rng(0).normal(0, 8, image.shape), 0, 255).astype(np.uint8),
    ],
    ids=["copy", "down", "aslant", "paler", "noisy"],
)
def test_a_changed_copy_is_found(images, change):
    images[41] = change(images[7].copy())
    assert pairs(images) == [[7, 41]]


def test_a_mirror_image_is_not_a_near_duplicate(images):
    images[41] = images[7, :, ::-1]
    assert pairs(images) == []


def test_only_the_rows_that_are_asked_for_are_compared(images):
    images[41] = images[50] = images[7]
    assert pairs(images, [1, 7, 30, 50]) == [[7, 50]]
    assert pairs(images) == [[7, 41], [7, 50], [41, 50]]


@pytest.mark.parametrize("block", [1, 7, 60, 61])
def test_blocks_change_nothing(images, block, monkeypatch):
    images[[3, 20, 59]] = images[[4, 58, 0]]
    expected = pairs(images)
    assert expected == [[0, 59], [3, 4], [20, 58]]
    monkeypatch.setattr(similar, "BLOCK", block)
    assert pairs(images) == expected


def test_every_pair_above_the_threshold_is_looked_at(images):
    found = similar._similar(
        similar._descriptors(images, np.arange(60)), SECTION.model_copy(update={"similarity": 0.1})
    )
    white = similar._descriptors(images, np.arange(60))
    expected = [(a, b) for a in range(60) for b in range(a + 1, 60) if white[a] @ white[b] >= 0.1]
    assert [tuple(pair) for pair in found.tolist()] == expected


def test_thumbnails_are_means_over_cells(images):
    small = similar._thumbnails(images[:, :20, :28])
    cell = (
        images[5, 5:7, 3:7].astype(float).mean(axis=(0, 1))
    )  # of eight rows of 20, the third; of 28 columns, the second
    image = np.stack([
        [images[5, 20 * r // 8 : 20 * (r + 1) // 8, 28 * c // 8 : 28 * (c + 1) // 8].mean((0, 1)) for c in range(8)]
        for r in range(8)
    ])  # fmt: skip
    np.testing.assert_allclose(image[2, 1], cell)
    np.testing.assert_allclose(small[5], ((image - image.mean()) / image.std()).ravel(), rtol=1e-4, atol=1e-5)


def test_thresholds_are_kept(images):
    images[41] = images[7] // 2 + 40
    difference = images[7].astype(float) - images[41]
    near = similar.near_duplicates(images, np.arange(60), SECTION)
    assert near.rmse[0] == pytest.approx(np.sqrt((difference**2).mean()), rel=1e-6)
    assert near.detail[0] == pytest.approx(similar.detail(images[[7]], images[[41]])[0])
    assert pairs(images, rmse=float(near.rmse[0]) - 0.1) == []
    assert pairs(images, detail=float(near.detail[0]) + 1e-4) == []


def test_too_many_similar_pairs_are_refused(images):
    images[:10] = images[0]
    with pytest.raises(InputError, match=r"audit: similarity: got 0.6, and more than 44 pairs .*raise it"):
        pairs(images, most_pairs=44)
    assert len(pairs(images, most_pairs=45)) == 45


def test_detail_is_what_is_left_without_the_mean_around(images):
    high = similar._high(images[:2])
    edged = np.pad(images[:2].astype(float), ((0, 0), (2, 2), (2, 2), (0, 0)), mode="edge")
    for row, column in [(0, 0), (13, 31), (16, 9)]:
        around = edged[:, row : row + 5, column : column + 5].mean(axis=(1, 2))
        np.testing.assert_allclose(high[:, row, column], images[:2, row, column] - around, atol=1e-3)


def test_detail_does_not_mind_brightness_contrast_or_order(images):
    a, b = images[:20], images[20:40]
    both = similar.detail(a, b)
    assert np.abs(both).max() < 0.5
    np.testing.assert_allclose(similar.detail(b, a), both, atol=0.05)  # the shift leaves out another edge
    np.testing.assert_allclose(similar.detail(a, a), 1, atol=1e-5)
    np.testing.assert_allclose(similar.detail(a // 2, a // 2 + 60), 1, atol=1e-5)


def test_images_without_detail_agree_with_nothing(images):
    images[3:6] = 200
    assert similar.detail(images[[3, 3]], images[[4, 9]]).tolist() == [0, 0]
    assert pairs(images) == []
