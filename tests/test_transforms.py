"""What is taken away from images: closed forms, and what stays."""

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from whence.transforms import PATCH, TRANSFORMS

SHUFFLES = {"patch_shuffle": PATCH, "pixel_shuffle": 1}


@pytest.fixture(scope="module")
def images():
    """Six smooth, coloured fields, (6, 32, 32, 3)."""
    fields = ndimage.gaussian_filter(np.random.default_rng(4).normal(size=(6, 32, 32, 3)), (0, 2, 2, 0), mode="wrap")
    return np.clip(120 + 45 * fields / fields.std(), 0, 255).astype(np.uint8)


def changed(images, name, seed=0):
    return TRANSFORMS[name](images, np.random.default_rng(seed))


@pytest.mark.parametrize("name", TRANSFORMS)
def test_shape_dtype_and_the_input_stay(images, name):
    before = images.copy()
    out = changed(images, name)
    assert (out.shape, out.dtype) == (images.shape, np.uint8)
    assert np.array_equal(images, before)
    assert np.array_equal(out, changed(images, name))
    assert not np.array_equal(out, images)
    assert changed(images[:, :20], name).shape == (6, 20, 32, 3)


@pytest.mark.parametrize("name", sorted(set(TRANSFORMS) - set(SHUFFLES)))
def test_an_image_is_changed_whatever_stands_beside_it(images, name):
    assert np.array_equal(changed(images, name)[2:3], changed(images[2:3], name))


def test_box16_makes_squares_of_their_mean(images):
    out = changed(images, "box16")
    blocks = images.reshape(6, 16, 2, 16, 2, 3).mean(axis=(2, 4))
    expected = blocks.repeat(2, axis=1).repeat(2, axis=2)
    assert np.abs(out - expected).max() <= 0.5


@pytest.mark.parametrize(
    ("name", "side", "resampling"),
    [("lanczos24", 24, Image.Resampling.LANCZOS), ("enlarged", 256, Image.Resampling.BICUBIC)],
)
def test_resampling_is_pillows(images, name, side, resampling):
    for image, out in zip(images, changed(images, name), strict=True):
        there = Image.fromarray(image).resize((side, side), resampling)
        difference = np.abs(out - np.asarray(there.resize((32, 32), resampling), float))
        assert difference.mean() < 0.4
        assert difference.max() < 8


def test_low_and_high_frequencies_together_are_the_image(images):
    low, high = (changed(images, name).astype(float) for name in ("low_pass", "high_pass"))
    inside = (high > 0) & (high < 255)
    assert np.abs(low + high - 127.5 - images)[inside].max() <= 1.01
    expected = ndimage.gaussian_filter(images.astype(float), (0, 1.5, 1.5, 0), mode="reflect", radius=(0, 4, 4, 0))
    assert np.abs(low - expected).max() <= 0.51


@pytest.mark.parametrize(("name", "side"), SHUFFLES.items())
def test_shuffles_keep_the_squares_of_each_image(images, name, side):
    out = changed(images, name)

    def squares(image):
        parts = image.reshape(32 // side, side, 32 // side, side, 3).swapaxes(1, 2).reshape(-1, side * side * 3)
        return sorted(map(bytes, parts))

    for image, mixed in zip(images, out, strict=True):
        assert squares(image) == squares(mixed)
    same = changed(np.repeat(images[:1], 3, axis=0), name)
    assert not np.array_equal(same[0], same[1]), "each image in an order of its own"
    assert not np.array_equal(out, changed(images, name, seed=1))


def test_what_is_left_over_at_an_edge_stays(images):
    out = changed(images[:, :30], "patch_shuffle")
    assert np.array_equal(out[:, 28:], images[:, 28:30])


def test_the_mean_colour_is_all_that_is_left(images):
    out = changed(images, "mean_colour").astype(float)
    assert np.ptp(out, axis=(1, 2)).max() == 0
    np.testing.assert_allclose(out[:, 0, 0], images.mean(axis=(1, 2)), atol=0.5)


def test_edges_are_where_the_luma_is_steep():
    step = np.zeros((1, 8, 8, 3), np.uint8)
    step[:, :, 4:] = 100
    out = changed(step, "edges")[0, :, :, 0]
    assert out[:, [3, 4]].min() == out[:, [3, 4]].max() == 100
    assert out[:, [0, 1, 2, 5, 6, 7]].max() == 0


def test_the_amplitude_keeps_the_spectrum_and_loses_the_places(images):
    dull = (images // 4 + 96).astype(np.uint8)  # room enough that nothing is clipped
    out = changed(dull, "amplitude")
    strength = [np.abs(np.fft.fft2(x.astype(float), axes=(1, 2))) for x in (dull, out)]
    assert np.corrcoef(strength[0][:, 1:, 1:].ravel(), strength[1][:, 1:, 1:].ravel())[0, 1] > 0.95
    assert abs(np.corrcoef(dull.ravel(), out.ravel())[0, 1]) < 0.5
    np.testing.assert_allclose(out.mean(axis=(1, 2)), dull.mean(axis=(1, 2)), atol=0.6)


def test_the_phase_forgets_the_spectrum_and_keeps_the_places(images):
    soft = changed(images, "low_pass")
    one, other = (changed(x, "phase").astype(float) for x in (images, soft))
    assert np.corrcoef(images.ravel(), one.ravel())[0, 1] > 0.5
    strength = [np.abs(np.fft.fft2(x, axes=(1, 2)))[:, 5:12, 5:12].mean() for x in (one, other)]
    before = [np.abs(np.fft.fft2(x.astype(float), axes=(1, 2)))[:, 5:12, 5:12].mean() for x in (images, soft)]
    assert before[0] > 1.5 * before[1]
    assert strength[0] == pytest.approx(strength[1], rel=0.2)
