"""Derived datasets and the controls on them: which rows are used, under which labels, and what is said of it."""

import json

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
from repositories import ROOT

from stages import compare_controls
from stages import derive as stage
from whence import derive
from whence.base.errors import InputError
from whence.table import rows, tables

PLAIN = {"dataset": "cifake"}


@pytest.fixture
def labels():
    """240 rows of two domains and three categories in four splits, the counts of their cells not all equal."""
    rng = np.random.default_rng(0)
    split = np.repeat(["train", "valid", "test", "unused"], [120, 40, 60, 20])
    domain, category = rng.choice(["fake", "real"], 240), rng.choice(["cat", "dog", "ship"], 240, p=[0.6, 0.3, 0.1])
    names = np.array([f"{k}.jpg" for k in range(240)])
    return rows.Labels(names, split, split, category, domain, np.arange(240), names)


def relabelled(table, /, **changes):
    return derive.relabel(table, derive.Settings(**PLAIN | changes), "derived.x")


def test_nothing_set_changes_nothing(labels):
    for old, new in zip(labels, relabelled(labels), strict=True):
        assert np.array_equal(old, new)


def test_shuffled_domains_are_as_many_in_each_split_and_know_nothing_of_the_old(labels):
    new = relabelled(labels, labels="shuffled")
    for split in ("train", "valid", "test"):
        here = labels.split == split
        assert sorted(new.domain[here]) == sorted(labels.domain[here])
    assert 0.35 < (new.domain == labels.domain).mean() < 0.65
    assert np.array_equal(new.split, labels.split)
    assert not np.array_equal(relabelled(labels, labels="shuffled", seed=1).domain, new.domain)


def test_halves_part_one_domain_evenly_in_each_split(labels):
    new = relabelled(labels, labels="halves", domain="real")
    assert set(new.split[labels.domain == "fake"]) == {"unused"}
    for split in ("train", "valid", "test"):
        here = new.split == split
        assert np.array_equal(here, (labels.split == split) & (labels.domain == "real"))
        counts = [(new.domain[here] == domain).sum() for domain in ("fake", "real")]
        assert abs(counts[0] - counts[1]) <= 1


def test_a_category_is_left_out_of_what_is_learnt_and_alone_is_asked_for(labels):
    new = relabelled(labels, without="dog")
    learnt = np.isin(new.split, ["train", "valid"])
    assert set(new.category[learnt]) == {"cat", "ship"}
    assert set(new.category[new.split == "test"]) == {"dog"}
    assert np.array_equal(learnt, np.isin(labels.split, ["train", "valid"]) & (labels.category != "dog"))


@pytest.mark.parametrize("most", [1, 7, 30, 120, 500])
def test_fewer_rows_of_train_are_even_and_part_of_more(labels, most):
    chosen = relabelled(labels, train=most).split == "train"
    assert chosen.sum() == min(most, 120)
    assert not (chosen & ~(relabelled(labels, train=most + 1).split == "train")).any()
    assert np.array_equal(relabelled(labels, train=most).split[120:], labels.split[120:])
    cells = pd.Series(labels.domain + labels.category)
    whole, some = (cells[mask].value_counts() for mask in (labels.split == "train", chosen))
    level = some.max()
    assert all(some.get(cell, 0) >= min(count, level - 1) for cell, count in whole.items())


@pytest.mark.parametrize("most", [1, 12, 40, 90])
def test_rows_of_valid_that_are_not_needed_are_learnt_from(labels, most):
    new = relabelled(labels, valid=most).split
    assert (new == "valid").sum() == min(most, 40)
    assert set(new[labels.split == "valid"]) <= {"valid", "train"}
    assert np.array_equal(new[labels.split != "valid"], labels.split[labels.split != "valid"])
    both = relabelled(labels, valid=most, train=30).split  # of train alone
    assert (both == "train").sum() == 30 + max(0, 40 - most)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": "halves"}, "derived.x: labels: halves needs a domain, and a domain halves"),
        ({"domain": "real"}, "derived.x: labels: halves needs a domain, and a domain halves"),
        ({"labels": "halves", "domain": "cifar"}, "derived.x.domain: got 'cifar'; known are fake, real"),
        ({"without": "cow"}, "derived.x.without: got 'cow'; known are cat, dog, ship"),
    ],
)
def test_what_does_not_occur_is_refused(labels, changes, message):
    with pytest.raises(InputError, match=f"^{message}"):
        relabelled(labels, **changes)


@pytest.fixture
def folder(tmp_path, monkeypatch, labels):
    """A folder with labels, images, and parameters in which some datasets are derived."""
    monkeypatch.chdir(tmp_path)
    pixels = np.random.default_rng(1).integers(0, 256, (240, 32, 32, 3)).astype(np.uint8)
    np.save("images.npy", pixels)
    digests = np.array([rows.digest(image) for image in pixels])
    tables.write_csv(tmp_path / "labels", labels._replace(digest=digests)._asdict())
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["derived"] = {
        "small": PLAIN | {"transform": "box16", "train": 50},
        "wrong": PLAIN | {"transform": "box"},
        "shuffled": PLAIN | {"labels": "shuffled"},
    }
    control = params["controls"]["origin-box16-spectrum-logistic"]
    params["controls"] = {
        "one": control | {"dataset": "small", "against": "whole"},
        "two": control | {"dataset": "shuffled", "against": "whole"},
    }
    run = {"train_on": "real", "dataset": "small", "kind": "network", "classifier": "mlp", "settings": "mlp"}
    places = {"cinic10": "cinic10", "cifake": "small", "against": "objects-real-whole"}
    params["object_controls"] = {"three": run | places}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    return tmp_path


def test_a_derived_dataset_is_aligned_and_has_the_digests_of_its_own_images(folder, monkeypatch, capsys):
    monkeypatch.setattr(stage, "BLOCK", 100)
    names = ("labels", "images.npy", "new", "new.npy")
    stage.main("small", *(folder / name for name in names))
    table, images = rows.read(folder / "new"), np.load("new.npy")
    rows.check_aligned(table, images, folder / "new.npy")
    assert capsys.readouterr().out == "small: 50 train, 40 valid, 60 test\n"
    assert np.array_equal(images[:, ::2, ::2], images[:, 1::2, 1::2])
    assert np.array_equal(table.group, rows.read(folder / "labels").group)


def test_an_unknown_transform_is_refused_before_anything_is_read(folder):
    with pytest.raises(InputError, match=r"derived.wrong.transform: got 'box'; known are box16, lanczos24,"):
        stage.main("wrong", *(folder / name for name in ("none", "none.npy", "new", "new.npy")))
    assert not (folder / "new").exists()


def test_controls_stand_beside_the_runs_that_they_are_held_against(folder):
    (folder / "origin").mkdir()
    for name, auc in (("whole", 0.9), ("one", 0.6), ("two", 0.49)):
        part = {"n": 60, "roc_auc": auc, "roc_auc_lo": auc - 0.1, "roc_auc_hi": auc + 0.1, "mcc": 0.3}
        (folder / "origin" / f"{name}.json").write_text(json.dumps({"official": part, "youden": {"threshold": 0.4}}))
    (folder / "objects").mkdir()
    for name, accuracy in (("objects-real-whole", 0.9), ("three", 0.5)):
        part = {"n": 70, "accuracy": accuracy, "accuracy_lo": accuracy - 0.1, "accuracy_hi": accuracy + 0.1}
        parts = {"real": {"official": part}, "fake": {"official": part | {"accuracy": 0.2}}, "epochs": 3.0}
        (folder / "objects" / f"{name}.json").write_text(json.dumps(parts))
    compare_controls.main(folder, folder / "controls.csv", folder / "controls.png")
    board = pd.read_csv("controls.csv")
    assert board["changed"].tolist() == ["transform box16; train 50", "labels shuffled", "transform box16; train 50"]
    assert board["metric"].tolist() == ["roc_auc", "roc_auc", "accuracy"]
    assert board["n"].tolist() == [60, 60, 70]
    assert board["left"].tolist() == [0.25, -0.025, 0.5]
    assert board["value_lo"].tolist() == pytest.approx([0.5, 0.39, 0.4])
    assert board["against_value"].tolist() == [0.9, 0.9, 0.9]
    figure = compare_controls._picture(board)
    assert [text.get_text() for axes in figure.axes for text in axes.texts] == ["25% left", "-2% left", "50% left"]
    assert [axes.get_xlabel().partition(" on")[0] for axes in figure.axes] == ["ROC AUC", "accuracy"]
    assert Image.open("controls.png").size[0] == 1500


def test_of_a_run_at_chance_nothing_can_be_left(folder):
    (folder / "origin").mkdir()
    for name in ("whole", "one", "two"):
        (folder / "origin" / f"{name}.json").write_text(json.dumps({"official": {"n": 60, "roc_auc": 0.5}}))
    params = yaml.safe_load((folder / "params.yaml").read_text()) | {"object_controls": {}}
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    compare_controls.main(folder, folder / "controls.csv", folder / "controls.png")
    board = pd.read_csv("controls.csv")
    assert board["left"].isna().all()
    assert [text.get_text() for text in compare_controls._picture(board).axes[0].texts] == ["", ""]
