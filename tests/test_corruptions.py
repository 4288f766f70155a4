"""Corruptions: closed forms, Pillow and scipy as second opinions, and what all of them have in common."""

import json

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
from repositories import ROOT, write_rows
from scipy import ndimage
from sklearn.metrics import roc_auc_score

from stages import compare_corruptions
from stages import corrupt as corrupt_stage
from whence import corruptions
from whence.base.errors import InputError
from whence.classifiers import forest
from whence.corruptions import CORRUPTIONS, corrupt
from whence.estimators.classical.estimator import Estimator

RANDOM = {"gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise", "motion_blur", "elastic"}


@pytest.fixture(scope="module")
def images():
    """Eight smooth, coloured fields, (8, 32, 32, 3)."""
    fields = np.random.default_rng(2).normal(size=(8, 32, 32, 3))
    smooth = ndimage.gaussian_filter(fields, (0, 2, 2, 0), mode="wrap")
    return np.clip(128 + 45 * smooth / smooth.std(), 0, 255).astype(np.uint8)


def off(a, b):
    return np.sqrt(((a.astype(float) - b) ** 2).mean())


class TestAll:
    @pytest.mark.parametrize("name", CORRUPTIONS)
    def test_shape_dtype_the_input_and_the_draws_stay(self, images, name):
        before = images.copy()
        one, same, other = (corrupt(images, name, 3, seed) for seed in (0, 0, 1))
        assert (one.shape, one.dtype) == (images.shape, np.uint8)
        assert np.array_equal(one, same)
        assert np.array_equal(one, other) == (name not in RANDOM)
        assert not np.array_equal(one, images)
        assert np.array_equal(images, before)

    @pytest.mark.parametrize("name", sorted(set(CORRUPTIONS) - {"saturate", "elastic"}))
    def test_every_severity_is_further_from_the_image(self, images, name):
        distances = [off(corrupt(images, name, severity, 0), images) for severity in range(1, 6)]
        assert distances == sorted(distances)
        assert distances[-1] > 1.2 * distances[0] > 0

    @pytest.mark.parametrize("name", sorted(set(CORRUPTIONS) - RANDOM))
    def test_an_image_is_changed_whatever_stands_beside_it(self, images, name):
        assert np.array_equal(corrupt(images, name, 4, 0)[3:4], corrupt(images[3:4], name, 4, 0))

    @pytest.mark.parametrize(
        "name", sorted(set(CORRUPTIONS) - {"gaussian_noise", "impulse_noise", "shot_noise", "speckle_noise"})
    )
    def test_an_even_grey_stays_one(self, name):
        grey = np.full((2, 32, 32, 3), 90, np.uint8)
        out = corrupt(grey, name, 5, 0)
        assert np.ptp(out) <= 1
        assert abs(int(out[0, 0, 0, 0]) - (90 + 0.3 * 255 if name == "brightness" else 90)) <= 1

    @pytest.mark.parametrize("name", CORRUPTIONS)
    def test_images_need_not_be_square(self, images, name):
        assert corrupt(images[:, :20], name, 2, 0).shape == (8, 20, 32, 3)


class TestNoise:
    @pytest.mark.parametrize(
        ("name", "sigma"),
        [("gaussian_noise", 0.08 * 255), ("speckle_noise", 0.12 * 100), ("shot_noise", np.sqrt(100 * 255 / 100))],
    )
    def test_its_strength_at_severity_3(self, name, sigma):
        grey = np.full((20, 32, 32, 3), 100, np.uint8)
        out = corrupt(grey, name, 3, 0).astype(float)
        assert out.mean() == pytest.approx(100, abs=0.5)
        assert out.std() == pytest.approx(sigma, rel=0.03)

    def test_impulses_are_as_many_black_as_white(self):
        out = corrupt(np.full((30, 32, 32, 3), 100, np.uint8), "impulse_noise", 5, 0)
        assert np.unique(out).tolist() == [0, 100, 255]
        assert (out == 0).mean() == pytest.approx(0.035, rel=0.05)
        assert (out == 255).mean() == pytest.approx(0.035, rel=0.05)


class TestBlur:
    @pytest.mark.parametrize("severity", [1, 4, 5])
    def test_the_gaussian_is_scipys(self, images, severity):
        sigma = (0.4, 0.6, 0.7, 0.8, 1.0)[severity - 1]
        expected = ndimage.gaussian_filter(
            images.astype(float), (0, sigma, sigma, 0), mode="reflect", radius=(0, 4, 4, 0)
        )
        assert np.abs(corrupt(images, "gaussian_blur", severity, 0) - expected).max() <= 0.51

    def test_a_disc_of_one_pixel(self):
        point = np.zeros((1, 9, 9, 3), np.uint8)
        point[0, 4, 4] = 250
        out = corrupt(point, "defocus_blur", 3, 0)[0, :, :, 0].astype(float)
        assert out.sum() == pytest.approx(250, abs=5)
        assert np.array_equal(out, out.T)
        assert np.array_equal(out, out[::-1])
        assert out[4, 4] == pytest.approx(250 / np.pi, abs=2), "the middle is all inside"

    def test_motion_goes_along_a_line_that_is_rather_level(self):
        point = np.zeros((50, 21, 21, 3), np.uint8)
        point[:, 10, 10] = 255
        out = corrupt(point, "motion_blur", 5, 0)[..., 0].astype(float)
        across = (out.sum(axis=1) * (np.arange(21) - 10) ** 2).sum(axis=1)
        down = (out.sum(axis=2) * (np.arange(21) - 10) ** 2).sum(axis=1)
        assert (across > 0.8 * down).all()
        assert np.median(across) > 2 * np.median(down)

    def test_a_zoom_leaves_the_middle_and_pulls_at_the_edge(self):
        point = np.zeros((1, 33, 33, 3), np.uint8)
        point[0, 16, 16] = point[0, 16, 30] = 200
        out = corrupt(point, "zoom_blur", 5, 0)[0, 16, :, 0].astype(float)
        assert out[16] > 3 * out[30]
        assert out[31:].sum() > 0
        assert out[:14].sum() == 0


class TestColour:
    @pytest.mark.parametrize(("name", "channel"), [("brightness", "V"), ("saturate", "S")])
    @pytest.mark.parametrize("severity", [1, 3, 5])
    def test_it_is_that_of_hsv(self, images, name, channel, severity):
        from matplotlib.colors import hsv_to_rgb, rgb_to_hsv

        hsv = rgb_to_hsv(images / 255)
        if channel == "V":
            hsv[..., 2] = (hsv[..., 2] + (0.05, 0.1, 0.15, 0.2, 0.3)[severity - 1]).clip(max=1)
        else:
            factor, more = ((0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2))[severity - 1]
            hsv[..., 1] = (hsv[..., 1] * factor + more).clip(max=1)
        coloured = np.ptp(images, axis=3) > 0  # of grey matplotlib says that it is red
        difference = corrupt(images, name, severity, 0) - 255 * hsv_to_rgb(hsv)
        assert np.abs(difference[coloured]).max() < 1.01

    def test_contrast_keeps_the_mean_and_scales_the_deviation(self, images):
        out = corrupt(images, "contrast", 5, 0).astype(float)
        np.testing.assert_allclose(out.mean((1, 2)), images.mean((1, 2)), atol=0.5)
        np.testing.assert_allclose(out.std((1, 2)), 0.15 * images.std((1, 2)), atol=0.3)


class TestSize:
    @pytest.mark.parametrize(("severity", "side"), [(1, 28), (4, 16), (5, 12)])
    def test_rescale_is_pillows(self, images, severity, side):
        out = corrupt(images, "rescale", severity, 0)
        for image, mine in zip(images, out, strict=True):
            small = Image.fromarray(image).resize((side, side), Image.Resampling.LANCZOS)
            expected = np.asarray(small.resize((32, 32), Image.Resampling.LANCZOS), float)
            difference = np.abs(mine - expected)  # Pillow rounds and clips between rows and columns, too
            assert difference.mean() < 0.4
            assert difference.max() < 8

    def test_pixels_are_squares_of_the_mean(self, images):
        out = corrupt(images, "pixelate", 5, 0)  # 20 of 32
        for image, mine in zip(images, out, strict=True):
            small = Image.fromarray(image).resize((20, 20), Image.Resampling.BOX)
            assert np.abs(mine - np.asarray(small.resize((32, 32), Image.Resampling.BOX), float)).max() <= 1

    def test_what_is_moved_stays_within_the_image(self, images):
        out = corrupt(images, "elastic", 5, 0)
        assert out.min() >= images.min()
        assert out.max() <= images.max()
        assert off(out, images) < 45

    def test_a_sample_at_the_pixels_is_the_image(self, images):
        x = images.astype(np.float32)
        row, column = corruptions._grid(x)
        assert np.array_equal(corruptions._sample(x, row, column), x)
        half = corruptions._sample(x, row, column + 0.5)
        np.testing.assert_allclose(half[:, :, :-1], (x[:, :, :-1] + x[:, :, 1:]) / 2)
        assert np.array_equal(half[:, :, -1], x[:, :, -1])


# The stages


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """A folder in which a forest that tells dark images from bright ones was asked about corrupted ones."""
    folder = tmp_path_factory.mktemp("corrupted")
    rng = np.random.default_rng(0)
    domain = np.array(["real", "fake"] * 60)
    split = np.repeat(["train", "valid", "test"], 40)
    pixels = (rng.integers(0, 120, (120, 32, 32, 3)) + 90 * (domain == "fake")[:, None, None, None]).astype(np.uint8)
    write_rows(folder, pixels, split, domain)
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["evaluate"]["metrics"]["resamples"] = 20
    params["corrupt"]["rows"] = 30
    params["corrupted"] = {"one": params["corrupted"]["fake-small"] | {"kind": "classical", "classifier": "forest"}}
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    section = forest.Settings(trees=5, min_samples_leaf=3, class_weight=None, seed=0)
    train, valid = ((pixels[split == s], domain[split == s]) for s in ("train", "valid"))
    model = Estimator(forest, section).fit(*train, *valid, np.array(["real", "fake"]))
    model.save(folder / "weights", folder / "card")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        ask(folder)
    return folder


def ask(folder, answers="one.csv", figures="figures.json"):
    files = (folder / name for name in ("labels", "images.npy", "weights", "card", answers, figures))
    corrupt_stage.main("fake", "classical", "forest", *files)


def test_a_line_for_the_clean_rows_and_for_each_corruption_and_severity(asked, monkeypatch):
    monkeypatch.chdir(asked)
    table, figures = pd.read_csv("one.csv"), json.loads((asked / "figures.json").read_text())
    assert table["corruption"].tolist() == ["clean", *(name for name in CORRUPTIONS for _ in range(5))]
    assert table["severity"].tolist() == [0, *[1, 2, 3, 4, 5] * len(CORRUPTIONS)]
    assert (table["n"] == 30).all()
    chosen = np.linspace(80, 119, 30).astype(int)  # of the forty test rows, evenly spaced
    images = np.load("images.npy")[chosen]
    model, truth = Estimator.load(forest, asked / "weights", asked / "card"), chosen % 2 == 1
    assert table["accuracy"][0] == ((model.predict_proba(images)[:, 1] >= 0.5) == truth).mean()
    line = table[(table["corruption"] == "contrast") & (table["severity"] == 4)].iloc[0]
    score = model.predict_proba(corrupt(images, "contrast", 4, 0))[:, 1]
    assert line["roc_auc"] == pytest.approx(roc_auc_score(truth, score), abs=1e-6)
    assert figures["clean"] == {"n": 30, "accuracy": table["accuracy"][0], "roc_auc": table["roc_auc"][0]}
    worse = table[table["severity"] > 0].groupby("corruption")["accuracy"].mean()
    assert figures["contrast"]["accuracy"] == pytest.approx(worse["contrast"], abs=1e-6)
    assert figures["mean"]["error"] == pytest.approx(1 - worse.mean(), abs=2e-6)


def test_twice_the_same_bytes(asked, monkeypatch):
    monkeypatch.chdir(asked)
    ask(asked, "again.csv", "again.json")
    assert (asked / "again.csv").read_bytes() == (asked / "one.csv").read_bytes()
    assert (asked / "again.json").read_bytes() == (asked / "figures.json").read_bytes()


def test_the_answers_are_put_side_by_side_and_drawn(asked, monkeypatch):
    monkeypatch.chdir(asked)
    compare_corruptions.main(asked, *(asked / name for name in ("all.csv", "auc.png", "accuracy.png")))
    together = pd.read_csv("all.csv")
    assert together.columns[:4].tolist() == ["task", "run", "corruption", "severity"]
    pd.testing.assert_frame_equal(together.drop(columns=["task", "run"]), pd.read_csv("one.csv"))
    figure = compare_corruptions._curves(together, "roc_auc", "ROC AUC")
    shown = [axes for axes in figure.axes if axes.axison]
    assert [axes.get_title() for axes in shown] == [f"fake: {name.replace('_', ' ')}" for name in CORRUPTIONS]
    assert all(line.get_xdata().tolist() == [0, 1, 2, 3, 4, 5] for axes in shown for line in axes.get_lines()[:1])
    assert Image.open("auc.png").size[0] > 1500


def test_a_model_of_other_classes_is_refused(asked, monkeypatch):
    monkeypatch.chdir(asked)
    with pytest.raises(InputError, match=r"card: tells \['real', 'fake'\] apart, expected \['cifar', 'imagenet'\]"):
        corrupt_stage.main(
            "origin", "classical", "forest", *(asked / n for n in ("labels", "images.npy", "weights", "card", "a", "b"))
        )
    assert not (asked / "a").exists()
