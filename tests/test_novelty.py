"""How unlike the training images an image is: evenly spread for those like them, and high for others."""

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.distance import mahalanobis
from scipy.stats import kstest
from sklearn.covariance import LedoitWolf

from stages import profile
from whence import novelty
from whence.base import resample, settings
from whence.base.errors import InputError
from whence.table import rows, tables

BINS = 8
SHARES = {"train": 600, "valid": 400, "test": 500}


def dataset(domains=("dark", "light"), shares=None, seed=0):
    """Return labels and images of smooth noise, of another mean and contrast in each domain."""
    split = np.repeat(list(shares or SHARES), list((shares or SHARES).values()))
    rng = np.random.default_rng(seed)
    domain = rng.choice(domains, len(split))
    field = resample.blurred(rng.normal(0, 1, (len(split), 32, 32, 3)).astype(np.float32), 1.0, 4)
    level = np.where(domain == domains[0], 70, 180)[:, None, None, None]
    images = (level + 60 * field + rng.normal(0, 10, (len(split), 1, 1, 3))).clip(0, 255).astype(np.uint8)
    column = np.array(["x"] * len(split))
    return rows.Labels(column, split, split, column, domain, np.arange(len(split)), column), images


@pytest.fixture(scope="module")
def data():
    return dataset()


@pytest.fixture(scope="module")
def fitted(data):
    labels, images = data
    return novelty.fit(images, labels, BINS)


def test_images_like_the_training_images_have_scores_that_are_spread_evenly(data, fitted):
    labels, images = data
    score = fitted.score()(images[labels.split == "test"])
    assert score.min() >= 0
    assert score.max() <= 1
    assert kstest(score, "uniform").pvalue > 0.01
    own = fitted.score()(images[labels.split == "valid"])
    np.testing.assert_array_equal(np.sort(own), np.arange(len(own)) / len(own))


@pytest.mark.parametrize(
    "change",
    [
        np.zeros_like,
        lambda x: np.full_like(x, 255),
        lambda x: np.random.default_rng(0).integers(0, 256, x.shape, np.uint8),
        lambda x: resample.blurred(x.astype(np.float32), 2.0, 6).astype(np.uint8),
        lambda x: x.mean(axis=3, keepdims=True).repeat(3, axis=3).astype(np.uint8) // 2,
    ],
    ids=["black", "white", "noise", "blurred", "dim grey"],
)
def test_others_are_farther_than_all_but_few(data, fitted, change):
    images = data[1][:100]
    assert (fitted.score()(change(images)) > 0.99).mean() > 0.9
    assert (fitted.score()(images) > 0.99).mean() < 0.1


def test_a_domain_is_asked_by_itself(data, fitted):
    labels, images = data
    test = labels.split == "test"
    dark, light = images[test & (labels.domain == "dark")], images[test & (labels.domain == "light")]
    assert kstest(fitted.score(["dark"])(dark), "uniform").pvalue > 0.01
    assert (fitted.score(["dark"])(light) > 0.99).all()
    both = fitted.score(["light", "dark"])(images[test])
    np.testing.assert_array_equal(both, fitted.score()(images[test]))
    with pytest.raises(InputError, match=r"^no profile of grey, only of dark, light"):
        fitted.score(["grey", "dark"])


def test_a_batch_changes_no_bit(data, fitted):
    images = data[1][:50]
    whole = fitted.distances(images)
    parts = [fitted.distances(images[start : start + 7]) for start in range(0, 50, 7)]
    np.testing.assert_array_equal(whole, np.concatenate(parts))


def test_the_distance_is_mahalanobis_in_the_covariance_of_ledoit_and_wolf(data, fitted):
    labels, images = data
    x = novelty.features(images, BINS)
    train = labels.split == "train"
    scale = x[train].std(axis=0)
    for k, domain in enumerate(("dark", "light")):
        own = x[train & (labels.domain == domain)]
        covariance = LedoitWolf().fit(own / scale).covariance_
        np.testing.assert_allclose(novelty.shrunk(own / scale), covariance, rtol=1e-9, atol=1e-12)
        inverse = np.linalg.inv(covariance)
        far = [mahalanobis(row / scale, own.mean(axis=0) / scale, inverse) for row in x[:20]]
        np.testing.assert_allclose(fitted.distances(images[:20])[:, k], far, rtol=1e-4)


def test_neither_test_rows_nor_unused_ones_are_looked_at(data, fitted):
    labels, images = data
    sealed = labels.split == "test"
    split = np.where(sealed & (np.arange(len(sealed)) % 2 == 0), "unused", labels.split)
    changed = np.where(sealed[:, None, None, None], 0, images)
    again = novelty.fit(changed, labels._replace(split=split), BINS)
    for one, two in zip(fitted, again, strict=True):
        np.testing.assert_array_equal(one, two)


def test_images_that_are_all_the_same_have_a_profile():
    labels, images = dataset(shares={"train": 20, "valid": 10})
    found = novelty.fit(np.full_like(images, 9), labels, BINS)
    assert np.isfinite(found.whitening).all()
    assert (found.score()(np.full_like(images, 9)) == 0).all()
    assert (found.score()(images) == 1).all()


@pytest.mark.parametrize(
    ("shares", "complaint"),
    [
        ({"valid": 50}, "there are no train rows"),
        ({"train": 50, "test": 50}, "valid has fewer than two rows of domain dark, light"),
    ],
)
def test_too_few_rows_are_refused(shares, complaint):
    labels, images = dataset(shares=shares)
    with pytest.raises(InputError, match=f"^no profile: {complaint}; raise valid_share or the cap in params.yaml"):
        novelty.fit(images, labels, BINS)


def test_a_file_holds_all_of_it_and_the_same_bytes_twice(fitted, tmp_path):
    one, two = tmp_path / "new" / "one.safetensors", tmp_path / "two.safetensors"
    for path in (one, two):
        novelty.write(path, fitted)
    assert one.read_bytes() == two.read_bytes()
    for part, wanted in zip(novelty.read(one), fitted, strict=True):
        np.testing.assert_array_equal(part, wanted)


@pytest.mark.parametrize("damage", ["gone", "half", "text", "model", "shapes", "domains"])
def test_what_is_no_profile_is_refused(fitted, tmp_path, damage):
    path = tmp_path / "p.safetensors"
    novelty.write(path, fitted)
    if damage == "gone":
        path.unlink()
    elif damage == "half":
        path.write_bytes(path.read_bytes()[:-100])
    elif damage == "text":
        path.write_text("no profile")
    elif damage == "model":
        path.write_bytes(novelty.save({"weight": np.zeros(3)}))
    elif damage == "shapes":
        novelty.write(path, fitted._replace(mean=fitted.mean[:, 1:]))
    else:
        novelty.write(path, fitted._replace(domains=["dark"]))
    with pytest.raises(InputError, match=rf"^{path}: not a readable profile \(.*\); run dvc repro to make it again"):
        novelty.read(path)


def test_the_stage(data, fitted, tmp_path, monkeypatch, capsys):
    labels, images = data
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(f"novelty: {{bins: {BINS}, warn_above: 0.99}}")
    stem = np.array([f"{k}.png" for k in range(len(images))])
    digest = np.array([rows.digest(image) for image in images])
    tables.write_csv(Path("labels.csv"), labels._replace(path=stem, digest=digest)._asdict())
    np.save("images.npy", images)
    profile.main(Path("labels.csv"), Path("images.npy"), Path("p.safetensors"))
    assert capsys.readouterr().out == f"dark, light: {BINS + 6} features, 400 valid rows\n"
    for part, wanted in zip(novelty.read(Path("p.safetensors")), fitted, strict=True):
        np.testing.assert_array_equal(part, wanted)
    np.save("images.npy", images[::-1])
    with pytest.raises(InputError, match=r"^images\.npy: row 0"):
        profile.main(Path("labels.csv"), Path("images.npy"), Path("p.safetensors"))


@pytest.mark.parametrize(
    ("key", "value"), [("bins", 1), ("warn_above", 1.0), ("warn_above", -0.1), ("warn_below", 0.1)]
)
def test_wrong_settings_are_refused(key, value):
    with pytest.raises(InputError, match=f"^novelty.{key}: "):
        settings.check({"bins": 16, "warn_above": 0.99} | {key: value}, novelty.Settings, "novelty")
