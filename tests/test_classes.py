"""Questions of several classes: what a learning curve says, and how runs are put side by side."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from stages import compare_classes
from stages.compare_classes import overfitting
from whence.base.errors import InputError
from whence.table import rows, tables

ROOT = Path(__file__).resolve().parent.parent
OUT = ("m.json", "board", "confusion.csv", "training.csv", "a.png", "b.png", "c.png", "d.png")
CLASSES = ("cat", "cow", "dog")


def curve(valid, train=None, seed=0):
    train = train if train is not None else np.linspace(1, 0.1, len(valid))
    return pd.DataFrame(
        {
            "seed": seed,
            "epoch": range(1, len(valid) + 1),
            "train_loss": train,
            "valid_loss": valid,
            "valid_accuracy": 0.5,
        }
    ).assign(learning_rate=0.1, train_accuracy=0.5)


class TestOverfitting:
    @pytest.mark.parametrize(
        ("valid", "train", "best", "rise", "verdict"),
        [
            ([1.0, 0.8, 0.6], None, 3, 0, "no"),
            ([1.0, 0.5, 0.6, 0.75], None, 2, 0.5, "from epoch 2 on"),
            ([1.0, 0.5, 0.52], None, 2, 0.04, "no"),
            ([1.0, 0.5, 0.75], [1.0, 0.5, 0.9], 2, 0.5, "no"),  # it diverges: train loss rises as well
            ([0.7], None, 1, 0, "no"),
        ],
    )
    def test_it_is_a_rise_of_the_valid_loss_while_the_train_loss_falls(self, valid, train, best, rise, verdict):
        found = overfitting(curve(valid, train))
        assert found == {"epochs": len(valid), "best_epoch": best, "rise": pytest.approx(rise), "overfits": verdict}

    def test_of_several_seeds_it_is_the_mean(self):
        found = overfitting(pd.concat([curve([1.0, 0.5, 1.0], seed=0), curve([1.0, 0.8, 0.6], seed=1)]))
        assert (found["best_epoch"], found["rise"], found["overfits"]) == (2.5, 0.5, "no")  # one of two is no majority


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder in which two runs have answered which of three animals."""
    monkeypatch.chdir(tmp_path)
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    run = {"train_on": "zoo", "dataset": "zoo", "kind": "network", "classifier": "small", "settings": "small_few"}
    params |= {
        "classes": {"zoo": {"dataset": "zoo", "question": "which of 3?"}},
        "class_runs": {"zoo-a": run, "zoo-b": run},
    }
    Path("params.yaml").write_text(yaml.dump(params))
    for name in ("full", "confusion", "training/network"):
        Path(name).mkdir(parents=True)
    for k, key in enumerate(("zoo-a", "zoo-b")):
        accuracy = 0.5 + 0.2 * k
        ends = {"accuracy_lo": accuracy - 0.1, "accuracy_hi": accuracy + 0.1, "macro_f1_lo": 0.3, "macro_f1_hi": 0.5}
        part = {"n": 30, "accuracy": accuracy, "macro_f1": 0.4, "weighted_f1": 0.4, "ece": 0.1} | ends
        Path(f"full/{key}.json").write_text(json.dumps({"all": {"official": part, "clean": part}, "epochs": 3}))
        pairs = [(a, b, 10 * (a == b)) for a in CLASSES for b in CLASSES]
        pd.DataFrame(pairs, columns=["actual", "predicted", "count"]).assign(domain="all").to_csv(
            f"confusion/{key}.csv"
        )
        curve([1.0, 0.5, 0.75] if k else [1.0, 0.8, 0.6]).to_csv(f"training/network/{key}.csv", index=False)
    split, category = np.repeat(["train", "valid", "test"], 30), np.tile(np.repeat(CLASSES, 10), 3)
    names = np.array([f"{k}.jpg" for k in range(90)])
    table = (names, split, split, category, np.array(["all"] * 90), np.arange(90), names)
    tables.write_csv(Path("labels.csv"), dict(zip(rows.Labels._fields, table, strict=True)))
    return tmp_path


def compared(question="zoo"):
    compare_classes.main(question, *(Path(name) for name in ("labels.csv", "full", "confusion", "training", *OUT)))


def test_the_best_stands_first_with_its_verdict(here):
    compared()
    board = pd.read_csv("board")
    assert board["run"].tolist() == ["zoo-b", "zoo-a"]
    assert board["official_accuracy"].tolist() == [0.7, 0.5]
    assert board["overfits"].tolist() == ["from epoch 2 on", "no"]
    assert json.loads(Path("m.json").read_text()) == {"zoo-b": 0.7, "zoo-a": 0.5}
    assert pd.read_csv("confusion.csv").groupby("run")["count"].sum().tolist() == [30, 30]
    for name in OUT[-4:]:
        assert min(Image.open(name).size) > 200


def test_the_same_twice_is_the_same(here):
    compared()
    before = {name: Path(name).read_bytes() for name in OUT}
    compared()
    assert before == {name: Path(name).read_bytes() for name in OUT}


def test_a_question_that_nobody_answers_is_refused(here):
    shutil.rmtree("full")
    with pytest.raises(InputError, match=r"params\.yaml: class_runs: none asks 'other'; add one"):
        compared("other")
    assert not any(Path(name).exists() for name in OUT)
