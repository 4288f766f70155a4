"""Names, and the samples drawn in the published layouts: what the rest of the pipeline is built and tested on."""

import io
import tarfile
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from whence import scenes
from whence.base.errors import InputError
from whence.base.settings import check
from whence.datasets import cifake, cinic10
from whence.names import CATEGORIES, Name

SAMPLES = {
    cinic10: cinic10.Sample(cifar=20, imagenet=70, seed=1),
    cifake: cifake.Sample(train=100, test=50, seed=1),
}
SMALL = {
    cinic10: cinic10.Sample(cifar=2, imagenet=3, seed=1),
    cifake: cifake.Sample(train=3, test=2, seed=1),
}
DATASETS = [pytest.param(module, id=module.__name__.rsplit(".", maxsplit=1)[-1]) for module in SAMPLES]
REAL = Path(__file__).parents[2] / "shared" / "data"


@cache
def drawn(module: ModuleType) -> dict[str, bytes]:
    return dict(module.draw(SAMPLES[module]))


@cache
def pixels(module: ModuleType) -> np.ndarray:
    return np.stack([np.asarray(Image.open(io.BytesIO(encoded))) for encoded in drawn(module).values()])


@cache
def names(module: ModuleType) -> list[Name]:
    return [module.parse(path) for path in drawn(module)]


def copies(module: ModuleType) -> list[list[Name]]:
    """The groups of byte-identical members."""
    groups = defaultdict(list)
    for path, encoded in drawn(module).items():
        groups[encoded].append(module.parse(path))
    return [group for group in groups.values() if len(group) > 1]


# Names

numbers = st.from_regex(r"[0-9]{1,6}", fullmatch=True)
cinic_stems = st.one_of(
    st.tuples(st.just("cifar"), st.from_regex(r"cifar-?10-(train|test)-[0-9]{1,5}", fullmatch=True)),
    st.tuples(st.just("imagenet"), st.from_regex(r"n[0-9]{8}_[0-9]{1,6}", fullmatch=True)),
)
folders = st.sampled_from(["", "./", "CINIC-10/", "my archive/", "train/"])


@given(st.sampled_from(cinic10.SPLITS), st.sampled_from(CATEGORIES), cinic_stems, folders)
def test_cinic10_names_make_the_round_trip(split: str, category: str, stem: tuple[str, str], folder: str) -> None:
    name = Name(split, category, *stem)
    assert cinic10.parse(cinic10.path(name)) == name
    assert cinic10.parse(folder + cinic10.path(name)) == name


@given(st.sampled_from(cifake.SPLITS), st.sampled_from(CATEGORIES), st.sampled_from(cifake.DOMAINS), numbers, folders)
def test_cifake_names_make_the_round_trip(split: str, category: str, domain: str, stem: str, folder: str) -> None:
    name = Name(split, category, domain, stem)
    assert cifake.parse(cifake.path(name)) == name
    assert cifake.parse(folder + cifake.path(name)) == name


@pytest.mark.parametrize(
    ("module", "path", "name"),
    [
        (cinic10, "train/cat/cifar10-train-7.png", Name("train", "cat", "cifar", "cifar10-train-7")),
        (cinic10, "valid/ship/cifar-10-test-07.png", Name("valid", "ship", "cifar", "cifar-10-test-07")),
        (cinic10, "CINIC-10/test/deer/n02430045_12.png", Name("test", "deer", "imagenet", "n02430045_12")),
        (cifake, "train/REAL/0000.jpg", Name("train", "airplane", "real", "0000")),
        (cifake, "test/FAKE/0 (2).jpg", Name("test", "automobile", "fake", "0")),
        (cifake, "archive/train/FAKE/5999 (10).jpg", Name("train", "truck", "fake", "5999")),
    ],
)
def test_a_path_says_its_parts(module: ModuleType, path: str, name: Name) -> None:
    assert module.parse(path) == name


@pytest.mark.parametrize(
    "path",
    [
        "",
        "README",
        "train/cat/",
        "train/lion/n02121620_1.png",
        "dev/cat/n02121620_1.png",
        "train/cat/n0212162_1.png",
        "train/cat/n02121620_.png",
        "train/cat/n02121620_1.jpg",
        "train/cat/n02121620_1.PNG",
        "train/cat/n02121620_1.png\n",
        "train/cat/cifar10-valid-1.png",
        "train/cat/cifar_10-train-1.png",
        "train/cat/cifar10-train-١.png",
        "train/cat/._n02121620_1.png",
        "a/b/train/cat/n02121620_1.png",
        "/tmp/train/cat/n02121620_1.png",
    ],
)
def test_cinic10_refuses(path: str) -> None:
    assert cinic10.parse(path) is None


@pytest.mark.parametrize(
    "path",
    [
        "",
        "train/REAL/",
        "train/real/0001.jpg",
        "valid/REAL/0001.jpg",
        "train/REAL/0001 (1).jpg",
        "train/REAL/0001 (11).jpg",
        "train/REAL/0001 (0).jpg",
        "train/REAL/0001 (02).jpg",
        "train/REAL/0001(2).jpg",
        "train/REAL/0001 (2) (3).jpg",
        "train/REAL/0001 (2).jpeg",
        "train/REAL/0001 (2).png",
        "train/REAL/٠٠٠١.jpg",
        "train/REAL/0001 (٢).jpg",
        "train/REAL/.jpg",
        "train/REAL/0001.jpg\n",
        "a/b/train/REAL/0001.jpg",
    ],
)
def test_cifake_refuses(path: str) -> None:
    assert cifake.parse(path) is None


@pytest.mark.real
@pytest.mark.skipif(not REAL.is_dir(), reason=f"the real archives are not in {REAL}")
@pytest.mark.parametrize(
    ("module", "archive", "count"), [(cinic10, "cinic10.tar.gz", 8464), (cifake, "cifake.tar.xz", 110_000)]
)
def test_every_real_name_makes_the_round_trip(module: ModuleType, archive: str, count: int) -> None:
    with tarfile.open(REAL / archive) as members:
        paths = [member.name for member in members if member.isfile()]
    found = [module.parse(path) for path in paths]
    assert len(found) == count
    assert [module.path(name) for name in found] == paths


# Samples


@pytest.mark.parametrize("module", DATASETS)
def test_constants_fit_the_names(module: ModuleType) -> None:
    for split in module.SPLITS:
        for domain in module.DOMAINS:
            assert {n.category for n in names(module) if (n.split, n.domain) == (split, domain)} == set(CATEGORIES)
    assert all(path.endswith(module.SUFFIX) for path in drawn(module))
    assert module.CONTAINER in {"tar", "zip"}


def test_cinic10_cells_hold_what_was_asked() -> None:
    cells = Counter((n.split, n.category, n.domain) for n in names(cinic10))
    assert len(cells) == 3 * 10 * 2
    assert all(count == getattr(SAMPLES[cinic10], domain) for (_, _, domain), count in cells.items())


def test_cifake_cells_hold_what_was_asked() -> None:
    cells = Counter((n.split, n.category, n.domain) for n in names(cifake))
    assert len(cells) == 2 * 10 * 2
    assert all(count == getattr(SAMPLES[cifake], split) for (split, _, _), count in cells.items())


@pytest.mark.parametrize("module", DATASETS)
def test_members_are_unique(module: ModuleType) -> None:
    paths = [path for path, _ in module.draw(SMALL[module])]
    assert len(set(paths)) == len(paths)
    assert len(drawn(module)) == len(set(names(module)))


def test_cifar_indexes_are_unique_across_the_splits() -> None:
    stems = [n.stem for n in names(cinic10)]
    assert len(set(stems)) == len(stems)


def test_cifake_numbers_run_as_published() -> None:
    stems = {key: [n.stem for n in names(cifake) if (n.split, n.domain) == key] for key in [
        ("train", "real"), ("train", "fake"), ("test", "real"), ("test", "fake")]}  # fmt: skip
    assert {key: (found[0], found[-1]) for key, found in stems.items()} == {
        ("train", "real"): ("0000", "0099"),
        ("train", "fake"): ("1000", "1099"),
        ("test", "real"): ("0000", "0049"),
        ("test", "fake"): ("0", "49"),
    }


@pytest.mark.parametrize("module", DATASETS)
def test_two_draws_are_identical_and_a_small_sample_is_part_of_a_large_one(module: ModuleType) -> None:
    first = list(module.draw(SMALL[module]))
    assert first == list(module.draw(SMALL[module]))
    assert all(drawn(module)[path] == encoded for path, encoded in first)


@pytest.mark.parametrize("module", DATASETS)
def test_another_seed_draws_other_images_under_the_same_names(module: ModuleType) -> None:
    one, other = (dict(module.draw(SMALL[module].model_copy(update={"seed": seed}))) for seed in (1, 2))
    assert one.keys() == other.keys()
    assert not set(one.values()) & set(other.values())


@pytest.mark.parametrize(("module", "kind"), [(cinic10, "PNG"), (cifake, "JPEG")])
def test_every_member_is_a_small_rgb_image(module: ModuleType, kind: str) -> None:
    for encoded in drawn(module).values():
        image = Image.open(io.BytesIO(encoded))
        assert (image.format, image.mode, image.size) == (kind, "RGB", (module.PIXELS, module.PIXELS))


def test_cifake_is_encoded_at_quality_75() -> None:
    expected = io.BytesIO()
    Image.new("RGB", (8, 8)).save(expected, "JPEG", quality=75)
    tables = Image.open(expected).quantization
    assert all(Image.open(io.BytesIO(encoded)).quantization == tables for encoded in drawn(cifake).values())


@pytest.mark.parametrize(
    ("module", "content"),
    [
        (cinic10, {"cifar": 0, "imagenet": 70, "seed": 1}),
        (cinic10, {"cifar": 20, "imagenet": 70.0, "seed": 1}),
        (cinic10, {"cifar": 20, "imagenet": 70}),
        (cifake, {"train": 5001, "test": 50, "seed": 1}),
        (cifake, {"train": 100, "test": 50, "seed": -1}),
        (cifake, {"train": 100, "test": 50, "seed": 1, "valid": 3}),
    ],
)
def test_a_wrong_sample_is_refused(module: ModuleType, content: dict[str, float]) -> None:
    with pytest.raises(InputError, match="sample"):
        check(content, module.Sample, "sample")


# What a model can see


def spectra(images: np.ndarray) -> np.ndarray:
    """Logarithm of the power in 16 rings of spatial frequency, (N, 16)."""
    luminance = (images * [0.299, 0.587, 0.114]).sum(3)
    power = np.abs(np.fft.fft2(luminance - luminance.mean((1, 2), keepdims=True))) ** 2
    frequency = np.fft.fftfreq(32) * 32
    rings = np.minimum(np.hypot(frequency, frequency[:, None]).astype(int), 15)
    return np.log(np.stack([power[:, rings == ring].mean(1) for ring in range(16)], 1) + 1e-3)


def origin_auc(module: ModuleType, features: np.ndarray) -> float:
    """ROC AUC on test of a logistic regression on train and valid that tells the domains apart."""
    foreign = np.array([n.domain == module.DOMAINS[1] for n in names(module)])
    sealed = np.array([n.split == "test" for n in names(module)])
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    model.fit(features[~sealed], foreign[~sealed])
    return float(roc_auc_score(foreign[sealed], model.decision_function(features[sealed])))


@pytest.mark.parametrize("module", DATASETS)
def test_the_spectrum_tells_the_domains_apart_but_not_always(module: ModuleType) -> None:
    assert 0.75 < origin_auc(module, spectra(pixels(module))) < 0.97


@pytest.mark.parametrize("module", DATASETS)
def test_the_mean_colour_hardly_tells_the_domains_apart(module: ModuleType) -> None:
    assert 0.4 < origin_auc(module, pixels(module).mean((1, 2))) < 0.65


def test_categories_look_different() -> None:
    """A linear model on thumbnails tells the categories apart far more often than chance, 10 %."""
    thumbnails = pixels(cinic10).reshape(-1, 8, 4, 8, 4, 3).mean((2, 4)).reshape(-1, 192)
    categories = np.array([n.category for n in names(cinic10)])
    sealed = np.array([n.split == "test" for n in names(cinic10)])
    model = LinearDiscriminantAnalysis().fit(thumbnails[~sealed], categories[~sealed])
    assert model.score(thumbnails[sealed], categories[sealed]) > 0.4


@pytest.mark.parametrize("category", CATEGORIES)
def test_a_scene_follows_its_generator(category: str) -> None:
    first, again, other = (scenes.draw(category, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert (first.mode, first.size) == ("RGB", (scenes.SIDE, scenes.SIDE))
    assert first == again
    assert first != other


# Planted faults


def test_cifake_repeats_fake_dogs_frogs_and_birds_within_and_across_the_splits() -> None:
    groups = copies(cifake)
    assert all(n.domain == "fake" for group in groups for n in group)
    assert all(len({n.category for n in group}) == 1 for group in groups)
    splits = Counter((group[0].category, "-".join(n.split for n in group)) for group in groups)
    assert splits == {(c, s): 1 for c in ("dog", "frog", "bird") for s in ("train-train", "train-test", "test-test")}


def test_cinic10_repeats_tiles_within_and_across_the_splits() -> None:
    groups = copies(cinic10)
    assert all(n.domain == "imagenet" for group in groups for n in group)
    within = Counter(group[0].category for group in groups if len({n.split for n in group}) == 1)
    across = Counter((g[0].category, tuple(n.split for n in g)) for g in groups if len({n.split for n in g}) > 1)
    assert within == {"frog": 3, "deer": 3, "airplane": 3}
    assert across == {(c, ("train", "valid", "test")): 2 for c in ("cat", "ship")}


@pytest.mark.parametrize("split", ["valid", "test"])
@pytest.mark.parametrize(
    ("category", "domain", "at_least"),
    [("dog", "cifar", 0.8), ("truck", "cifar", 0.8), ("bird", "imagenet", 0.8), ("horse", "imagenet", 0.8)],
)
def test_cinic10_shows_some_scenes_twice(split: str, category: str, domain: str, at_least: float) -> None:
    cells = defaultdict(list)
    for i, name in enumerate(names(cinic10)):
        cells[name.split, name.category, name.domain].append(i)
    copy, original = cells[split, category, "imagenet"][14], cells["train", category, domain][14]
    images = pixels(cinic10)
    assert not np.array_equal(images[copy], images[original])
    others = [i for (_, kind, _), cell in cells.items() if kind == category for i in cell if i != copy]
    likeness = {i: np.corrcoef(images[copy].ravel(), images[i].ravel())[0, 1] for i in others}
    assert likeness[original] > at_least
    # The other copy of the same scene, in the other split, may be nearer still.
    assert original in sorted(others, key=likeness.__getitem__)[-2:]


def test_cinic10_holds_one_placeholder() -> None:
    grey = [n for n, image in zip(names(cinic10), pixels(cinic10), strict=True) if not np.ptp(image, axis=2).any()]
    assert [(n.split, n.category, n.domain) for n in grey] == [("train", "automobile", "imagenet")]
