"""Where an answer stands: closed forms of occlusion, and the examples that are chosen and drawn."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from repositories import ROOT, edit, write_rows

from stages import embed
from stages import examples as stage
from whence import embedding, pictures, saliency
from whence.base import settings
from whence.base.errors import InputError
from whence.classifiers import head, simple_cnn
from whence.estimators.network import backbones
from whence.estimators.network.data import Scale
from whence.estimators.network.estimator import Estimator
from whence.features import spectrum

SPLIT = np.repeat(["train", "valid", "test"], 40)
FILES = ("labels", "images.npy", "weights", "card", "one.csv", "one.npy", "spectra.csv", "one.png")


def corner(images):
    """Logits that tell how bright the upper left quarter is, and nothing else."""
    bright = images[:, :, :4, :4].mean(dim=(1, 2, 3))
    return torch.stack([torch.zeros_like(bright), 10 * bright], dim=1)


def test_what_covers_nothing_that_counts_changes_nothing():
    x = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    found = saliency.occlusion(corner, x, torch.ones(3, dtype=torch.int64), window=4, stride=4)
    assert found.shape == (3, 8, 8)
    assert torch.allclose(found[:, 4:], torch.zeros(3, 4, 8), atol=1e-6)
    assert torch.allclose(found[:, :, 4:], torch.zeros(3, 8, 4), atol=1e-6)
    # Two classes, one logit of them 0: the log odds are the other, which falls to that of the mean colour.
    lost = 10 * (x[:, :, :4, :4].mean(dim=(1, 2, 3)) - x.mean(dim=(1, 2, 3)))
    assert torch.allclose(found[:, 0, 0].float(), lost, atol=1e-5)


def test_what_speaks_for_one_class_speaks_against_the_other():
    x = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    both = [saliency.occlusion(corner, x, torch.full((2,), k), window=4, stride=2) for k in (0, 1)]
    assert torch.allclose(both[0], -both[1], atol=1e-6)
    assert both[0].abs().max() > 0.01


def test_a_pixel_has_the_mean_over_the_squares_that_cover_it():
    x = torch.zeros(1, 3, 8, 8)
    x[:, :, 0, 0] = 1
    found = saliency.occlusion(corner, x, torch.ones(1, dtype=torch.int64), window=4, stride=2)[0]
    alone, none = found[0, 0], found[7, 7]
    assert alone > 0
    assert none == 0
    # Rows 2 and 3 are covered from 0 and from 2: one of the two squares of a column takes the bright pixel.
    assert found[2, 0] == pytest.approx(float((alone + _from(x, 2)) / 2), abs=1e-6)


def _from(x, row):
    """How far the odds fall where the square at (row, 0) is covered."""
    covered = x.clone()
    covered[:, :, row : row + 4, :4] = x.mean()
    return (corner(x) - corner(covered))[0, 1]


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """A folder in which a network that has learnt which images are bright was asked for examples; some lie."""
    folder = tmp_path_factory.mktemp("examples")
    rng = np.random.default_rng(0)
    domain = np.array(["real", "fake"] * 60)
    bright = (domain == "fake") ^ (np.arange(120) % 10 == 0)
    pixels = (rng.integers(0, 90, (120, 16, 16, 3)) + 110 * bright[:, None, None, None]).astype(np.uint8)
    write_rows(folder, pixels, SPLIT, domain)
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["show"] = {"rows": 40, "per_class": 3, "window": 8, "stride": 4}
    params["train"]["simple_cnn"] |= {"epochs": 8, "batch": 16}
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    section = settings.check(params["train"]["simple_cnn"], simple_cnn.Settings, "train.simple_cnn")
    train, valid = ((pixels[s == SPLIT], domain[s == SPLIT]) for s in ("train", "valid"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Estimator(simple_cnn, section).fit(*train, *valid, np.array(["real", "fake"])).save(
            folder / "weights", folder / "card"
        )
        ask(folder)
    return folder


def ask(folder, section="tasks.fake"):
    stage.main(section, "simple_cnn", *(folder / name for name in FILES))


def test_a_network_on_the_features_of_a_backbone_is_asked_through_it(shown, tmp_path, monkeypatch):
    """Its answers are those on the features that it learnt from; what is covered, it sees through the backbone."""
    monkeypatch.chdir(tmp_path)
    for name in ("labels", "images.npy", "params.yaml"):
        shutil.copy(shown / name, name)
    edit(tmp_path, lambda params: params["embed"].update(pixels=32))
    torch.manual_seed(0)
    backbones.write(Path("start"), "resnet18", backbones.drawn("resnet18", 0), backbones.NOTHING)
    embed.main("cifake", "resnet18", Path("images.npy"), Path("start"), Path("features.npy"))
    features, domain = np.load("features.npy"), pd.read_csv("labels")["domain"].to_numpy()
    plain = settings.load("train.head", head.Settings).model_copy(update={"epochs": 3, "batch": 16})
    train, valid = ((features[s == SPLIT], domain[s == SPLIT]) for s in ("train", "valid"))
    model = Estimator(head, plain).fit(*train, *valid, np.array(["real", "fake"]))
    model.save(Path("weights"), Path("card"))
    files = (tmp_path / name for name in FILES)
    stage.main("tasks.fake", "head", *files, "resnet18", Path("features.npy"), Path("start"))
    table, kept = pd.read_csv("one.csv"), np.load("one.npy")
    proba = model.predict_proba(features[table["row"]])
    assert table["score"].to_numpy() == pytest.approx(proba.max(axis=1), abs=1e-6)
    assert kept.shape == (len(table), 16, 16, 4)
    # The corner is covered by one square alone: what the log odds lose there, step by step.
    row, said = int(table["row"][0]), int(np.flatnonzero(model.classes_ == table["predicted"][0])[0])
    image = np.load("images.npy")[row].astype(np.float32)
    covered = image.copy()
    covered[:8, :8] = image.mean(axis=(0, 1))
    trunk = embedding.Embedding(
        backbones.load(Path("start"), "resnet18", []), Scale(*backbones.normalisation("resnet18")), 32
    )
    with torch.inference_mode():
        both = torch.from_numpy(np.stack([image, covered])).permute(0, 3, 1, 2) / 255
        z = model.of_features(0)(trunk.of_pixels(both)).double().numpy()
    odds = z[:, said] - z[:, 1 - said]
    assert kept[0, 0, 0, 3] == pytest.approx(odds[0] - odds[1], rel=0.02, abs=0.02)


def test_wrong_ones_of_every_class_the_surest_first_and_right_ones(shown):
    table = pd.read_csv(shown / "one.csv")
    assert (table["row"] >= 80).all()
    assert table["right"].tolist() == np.where(table["actual"] == table["predicted"], "yes", "no").tolist()
    for name in ("real", "fake"):
        mine = table[table["actual"] == name]
        wrong, right = mine[mine["right"] == "no"], mine[mine["right"] == "yes"]
        assert 0 < len(right) <= 3
        assert len(wrong) <= 3
        assert wrong["score"].is_monotonic_decreasing
    # Every tenth image is as bright as the other class: 80, 100 are real ones, 90, 110 are not of this kind.
    assert set(table.loc[table["right"] == "no", "row"]) >= {80, 100}


def test_the_answers_are_those_of_the_network(shown):
    table, pixels = pd.read_csv(shown / "one.csv"), np.load(shown / "images.npy")
    model = Estimator.load(simple_cnn, shown / "weights", shown / "card")
    proba = model.predict_proba(pixels[table["row"]])
    assert table["score"].to_numpy() == pytest.approx(proba.max(axis=1), abs=1e-6)
    assert table["predicted"].tolist() == model.classes_[proba.argmax(axis=1)].tolist()


def test_pixels_are_those_of_the_rows_and_covering_is_beside_them(shown):
    table, pixels, kept = (
        pd.read_csv(shown / "one.csv"),
        np.load(shown / "images.npy"),
        np.load(shown / "one.npy"),
    )
    assert kept.shape == (len(table), 16, 16, 4)
    assert np.array_equal(kept[..., :3], pixels[table["row"]])  # levels are whole, and exact in half precision
    assert np.abs(kept[..., 3]).max() > 0


def test_spectra_are_those_of_the_train_rows_and_the_likeliest_class_is_told(shown):
    spectra, table = pd.read_csv(shown / "spectra.csv"), pd.read_csv(shown / "one.csv")
    labels, pixels = pd.read_csv(shown / "labels"), np.load(shown / "images.npy")
    bins = spectrum.Settings(bins=16)
    for name, part in spectra.groupby("class"):
        train = pixels[((labels["split"] == "train") & (labels["domain"] == name)).to_numpy()]
        assert part["mean"].to_numpy() == pytest.approx(spectrum.extract(train, bins).mean(axis=0), abs=1e-3)
        assert part["ring"].tolist() == spectrum.names(bins)
    assert set(table["spectrum_says"]) <= {"real", "fake"}
    own = table[spectrum.names(bins)].to_numpy()
    assert own == pytest.approx(spectrum.extract(pixels[table["row"]], bins), abs=1e-3)


def test_likeliest_by_hand():
    known = np.array([[[0.0, 1.0]], [[4.0, 2.0]]])  # two classes, one ring: mean and deviation
    assert stage._likeliest(np.array([[0.0], [4.0], [1.5], [-9.0]]), known).tolist() == [0, 1, 0, 1]


def test_a_class_without_wrong_rows_has_right_ones_alone():
    actual, names = np.array(["a"] * 5 + ["b"] * 3), np.array(["a", "b"])
    said = np.array([0, 0, 0, 0, 0, 0, 1, 0])
    sure = np.array([0.9, 0.8, 0.7, 0.6, 0.9, 0.6, 0.9, 0.8])
    assert stage._chosen(actual, names, said, sure, 2).tolist() == [0, 4, 7, 5, 6]
    assert stage._chosen(actual[:5], names, said[:5], sure[:5], 9).tolist() == [0, 1, 2, 3, 4]


def test_the_same_twice(shown, monkeypatch):
    monkeypatch.chdir(shown)
    before = [(shown / name).read_bytes() for name in FILES[4:]]
    ask(shown)
    assert [(shown / name).read_bytes() for name in FILES[4:]] == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"window": 17}, r"show\.window: got 17, expected at most the side of an image, 16"),
        ({"stride": 9}, r"stride 9 leaves pixels uncovered"),
        ({"per_class": 0}, r"show\.per_class"),
    ],
)
def test_what_cannot_be_shown_is_refused(shown, tmp_path, monkeypatch, change, message):
    params = yaml.safe_load((shown / "params.yaml").read_text())
    params["show"] |= change
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        ask(shown)


def test_an_example_is_red_where_covering_takes_from_the_answer():
    import matplotlib.pyplot as plt

    covered = np.zeros((4, 4), np.float32)
    covered[0, 0], covered[3, 3] = 2, -1
    _, axes = plt.subplots()
    pictures.draw_example(axes, np.full((4, 4, 3), 128, np.uint8), covered)
    shade = axes.images[2].get_array()
    assert shade[0, 0, 0] > shade[0, 0, 2]
    assert shade[3, 3, 2] > shade[3, 3, 0]
    assert shade[1, 1, 3] == 0
