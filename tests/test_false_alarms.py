"""False alarms: shares counted by hand, what is unseen, and what cannot be asked."""

import json

import numpy as np
import pandas as pd
import pytest
import yaml
from repositories import ROOT, write_rows

from stages import compare_false_alarms
from stages import false_alarms as stage
from whence import jpeg
from whence.base.errors import InputError
from whence.classifiers import forest
from whence.estimators.classical.estimator import Estimator
from whence.table import rows, tables

SPLIT = np.repeat(["train", "valid", "test"], 40)


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """A folder in which a forest that calls bright images fake was asked about others: one half dark, one bright."""
    folder = tmp_path_factory.mktemp("alarms")
    rng = np.random.default_rng(0)

    def images(bright):
        return (rng.integers(0, 90, (120, 16, 16, 3)) + 110 * bright[:, None, None, None]).astype(np.uint8)

    domain, other = np.array(["real", "fake"] * 60), np.array(["cifar", "imagenet"] * 60)
    pixels = images(domain == "fake")
    write_rows(folder, pixels, SPLIT, domain)
    (folder / "other").mkdir()
    bright = (np.arange(120) % 2 == 1) ^ (np.arange(120) % 10 == 0)  # every fifth image of CIFAR is bright, too
    write_rows(folder / "other", images(bright), SPLIT, other)
    table = rows.read(folder / "other" / "labels")
    path = [f"test/cat/cifar10-{'train' if k % 20 == 0 else 'test'}-{k}.png" for k in range(120)]
    tables.write_csv(folder / "other" / "labels", table._replace(path=np.array(path))._asdict())
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["evaluate"]["metrics"]["resamples"] = 200
    params["false_alarms"] = {
        "one": params["false_alarms"]["fake-small"] | {"kind": "classical", "classifier": "forest"}
    }
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    section = forest.Settings(trees=9, min_samples_leaf=3, class_weight=None, seed=0)
    train, valid = ((pixels[s == SPLIT], domain[s == SPLIT]) for s in ("train", "valid"))
    model = Estimator(forest, section).fit(*train, *valid, np.array(["real", "fake"]))
    model.save(folder / "weights", folder / "card")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        ask(folder, "other")
    return folder


def ask(folder, other):
    files = ("labels", "images.npy", f"{other}/labels", f"{other}/images.npy", "weights", "card", "one.csv", "one.json")
    stage.main("fake", "classical", "forest", *(folder / name for name in files))


def test_shares_by_domain_coding_and_rows(asked):
    table = pd.read_csv(asked / "one.csv").set_index(["domain", "coding", "rows"])
    kinds = [(domain, coding) for domain in ("cifar", "imagenet") for coding in ("stored", "jpeg_75")]
    assert set(table.index) == {(*kind, which) for kind in [("real", "stored"), *kinds] for which in ("all", "unseen")}
    assert table.loc["real", "stored", "all"][["n", "called"]].tolist() == [20, 0]
    for coding in ("stored", "jpeg_75"):
        assert table.loc["imagenet", coding, "all"][["n", "called"]].tolist() == [20, 1]
        assert table.loc["cifar", coding, "all"][["n", "called"]].tolist() == [20, 0.2]
        # Ten of the twenty are named as images of CIFAR-10's training set: 80, 100 are bright among them.
        unseen = [k for k in range(80, 120, 2) if k % 20]
        expected = np.mean([k % 10 == 0 for k in unseen])
        assert table.loc["cifar", coding, "unseen"][["n", "called"]].tolist() == pytest.approx([len(unseen), expected])
    cifar = table.loc["cifar", "stored", "all"]
    assert 0 < cifar["called_lo"] < 0.2 < cifar["called_hi"] < 0.5
    figures = json.loads((asked / "one.json").read_text())
    assert figures["cifar_stored"] == {"all": 0.2, "unseen": pytest.approx(expected, abs=1e-6)}


def test_images_are_seen_through_the_jpeg_of_what_was_learnt(asked, monkeypatch):
    monkeypatch.chdir(asked)
    seen = []
    monkeypatch.setattr(jpeg, "recode", lambda images, quality: seen.append((len(images), quality)) or images)
    ask(asked, "other")
    assert seen == [(40, 75)]


def test_they_are_put_side_by_side_and_drawn(asked, monkeypatch):
    monkeypatch.chdir(asked)
    compare_false_alarms.main(asked, asked / "all.csv", asked / "picture.png")
    together = pd.read_csv(asked / "all.csv")
    assert together.columns[:5].tolist() == ["run", "domain", "coding", "rows", "n"]
    axes = compare_false_alarms._picture(together).axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()][:2] == [
        "real stored all (20)",
        "real stored unseen (20)",
    ]


def test_where_some_are_positive_no_alarm_is_false(asked, monkeypatch):
    monkeypatch.chdir(asked)
    (asked / "same").mkdir()
    for name in ("labels", "images.npy"):
        (asked / "same" / name).write_bytes((asked / name).read_bytes())
    before = (asked / "one.csv").read_bytes()
    with pytest.raises(InputError, match=r"same/labels: has images of fake: expected none"):
        ask(asked, "same")
    assert (asked / "one.csv").read_bytes() == before
