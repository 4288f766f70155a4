"""Features: one contract for every module of the folder, and the closed forms of each extractor."""

import colorsys
import importlib
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from matplotlib.colors import rgb_to_hsv
from scipy import stats

from whence.base import settings
from whence.features import colour, pixels, spectrum

ROOT = Path(__file__).resolve().parent.parent
MODULES = sorted(path.stem for path in (ROOT / "whence" / "features").glob("*.py"))
CHANNELS = ("red", "green", "blue")
TINY = np.float32(1e-6)
WEIGHTS = np.array([0.299, 0.587, 0.114])


def extractor(name):
    module = importlib.import_module(f"whence.features.{name}")
    return module, settings.load(f"extract.{name}", module.Settings, ROOT / "params.yaml")


def columns(module, images, section):
    return dict(zip(module.names(section), module.extract(images, section).T, strict=True))


def noise(n, height=32, width=32, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, height, width, 3), np.uint8)


def flat(*colours, height=32, width=32):
    return np.array(colours, np.uint8)[:, None, None, :].repeat(height, axis=1).repeat(width, axis=2)


def hard(height=32, width=32):
    """Noise, flat images, images of a single dot by one level or by all, and steps: whatever divides by nothing."""
    dots = flat((0, 0, 0), (255, 255, 255), (77, 77, 77), (200, 13, 0), height=height, width=width)
    dots[[0, 1, 2, 3], 5, 7] = [(255, 255, 255), (0, 0, 0), (78, 77, 76), (201, 13, 0)]
    steps = flat((0, 0, 0), (9, 9, 9), height=height, width=width)
    steps[0, :, width // 2 :] = 255
    steps[1, ::2] = 250
    plain = flat((0, 0, 0), (255, 255, 255), (77, 77, 77), (200, 13, 0), height=height, width=width)
    return np.concatenate([noise(9, height, width), plain, dots, steps])


def ramp(step, height=32, width=32):
    levels = np.arange(width, dtype=np.uint8) * step
    return np.broadcast_to(levels[None, None, :, None], (1, height, width, 3)).copy()


def test_the_folder_holds_what_the_closed_forms_below_cover():
    assert MODULES == ["colour", "pixels", "spectrum"]


@pytest.mark.parametrize("name", MODULES)
class TestEveryExtractor:
    @pytest.mark.parametrize(("height", "width"), [(32, 32), (48, 64), (33, 21)])
    def test_shape_dtype_and_finite(self, name, height, width):
        module, section = extractor(name)
        got = module.extract(hard(height, width), section)
        assert got.dtype == np.float32
        assert got.shape == (19, len(module.names(section)))
        assert np.isfinite(got).all()

    def test_names_tell_the_columns_apart(self, name):
        module, section = extractor(name)
        assert len(set(module.names(section))) == len(module.names(section))

    @pytest.mark.parametrize("block", [1, 2, 7, 64])
    def test_a_batch_changes_no_bit(self, name, block):
        module, section = extractor(name)
        images = np.concatenate([hard(), noise(181, seed=1)])
        parts = [module.extract(images[k : k + block], section) for k in range(0, len(images), block)]
        assert np.concatenate(parts).tobytes() == module.extract(images, section).tobytes()

    def test_two_runs_are_alike_and_leave_the_images_alone(self, name):
        module, section = extractor(name)
        images = hard()
        before = images.tobytes()
        assert module.extract(images, section).tobytes() == module.extract(images, section).tobytes()
        assert images.tobytes() == before

    def test_permuted_rows_give_permuted_features(self, name):
        module, section = extractor(name)
        images = hard()
        order = np.random.default_rng(5).permutation(len(images))
        assert module.extract(images[order], section).tobytes() == module.extract(images, section)[order].tobytes()

    def test_a_memory_map_will_do(self, name, tmp_path):
        module, section = extractor(name)
        np.save(tmp_path / "images.npy", hard())
        mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
        assert module.extract(mapped[3:9], section).tobytes() == module.extract(hard()[3:9], section).tobytes()

    @budget(max_examples=40, deadline=None)
    @given(
        images=hnp.arrays(
            np.uint8, st.tuples(st.integers(1, 3), st.integers(2, 9), st.integers(2, 9), st.just(3)), fill=st.just(0)
        )
    )
    def test_whatever_the_image_the_features_are_finite(self, name, images):
        module, section = extractor(name)
        assert np.isfinite(module.extract(images, section)).all()


class TestColour:
    def test_mean_and_deviation_are_numpys(self):
        got = colour.extract(noise(20), colour.Settings())
        channels = noise(20).reshape(20, -1, 3) / 255
        np.testing.assert_allclose(got, np.concatenate([channels.mean(1), channels.std(1)], 1), rtol=1e-6)

    def test_a_flat_image_deviates_by_exactly_nothing(self):
        levels = np.repeat(np.arange(256)[:, None], 3, axis=1)
        got = colour.extract(flat(*levels, height=33, width=21), colour.Settings())
        assert got[:, :3].tolist() == (levels / 255).astype(np.float32).tolist()
        assert not got[:, 3:].any()

    def test_half_black_half_white(self):
        image = flat((0, 0, 0))
        image[0, :16] = 255
        assert colour.extract(image, colour.Settings()).tolist() == [[0.5] * 6]


class TestPixels:
    section = pixels.Settings(histogram_bins=8)

    def test_moments_are_scipys(self):
        images = np.concatenate([noise(20), noise(20) // 64 * 64, noise(5) // 250])
        got = columns(pixels, images, self.section)
        for k, channel in enumerate(CHANNELS):
            values = images[..., k].reshape(len(images), -1) / 255
            for moment, expected in (
                ("mean", values.mean(1)),
                ("std", values.std(1)),
                ("skewness", stats.skew(values, axis=1)),
                ("kurtosis", stats.kurtosis(values, axis=1)),
            ):
                np.testing.assert_allclose(got[f"{moment}_{channel}"], expected, rtol=1e-5, atol=1e-6)

    @pytest.mark.parametrize("side", [32, 256])
    def test_one_dot_of_one_level(self, side):
        # A Bernoulli variable of p = 1 / side²: skewness (1 - 2p) / √(pq), excess kurtosis (1 - 6pq) / pq.
        image = flat((200, 200, 200), height=side, width=side)
        image[0, 3, 4] = 201
        got = columns(pixels, image, self.section)
        p = 1 / side**2
        q = 1 - p
        for channel in CHANNELS:
            assert got[f"std_{channel}"] == pytest.approx(np.sqrt(p * q) / 255, rel=1e-5)
            assert got[f"skewness_{channel}"] == pytest.approx((1 - 2 * p) / np.sqrt(p * q), rel=1e-5)
            assert got[f"kurtosis_{channel}"] == pytest.approx((1 - 6 * p * q) / (p * q), rel=1e-5)

    @pytest.mark.parametrize(("height", "width"), [(32, 32), (33, 21)])
    def test_a_flat_image_has_neither_spread_nor_gradient(self, height, width):
        levels = np.random.default_rng(0).integers(0, 256, (100, 3))
        got = columns(pixels, flat(*levels, height=height, width=width), self.section)
        for moment in ("std", "skewness", "kurtosis"):
            assert not any(got[f"{moment}_{channel}"].any() for channel in CHANNELS)
        assert not got["gradient_x"].any()
        assert not got["gradient_y"].any()
        assert (got["saturation_std"] < TINY).all()

    def test_grey_has_no_saturation(self):
        grey = noise(10)[..., :1].repeat(3, axis=-1)
        got = columns(pixels, grey, self.section)
        assert not got["saturation_mean"].any()
        assert not got["saturation_std"].any()

    def test_saturation_is_that_of_hsv(self):
        images = np.concatenate([noise(10), noise(10) // 64 * 64, flat((0, 0, 0), (255, 0, 0), (10, 20, 40))])
        got = columns(pixels, images, self.section)
        hsv = rgb_to_hsv(images / 255)[..., 1]
        np.testing.assert_allclose(got["saturation_mean"], hsv.mean((1, 2)), rtol=1e-5)
        np.testing.assert_allclose(got["saturation_std"], hsv.std((1, 2)), rtol=1e-5, atol=1e-7)
        assert got["saturation_mean"][-1] == pytest.approx(colorsys.rgb_to_hsv(10, 20, 40)[1])

    @pytest.mark.parametrize("bins", [2, 3, 7, 8, 100, 255, 256])
    def test_histograms_sum_to_one_and_count_every_level_once(self, bins):
        section = pixels.Settings(histogram_bins=bins)
        images = np.concatenate([noise(5), hard()])
        got = columns(pixels, images, section)
        for k, channel in enumerate(CHANNELS):
            shares = np.stack([got[f"histogram_{channel}_{b}"] for b in range(bins)], axis=1)
            np.testing.assert_allclose(shares.sum(1), 1, rtol=1e-5)
            expected = [np.histogram(image[..., k], bins, (0, 256))[0] / 1024 for image in images]
            np.testing.assert_allclose(shares, expected, rtol=1e-6)

    @pytest.mark.parametrize(
        ("bins", "red"),
        [
            # Red holds 0, 85, 86 and 255. Halves begin at 0, 128; thirds at 0, 85.33, 170.67; quarters at 0, 64, 128 …
            (2, [0.75, 0.25]),
            (3, [0.5, 0.25, 0.25]),
            (4, [0.25, 0.5, 0, 0.25]),
        ],
    )
    def test_histogram_by_hand(self, bins, red):
        image = np.zeros((1, 2, 2, 3), np.uint8)
        image[0, ..., 0] = [[0, 85], [86, 255]]
        got = columns(pixels, image, pixels.Settings(histogram_bins=bins))
        assert [got[f"histogram_red_{b}"][0] for b in range(bins)] == red
        assert [got[f"histogram_blue_{b}"][0] for b in range(bins)] == [1] + [0] * (bins - 1)

    def test_moments_and_histograms_do_not_see_places(self):
        images = noise(4)
        shuffled = np.random.default_rng(3).permutation(images.reshape(4, -1, 3), axis=1).reshape(images.shape)
        one, two = (pixels.extract(x, self.section)[:, : 12 + 3 * 8 + 1] for x in (images, shuffled))
        np.testing.assert_allclose(one, two, rtol=1e-6)

    @pytest.mark.parametrize("step", [1, 7])
    def test_the_gradient_of_a_ramp_is_its_step_squared(self, step):
        across = columns(pixels, ramp(step), self.section)
        down = columns(pixels, ramp(step).transpose(0, 2, 1, 3), self.section)
        assert across["gradient_x"][0] == down["gradient_y"][0] == pytest.approx((step / 255) ** 2, rel=1e-6)
        assert across["gradient_y"][0] == down["gradient_x"][0] == 0

    @pytest.mark.parametrize("channel", range(3))
    def test_the_gradient_weighs_the_channels_as_luma_does(self, channel):
        image = np.zeros((1, 8, 8, 3), np.uint8)
        image[:, :, 1::2, channel] = 255
        got = columns(pixels, image, self.section)["gradient_x"][0]
        assert got == pytest.approx(WEIGHTS[channel] ** 2, rel=1e-6)


class TestSpectrum:
    section = spectrum.Settings(bins=16)

    @pytest.mark.parametrize(("height", "width"), [(32, 32), (48, 64), (33, 21)])
    def test_a_flat_image_has_no_power_anywhere(self, height, width):
        levels = np.random.default_rng(0).integers(0, 256, (100, 3))
        got = spectrum.extract(flat(*levels, height=height, width=width), self.section)
        assert (got == np.float32(np.log10(spectrum.FLOOR))).all()

    @pytest.mark.parametrize("cycles", [1, 2, 5, 10, 15])
    @pytest.mark.parametrize("down", [False, True])
    def test_a_sinusoid_has_its_power_in_its_ring_alone(self, cycles, down):
        # Amplitude a: a²/4 at each of ± its frequency, a²/2 in all.
        wave = 0.3 * np.sin(2 * np.pi * cycles * np.arange(32) / 32 + 0.4)
        luma = 0.5 + np.broadcast_to(wave[:, None] if down else wave[None, :], (1, 32, 32))
        _, sizes = spectrum.rings(32, 32, 16)
        power = spectrum.radial_power(luma, 16)[0] * sizes
        edges = np.linspace(0, np.sqrt(0.5), 17)
        (own,) = np.flatnonzero((edges[:-1] < cycles / 32) & (cycles / 32 <= edges[1:]))
        assert power[own] == pytest.approx(0.3**2 / 2, rel=1e-9)
        assert np.delete(power, own) == pytest.approx(0, abs=1e-12)

    def test_a_checkerboard_is_the_highest_frequency(self):
        board = np.indices((32, 32)).sum(0)[None] % 2 * 1.0
        _, sizes = spectrum.rings(32, 32, 16)
        power = spectrum.radial_power(board, 16)[0] * sizes
        assert power[-1] == pytest.approx(0.25)
        assert power[:-1] == pytest.approx(0, abs=1e-12)

    @pytest.mark.parametrize(("height", "width"), [(32, 32), (48, 64), (33, 21), (21, 32), (2, 5)])
    @pytest.mark.parametrize("bins", [2, 5, 16, 40])
    def test_parseval(self, height, width, bins):
        luma = np.random.default_rng(0).random((5, height, width))
        ring, sizes = spectrum.rings(height, width, bins)
        assert sizes.sum() == height * width - 1
        assert ring.shape == (height * width,)
        assert (np.bincount(ring[ring >= 0], minlength=bins) == sizes).all()
        power = spectrum.radial_power(luma, bins)
        np.testing.assert_allclose((power * sizes).sum(1), luma.var((1, 2)), rtol=1e-9)

    @pytest.mark.parametrize(("height", "width"), [(32, 32), (33, 21), (6, 10)])
    def test_each_ring_holds_the_mean_over_the_whole_plane(self, height, width):
        luma = np.random.default_rng(0).random((3, height, width))
        plane = (np.abs(np.fft.fft2(luma)) ** 2).reshape(3, -1) / (height * width) ** 2
        radius = np.hypot(*np.meshgrid(np.fft.fftfreq(height), np.fft.fftfreq(width), indexing="ij")).ravel()
        got = spectrum.radial_power(luma, 4)
        edges = np.linspace(0, np.sqrt(0.5), 5) + 1e-9
        for k, (low, high) in enumerate(pairwise(edges)):
            inside = (radius > low) & (radius <= high)
            np.testing.assert_allclose(got[:, k], plane[:, inside].mean(1), rtol=1e-9)

    def test_rings_by_hand(self):
        # 4×4: frequencies of 0, .25, .5 and -.25 along each axis; the rings end at .354, which is √2 · .25, and .707.
        ring, sizes = spectrum.rings(4, 4, 2)
        assert ring.reshape(4, 4).tolist() == [[-1, 0, 1, 0], [0, 0, 1, 0], [1, 1, 1, 1], [0, 0, 1, 0]]
        assert sizes.tolist() == [8, 7]

    def test_no_ring_of_the_settings_is_empty_at_the_datasets_size(self):
        _, section = extractor("spectrum")
        assert spectrum.rings(32, 32, section.bins)[1].all()

    def test_rings_that_no_frequency_meets_are_empty_not_wrong(self):
        _, sizes = spectrum.rings(8, 8, 64)
        assert (sizes == 0).any()
        power = spectrum.radial_power(np.random.default_rng(0).random((2, 8, 8)), 64)
        assert not power[:, sizes == 0].any()
        assert (power[:, sizes > 0] > 0).all()

    def test_a_mirror_and_a_quarter_turn_leave_it_alone(self):
        images = np.concatenate([noise(10), ramp(7), noise(5) // 250])
        expected = spectrum.extract(images, self.section)
        for turned in (
            images[:, ::-1],
            images[:, :, ::-1],
            np.rot90(images, axes=(1, 2)),
            images.transpose(0, 2, 1, 3),
        ):
            np.testing.assert_allclose(spectrum.extract(turned, self.section), expected, rtol=1e-5)

    def test_a_cyclic_shift_leaves_it_alone(self):
        expected = spectrum.extract(noise(5), self.section)
        shifted = np.roll(noise(5), (3, 11), axis=(1, 2))
        np.testing.assert_allclose(spectrum.extract(shifted, self.section), expected, rtol=1e-5)

    def test_white_noise_is_flat(self):
        sigma = 0.1
        luma = np.random.default_rng(0).normal(0.5, sigma, (2000, 32, 32))
        power = spectrum.radial_power(luma, 16).mean(0)
        # The smallest ring holds eight frequencies, four of them free, each exponential: √(1 / 8000) is one deviation.
        np.testing.assert_allclose(power, sigma**2 / 1024, rtol=5 / np.sqrt(8000))

    def test_it_is_the_logarithm_of_the_lumas_power(self):
        images = noise(3)
        power = spectrum.radial_power(images / 255 @ WEIGHTS, 16)
        np.testing.assert_allclose(spectrum.extract(images, self.section), np.log10(power + 1e-10), rtol=1e-6)

    def test_the_floor_lies_below_the_noise_of_rounding_to_8_bits(self):
        rounding = 1 / 12 / 255**2 / 1024
        assert rounding == pytest.approx(1.3e-9, rel=0.05)
        assert rounding / 20 < spectrum.FLOOR < rounding / 10
