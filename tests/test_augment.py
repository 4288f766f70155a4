"""Augmentation: each change by its closed form, and what all of them leave alone."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest
import torch
from PIL import Image

from whence.base.errors import InputError
from whence.base.settings import check
from whence.estimators.network import augment as module
from whence.estimators.network.augment import GREY, augment, cutout, jitter, mirror, shift, turn, warp, wear
from whence.estimators.network.data import Scale

NOTHING = {
    "flip": False,
    "turn": False,
    "shift": 0,
    "rotate": 0.0,
    "zoom": 0.0,
    "shear": 0.0,
    "jitter": 0.0,
    "cutout": 0,
    "blur": 0.0,
    "rescale": 0,
}
EACH = {"flip": True, "shift": 2, "rotate": 15.0, "zoom": 0.2, "shear": 0.2, "jitter": 0.3, "cutout": 3}
SCALE = Scale((120.0, 110.0, 100.0), (60.0, 50.0, 70.0))
LAST = torch.channels_last
MEAN, STD = (torch.tensor(part)[:, None, None] for part in SCALE)


def settings(**changes):
    return check(NOTHING | changes, module.Settings, "augment")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def images(count=6, height=9, width=12, seed=0):
    """Normalised noise, as a network gets it, neither square nor the same on any two sides."""
    return torch.randn(count, 3, height, width, generator=generator(seed)).contiguous(memory_format=LAST)


def changed(x, seed=0, mirrored=None, **changes):
    mirrored = torch.arange(len(x)) % 2 == 0 if mirrored is None else mirrored
    return augment(x, mirrored, settings(**changes), SCALE, generator(seed))


def drawn(monkeypatch, *numbers):
    """Let the draws from [-1, 1) be these, for every image."""
    monkeypatch.setattr(module, "_uniform", lambda n, images, _: torch.tensor(numbers)[:, None].expand(n, len(images)))


class TestAll:
    def test_nothing_set_changes_nothing(self):
        x = images()
        assert torch.equal(changed(x, mirrored=torch.ones(6, dtype=torch.bool)), x)

    @pytest.mark.parametrize("name", EACH)
    def test_shape_dtype_layout_and_the_input_stay(self, name):
        x = images()
        before = x.clone()
        y = changed(x, **{name: EACH[name]})
        assert (y.shape, y.dtype) == (x.shape, x.dtype)
        assert y.is_contiguous(memory_format=LAST)
        assert torch.equal(x, before)
        assert not torch.equal(y, x)

    @pytest.mark.parametrize("name", sorted(set(EACH) - {"flip"}))
    def test_a_seed_makes_the_draws_and_the_global_generator_is_left_alone(self, name):
        x, state = images(), torch.get_rng_state()
        one, same, other = (changed(x, seed, **{name: EACH[name]}) for seed in (1, 1, 2))
        assert torch.equal(one, same)
        assert not torch.equal(one, other)
        assert torch.equal(torch.get_rng_state(), state)

    @pytest.mark.parametrize("name", sorted(set(EACH) - {"flip"}))
    def test_every_image_of_a_batch_is_changed_in_its_own_way(self, name):
        x = images(1).expand(8, -1, -1, -1).contiguous(memory_format=LAST)
        y = changed(x, **{name: EACH[name]})
        assert len({image.numpy().tobytes() for image in y}) > 4

    def test_together_they_are_one_after_another(self):
        x, g = images(), generator(3)
        mirrored = torch.tensor([True, False] * 3)
        y = torch.where(mirrored[:, None, None, None], x.flip(3), x)
        y = warp(shift(y, 2, g), settings(**EACH), g)
        mean, std = (torch.tensor(part)[:, None, None] for part in SCALE)
        y = cutout((jitter(y * std + mean, 0.3, g) - mean) / std, 3, g)
        torch.testing.assert_close(changed(x, 3, mirrored, **EACH), y)

    @pytest.mark.parametrize(
        "wrong", [{"shift": -1}, {"shift": 1.5}, {"rotate": 15.1}, {"zoom": 1.0}, {"jitter": -0.1}, {"flip": 1}]
    )
    def test_what_cannot_be_is_refused(self, wrong):
        (name,) = wrong
        with pytest.raises(InputError, match=rf"^augment\.{name}: got"):
            settings(**wrong)


class TestTurn:
    def test_an_image_is_turned_in_one_of_four_ways_each_of_a_quarter(self):
        x = images(1, 8, 8)
        ways = {
            way.contiguous().numpy().tobytes(): name
            for name, way in {
                "as it is": x,
                "upside down": x.flip(2),
                "transposed": x.transpose(2, 3),
                "both": x.flip(2).transpose(2, 3),
            }.items()
        }
        y = turn(x.expand(4000, -1, -1, -1), generator())
        counted = Counter(ways[image.contiguous().numpy().tobytes()] for image in y)
        assert len(counted) == 4
        assert all(abs(count - 1000) < 4 * math.sqrt(4000 * 0.25 * 0.75) for count in counted.values())
        assert y.is_contiguous(memory_format=LAST)

    def test_with_flip_there_are_all_eight_symmetries(self):
        x = images(1, 8, 8).expand(400, -1, -1, -1).contiguous(memory_format=LAST)
        y = changed(x, flip=True, turn=True)
        square = x[0].numpy()
        all_eight = {
            np.ascontiguousarray(np.rot90(way, k, (1, 2))).tobytes()
            for way in (square, square[:, ::-1])
            for k in range(4)
        }
        assert {image.contiguous().numpy().tobytes() for image in y} == all_eight

    def test_a_seed_makes_the_draws(self):
        x = images(64, 8, 8)
        one, same, other = (changed(x, seed, turn=True) for seed in (1, 1, 2))
        assert torch.equal(one, same)
        assert not torch.equal(one, other)


class TestFlip:
    def test_it_mirrors_the_images_that_it_is_told_to(self):
        x = images()
        y = changed(x, flip=True)
        assert torch.equal(y[0::2], x[0::2].flip(3))
        assert torch.equal(y[1::2], x[1::2])

    @pytest.mark.parametrize("seed", [0, 1, 2**32 - 1])
    def test_an_image_is_mirrored_in_one_of_two_consecutive_epochs(self, seed):
        rows = torch.arange(20_000)
        epochs = [mirror(rows, epoch, seed) for epoch in range(4)]
        for one, next_ in itertools.pairwise(epochs):
            assert torch.equal(one, ~next_)
        # Within four standard deviations of a fair coin; neighbours and other seeds know nothing of each other.
        for share in (epochs[0], epochs[0][1:] ^ epochs[0][:-1], epochs[0] ^ mirror(rows, 0, seed ^ 1)):
            assert abs(share.double().mean() - 0.5) < 4 * 0.5 / math.sqrt(20_000)

    def test_a_row_is_mirrored_whatever_batch_it_is_in(self):
        rows = torch.arange(1000)
        order = torch.randperm(1000, generator=generator())
        assert torch.equal(mirror(rows, 3, 5)[order], mirror(rows[order], 3, 5))


class TestShift:
    @pytest.mark.parametrize(("height", "width", "most"), [(9, 12, 2), (12, 9, 8), (5, 5, 1), (2, 3, 1)])
    def test_it_is_a_crop_of_numpys_reflection(self, height, width, most):
        x = images(40, height, width)
        y = shift(x, most, generator())
        padded = np.pad(x.numpy(), ((0, 0), (0, 0), (most, most), (most, most)), mode="reflect")
        found = []
        for image, around in zip(y.numpy(), padded, strict=True):
            crops = {
                (down, right): around[:, down : down + height, right : right + width]
                for down in range(2 * most + 1)
                for right in range(2 * most + 1)
            }
            found.append(next(place for place, crop in crops.items() if np.array_equal(crop, image)))
        down, right = np.array(found).T
        assert set(down) | set(right) == set(range(2 * most + 1))
        assert (down != right).any()

    def test_every_shift_is_as_likely(self):
        # A gradient in both directions tells the shift at its middle.
        y, x = torch.meshgrid(torch.arange(9.0), torch.arange(9.0), indexing="ij")
        middle = shift((10 * y + x).expand(9000, 3, 9, 9), 1, generator())[:, 0, 4, 4]
        counts = torch.stack([(middle == 44 + 10 * a + b).sum() for a in (-1, 0, 1) for b in (-1, 0, 1)])
        assert counts.sum() == 9000
        assert (counts - 1000).abs().max() < 4 * math.sqrt(1000)


class TestWarp:
    def test_no_angle_zoom_and_shear_is_identity(self, monkeypatch):
        x = images()
        drawn(monkeypatch, 0.0, 0.0, 0.0)
        torch.testing.assert_close(warp(x, settings(rotate=15.0, zoom=0.5, shear=0.5), generator()), x)
        monkeypatch.undo()
        torch.testing.assert_close(warp(x, settings(), generator()), x)

    @pytest.mark.parametrize(("height", "width"), [(41, 41), (41, 61), (61, 41)])
    @pytest.mark.parametrize("degrees", [10.0, -15.0])
    def test_a_rotation_moves_a_point_round_the_centre(self, monkeypatch, height, width, degrees):
        # Counter-clockwise on the screen, whose y goes down.
        drawn(monkeypatch, math.copysign(1, degrees), 0.0, 0.0)
        turn = math.radians(degrees)
        for right, down in ((15, 0), (0, 15), (-10, 8)):
            x = point(height, width, right, down)
            got = centre(warp(x, settings(rotate=abs(degrees)), generator()))
            wanted = (
                right * math.cos(turn) + down * math.sin(turn),
                -right * math.sin(turn) + down * math.cos(turn),
            )
            assert got == pytest.approx(wanted, abs=0.06)

    @pytest.mark.parametrize("scale", [0.8, 1.25])
    def test_a_zoom_moves_a_point_from_the_centre(self, monkeypatch, scale):
        drawn(monkeypatch, 0.0, math.copysign(1, scale - 1), 0.0)
        got = centre(warp(point(41, 61, 12, -8), settings(zoom=abs(scale - 1)), generator()))
        assert got == pytest.approx((12 * scale, -8 * scale), abs=0.12)

    @pytest.mark.parametrize(("height", "width"), [(41, 61), (61, 41)])
    def test_a_shear_moves_a_point_sideways_by_its_height(self, monkeypatch, height, width):
        drawn(monkeypatch, 0.0, 0.0, 1.0)
        got = centre(warp(point(height, width, 3, 10), settings(shear=0.3), generator()))
        assert got == pytest.approx((3 - 0.3 * 10, 10), abs=0.06)

    def test_draws_stay_within_the_settings(self):
        # A point far out tells the angle.
        x = point(41, 41, 16, 0).expand(300, -1, -1, -1)
        y = warp(x, settings(rotate=10.0), generator())
        angles = [math.degrees(math.atan2(-down, right)) for right, down in (centre(image[None]) for image in y)]
        assert max(map(abs, angles)) < 10.2
        assert max(angles) > 8
        assert min(angles) < -8


def point(height, width, right, down):
    """A soft dot so many pixels from the centre."""
    y, x = torch.meshgrid(torch.arange(float(height)), torch.arange(float(width)), indexing="ij")
    square = (x - (width - 1) / 2 - right) ** 2 + (y - (height - 1) / 2 - down) ** 2
    return torch.exp(-square / 4).expand(1, 3, height, width).contiguous(memory_format=LAST)


def centre(image):
    """Return where the light of an image lies, right and down of its centre."""
    weight = image[0, 0].double()
    height, width = weight.shape
    x, y = torch.arange(width) - (width - 1) / 2, torch.arange(height) - (height - 1) / 2
    return ((weight.sum(0) * x).sum() / weight.sum()).item(), ((weight.sum(1) * y).sum() / weight.sum()).item()


class TestJitter:
    def test_nothing_is_identity(self):
        levels = 255 * torch.rand(4, 3, 5, 7, generator=generator())
        close(jitter(levels, 0.0, generator()), levels)

    @pytest.mark.parametrize("factor", [0.6, 1.4])
    def test_brightness_multiplies_levels(self, monkeypatch, factor):
        levels = 255 * torch.rand(4, 3, 5, 7, generator=generator())
        drawn(monkeypatch, math.copysign(1, factor - 1), 0.0, 0.0)
        close(jitter(levels, 0.4, generator()), factor * levels)

    @pytest.mark.parametrize("factor", [0.6, 1.4])
    def test_contrast_multiplies_the_distance_from_the_mean_luma(self, monkeypatch, factor):
        levels = 255 * torch.rand(4, 3, 5, 7, generator=generator())
        drawn(monkeypatch, 0.0, math.copysign(1, factor - 1), 0.0)
        mean = luma(levels).mean((1, 2), keepdim=True)[:, None]
        close(jitter(levels, 0.4, generator()), mean + factor * (levels - mean))

    @pytest.mark.parametrize("factor", [0.6, 1.4])
    def test_saturation_multiplies_the_distance_from_grey(self, monkeypatch, factor):
        levels = 255 * torch.rand(4, 3, 5, 7, generator=generator())
        drawn(monkeypatch, 0.0, 0.0, math.copysign(1, factor - 1))
        grey = luma(levels)[:, None]
        got = jitter(levels, 0.4, generator())
        close(got, grey + factor * (levels - grey))
        close(luma(got), grey[:, 0])
        grey = grey.expand(-1, 3, -1, -1)
        close(jitter(grey, 0.4, generator()), grey)

    def test_in_a_network_black_stays_black_and_grey_stays_grey(self):
        # Levels are meant, and not what normalisation makes of them.
        for level in (0, 130):
            x = SCALE(torch.full((5, 4, 4, 3), level, dtype=torch.uint8))
            mean, std = (torch.tensor(part)[:, None, None] for part in SCALE)
            y = changed(x, jitter=0.5) * std + mean
            if level:
                assert y.std() > 10
            else:
                torch.testing.assert_close(y, torch.zeros_like(y), rtol=0, atol=1e-3)
            torch.testing.assert_close(y, y[:, :1].expand(-1, 3, -1, -1), rtol=0, atol=1e-3)


def close(got, wanted):
    """Levels go to 255."""
    torch.testing.assert_close(got, wanted, rtol=0, atol=1e-3)


def luma(levels):
    return torch.einsum("bchw,c->bhw", levels, torch.tensor(GREY))


class TestCutout:
    @pytest.mark.parametrize("side", [1, 2, 3, 4, 30])
    def test_exactly_a_square_is_gone_clipped_at_the_edge(self, side):
        x = images(400) + 10
        y = cutout(x, side, generator())
        corners = set()
        for before, after in zip(x, y, strict=True):
            gone = (after == 0).all(0)
            assert torch.equal(after[:, ~gone], before[:, ~gone])
            (top, left), (bottom, right) = gone.nonzero().amin(0).tolist(), gone.nonzero().amax(0).tolist()
            height, width = bottom - top + 1, right - left + 1
            assert gone.sum() == height * width
            assert height == side or (height < side and (top == 0 or bottom == 8))
            assert width == side or (width < side and (left == 0 or right == 11))
            corners.add((top, left))
        assert side == 30 or len(corners) > 40

    def test_the_centre_is_drawn_evenly(self):
        gone = cutout(torch.ones(10_800, 1, 9, 12), 1, generator())[:, 0] == 0
        counts = gone.sum(0)
        assert counts.sum() == 10_800
        assert (counts - 100).abs().max() < 45


class TestScale:
    def test_pixels_become_deviations_from_the_mean(self):
        pixels = torch.randint(0, 256, (5, 4, 7, 3), dtype=torch.uint8, generator=generator())
        before = pixels.clone()
        x = SCALE(pixels)
        assert x.is_contiguous(memory_format=LAST)
        assert x.dtype == torch.float32
        wanted = (pixels.numpy() - np.array(SCALE.mean)) / np.array(SCALE.std)
        np.testing.assert_allclose(x.permute(0, 2, 3, 1).numpy(), wanted, rtol=1e-6, atol=1e-6)
        assert torch.equal(pixels, before)
        for view in (pixels[::2], pixels[:, :, ::2], pixels[:0], pixels.flip(1)):
            np.testing.assert_array_equal(SCALE(view), SCALE(view.contiguous()))


class TestWear:
    def test_half_stay_as_they_are_and_the_others_have_whole_levels(self):
        levels = torch.randint(0, 256, (400, 3, 16, 16), generator=generator()).float()
        x = (levels - MEAN) / STD
        worn = wear(x, settings(blur=1.0, rescale=6), SCALE, generator(1)) * STD + MEAN
        assert (worn - worn.round()).abs().max() < 1e-3
        assert -1e-3 < worn.min() <= worn.max() < 255 + 1e-3
        same = (worn.round() == levels).flatten(1).all(1)
        assert 0.42 < same.float().mean() < 0.58
        assert worn.is_contiguous(memory_format=torch.channels_last)

    def test_every_image_keeps_its_mean_and_loses_detail(self):
        levels = torch.randint(0, 256, (200, 3, 16, 16), generator=generator()).float()
        x = (levels - MEAN) / STD
        worn = wear(x, settings(blur=2.0), SCALE, generator(1)) * STD + MEAN
        assert (worn.mean((2, 3)) - levels.mean((2, 3))).abs().max() < 8
        assert (worn.flatten(1).std(1) <= levels.flatten(1).std(1) + 1e-3).all()

    def test_the_ways_are_pillows(self):
        blurs, sizes = module._wearing(16, 0.0, 12, torch.device("cpu"))
        assert torch.equal(blurs, torch.eye(16)[None])
        assert torch.equal(sizes[0], torch.eye(16))
        assert len(sizes) == 1 + 4 * 16
        field = np.random.default_rng(0).uniform(0, 255, (16, 16)).astype(np.float32)
        there, back = Image.Resampling.LANCZOS, Image.Resampling.BICUBIC
        expected = Image.fromarray(field).resize((13, 13), there).resize((16, 16), back)
        of_both = 1 + 16 * 1 + 4 * 3 + 2  # sides from 12 on, then the filter there, then the one back
        found = sizes[of_both] @ torch.from_numpy(field) @ sizes[of_both].T
        np.testing.assert_allclose(found.numpy(), np.asarray(expected), atol=2e-3)

    def test_blur_is_as_wide_as_it_says(self):
        blurs, _ = module._wearing(32, 1.6, 0, torch.device("cpu"))
        assert len(blurs) == 17
        place = torch.arange(32.0)
        for k in range(8, 17):
            line = blurs[k][16]
            assert line.sum().item() == pytest.approx(1, abs=1e-5)
            assert ((line * (place - 16) ** 2).sum().sqrt()).item() == pytest.approx(0.1 * k, rel=0.06)
