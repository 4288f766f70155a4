"""The real archives, where they are at hand: counts, known duplicates, and the cue that the literature reports."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from whence import audit, labels, metrics, similar
from whence.base import arrays, settings
from whence.classifiers import logistic, small
from whence.datasets import cifake, cinic10
from whence.estimators.network.estimator import Estimator
from whence.features import colour, spectrum
from whence.pack import Settings, pack
from whence.table import rows

DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"the real archives are not in {DATA}"),
]


def read(module, archive, folder):
    """Pack and label an archive as the stages do; return its labels and images."""
    name = module.__name__.split(".")[-1]
    section = settings.load(f"label.{name}", labels.Settings)
    pack(archive, module.SUFFIX, module.PIXELS, Settings(modes=["RGB"]), folder / "images.npy", folder / "index.csv")
    table = labels.build(folder / "index.csv", module.parse, module.path, module.SPLITS, module.DOMAINS, section)
    images = arrays.read(folder / "images.npy")
    rows.check_aligned(table, images, folder / "images.npy")
    return table, images


def test_cifake_counts_and_duplicates(tmp_path):
    table, _ = read(cifake, DATA / "cifake.tar.xz", tmp_path)
    assert Counter(zip(table.official_split.tolist(), table.domain.tolist(), strict=True)) == {
        ("train", "real"): 50_000,
        ("train", "fake"): 50_000,
        ("test", "real"): 5_000,
        ("test", "fake"): 5_000,
    }
    assert Counter(table.split.tolist()) == {"train": 90_000, "valid": 10_000, "test": 10_000}
    groups, sizes = np.unique(table.group, return_counts=True)
    paired = np.isin(table.group, groups[sizes > 1])
    assert set(sizes[sizes > 1].tolist()) == {2}
    assert len(audit.copies(table.group)) == 1_141
    assert set(table.domain[paired].tolist()) == {"fake"}
    assert set(table.category[paired].tolist()) == {"dog", "frog", "bird"}
    in_train = Counter(table.group[table.official_split == "train"].tolist())
    assert sum(count == 2 for count in in_train.values()) == 920
    assert (table.split == "test").sum() - rows.clean(table).sum() == 211
    assert not set(table.group[table.split == "train"]) & set(table.group[table.split == "valid"])


def test_cinic10_counts_and_the_cue_of_its_origin(tmp_path):
    table, images = read(cinic10, DATA / "cinic10.tar.gz", tmp_path)
    assert Counter(table.split.tolist()) == {"train": 5_086, "valid": 1_272, "test": 2_106}
    assert Counter(table.domain.tolist()) == {"cifar": 4_232, "imagenet": 4_232}
    found = {}
    for module in (spectrum, colour):
        name = module.__name__.split(".")[-1]
        x = module.extract(images, settings.load(f"extract.{name}", module.Settings))
        train, valid, test = (
            rows.Rows(*rows.take(x, table.domain == "imagenet", table.split == s)) for s in cinic10.SPLITS
        )
        learnt = logistic.fit(train, valid, settings.load("train.logistic", logistic.Settings))
        section = metrics.Settings(resamples=0, confidence=0.95, ece_bins=15, seed=0)
        found[name] = metrics.summarise(test.y, logistic.score(learnt, test.x), section)["roc_auc"]
    assert found["spectrum"] >= 0.985
    assert found["colour"] == pytest.approx(0.56, abs=0.02)


def test_the_audit_of_cinic10_finds_photographs_that_both_halves_hold(tmp_path):
    table, images = read(cinic10, DATA / "cinic10.tar.gz", tmp_path)
    section = settings.load("audit", audit.Settings)
    near = similar.near_duplicates(images, np.arange(len(images)), section)
    assert len(near.pair) == 12
    found = {tuple(sorted(table.path[pair].tolist())) for pair in near.pair if len(set(table.domain[pair])) == 2}
    assert len(found) == 5
    assert ("train/airplane/cifar10-train-34745.png", "train/airplane/n02691156_334.png") in found
    assert table.path[audit.placeholders(images, section)].tolist() == ["train/frog/n01639765_193.png"]


def test_a_network_learns_the_origin_in_a_few_epochs(tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    table, images = read(cinic10, DATA / "cinic10.tar.gz", tmp_path)
    section = settings.check(settings.value("train.small") | {"epochs": 4, "seeds": [0]}, small.Settings, "small")
    train, valid = (rows.take(images, table.domain, table.split == split) for split in ("train", "valid"))
    model = Estimator(small, section).fit(*train, *valid)
    score = model.predict_proba(valid[0])[:, 1]
    assert model.classes_.tolist() == ["cifar", "imagenet"]
    assert roc_auc_score(valid[1] == "imagenet", score) > 0.98
