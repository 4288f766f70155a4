"""The search for settings: its space, its order, what it reads, and that it goes on where it stopped."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import optuna
import pytest
import yaml

from stages import tune
from whence import models, search
from whence.base import settings
from whence.base.errors import InputError
from whence.base.settings import check
from whence.classifiers import head
from whence.estimators.network.estimator import Estimator
from whence.table import rows, tables

ROOT = Path(__file__).resolve().parent.parent
HEAD = settings.value("train.head", ROOT / "params.yaml") | {"epochs": 4, "batch": 16}
TASK = {"dataset": "cinic10", "question": "?", "label": "domain", "negative": "cifar", "positive": "imagenet"}
SPACE = {
    "dropout": {"low": 0.2, "high": 0.5, "log": False},
    "learning_rate": {"low": 1e-5, "high": 1e-2, "log": True},
}
SECTION = {"trials": 5, "sampler": "tpe", "pruner": "median", "seed": 0, "space": SPACE}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with features that tell the domains apart; the test rows, of a class of their own, must not be met."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WHENCE_DEVICE", "cpu")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.delenv("WHENCE_WORKERS", raising=False)
    rng = np.random.default_rng(0)
    code = np.arange(120) % 2
    split = np.array(["train", "valid", "test"]).repeat([60, 40, 20])
    names, category = np.array([str(k) for k in range(120)]), np.array(["cat"] * 120)
    table = [names, split, split, category, np.array(["cifar", "imagenet"])[code], np.arange(120), names]
    tables.write_csv(tmp_path / "labels", dict(zip(rows.Labels._fields, table, strict=True)))
    x = (rng.normal(size=(120, 6)) + code[:, None]).astype(np.float32)
    x[split == "test"] = np.nan  # whoever looks at them has a loss that is no number
    np.save(tmp_path / "x.npy", x)
    write(tmp_path)
    return tmp_path


def write(folder, **changes):
    content = {"tune": {"one": SECTION | changes}, "train": {"head": HEAD}, "tasks": {"origin": TASK}, "weights": {}}
    (folder / "params.yaml").write_text(yaml.safe_dump(content))


def searched(folder):
    """Run the stage; return its table, and what it chose."""
    out = [folder / name for name in ("trials", "figures", "chosen", "history", "importance", "parallel")]
    tune.main("one", "origin", "head", "head", folder / "labels", folder / "x.npy", *out)
    with (folder / "trials").open() as handle:
        return list(csv.DictReader(handle)), yaml.safe_load((folder / "chosen").read_text())["train"]["head"]


class TestSpace:
    @pytest.mark.parametrize(
        "wrong",
        [{"low": 1, "high": 1, "log": False}, {"low": 0.0, "high": 1.0, "log": True}, {"choices": [3]}, {"low": 1}],
    )
    def test_what_is_none_is_refused(self, wrong):
        with pytest.raises(InputError, match=r"^tune\.space\.a"):
            check(SECTION | {"space": {"a": wrong}}, search.Settings, "tune")

    def test_kinds_of_values(self):
        space = {
            "filters": {"low": 8, "high": 64, "log": False},
            "kernel": {"choices": [3, 5]},
            "rate": {"low": 1e-4, "high": 1e-2, "log": True},
        }
        section = check(SECTION | {"space": space}, search.Settings, "tune")
        made = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
        drawn = [
            {k: s.suggest(trial, k) for k, s in section.space.items()} for trial in (made.ask() for _ in range(200))
        ]
        assert {type(values["filters"]) for values in drawn} == {int}
        assert min(v["filters"] for v in drawn) >= 8
        assert max(v["filters"] for v in drawn) <= 64
        assert {values["kernel"] for values in drawn} == {3, 5}
        # Half of them below the geometric mean: evenly on a logarithmic scale.
        assert 0.4 < np.mean([values["rate"] < 1e-3 for values in drawn]) < 0.6

    def test_dotted_paths(self):
        content = {"a": {"b": 1, "c": 2}, "d": 3}
        assert search.changed(content, {"a.b": 5, "d": 6}) == {"a": {"b": 5, "c": 2}, "d": 6}
        assert content == {"a": {"b": 1, "c": 2}, "d": 3}
        assert search.present(content, "a.c") == 2
        for wrong in ("x", "a.x", "d.x"):
            with pytest.raises(KeyError):
                search.present(content, wrong)

    def test_a_setting_that_is_not_there_is_refused(self, here):
        write(here, space={"droput": SPACE["dropout"]})
        with pytest.raises(InputError, match=r"^tune.one.space.droput: train has no such setting"):
            searched(here)

    def test_values_that_do_not_fit_are_refused_before_any_work(self, here, monkeypatch):
        monkeypatch.setattr(Estimator, "fit", lambda *_: pytest.fail("training began"))
        write(here, space={"dropout": {"low": 0.5, "high": 1.5, "log": False}})
        with pytest.raises(InputError, match=r"^tune.one.space.dropout: 1.5.dropout: got 1.5"):
            searched(here)


class TestSearch:
    def test_the_settings_of_params_yaml_come_first_and_the_lowest_loss_is_chosen(self, here):
        table, chosen = searched(here)
        assert len(table) == 5
        assert (float(table[0]["dropout"]), float(table[0]["learning_rate"])) == (
            HEAD["dropout"],
            HEAD["learning_rate"],
        )
        complete = [line for line in table if line["state"] == "complete"]
        best = min(complete, key=lambda line: float(line["valid_loss"]))
        assert {name: float(best[name]) for name in SPACE} == chosen
        figures = json.loads((here / "figures").read_text())
        assert figures["best_valid_loss"] <= figures["first_valid_loss"]
        assert figures["trials"] == 5
        assert not list((here / ".checkpoints").iterdir())
        assert all((here / name).read_bytes()[:4] == b"\x89PNG" for name in ("history", "importance", "parallel"))

    def test_a_training_with_a_trials_settings_has_its_loss(self, here):
        table, chosen = searched(here)
        labels, x = rows.read(here / "labels"), np.load(here / "x.npy")
        model = Estimator(head, check(HEAD | chosen, head.Settings, "head"))
        train, valid = (labels.split == split for split in ("train", "valid"))
        model.fit(x[train], labels.domain[train], x[valid], labels.domain[valid])
        assert list(model.history_) == list(models.COLUMNS)
        loss = model.history_["valid_loss"][model.best_epoch[0] - 1]
        assert loss in [float(line["valid_loss"]) for line in table if line["valid_loss"]]

    @pytest.mark.parametrize("sampler", ["random", "tpe"])
    def test_the_same_bytes_twice_and_another_seed_tries_others(self, here, sampler):
        write(here, sampler=sampler)
        names = ("trials", "figures", "chosen", "history", "importance", "parallel")
        searched(here)
        before = [(here / name).read_bytes() for name in names]
        searched(here)
        assert [(here / name).read_bytes() for name in names] == before
        write(here, sampler=sampler, seed=1)
        searched(here)
        assert (here / "trials").read_bytes() != before[0]

    @pytest.mark.parametrize("pruner", ["none", "hyperband"])
    def test_other_ways_to_stop(self, here, pruner):
        write(here, pruner=pruner)
        table, _ = searched(here)
        assert len(table) == 5
        if pruner == "none":
            assert {line["state"] for line in table} == {"complete"}

    def test_what_falls_behind_is_stopped(self, here):
        """Of a hopeless learning rate no more epochs than it takes to see that."""
        write(here, trials=12, space={"learning_rate": {"low": 1e-7, "high": 1e-2, "log": True}}, sampler="random")
        table, _ = searched(here)
        stopped = [line for line in table if line["state"] == "stopped early"]
        assert stopped
        assert all(line["valid_loss"] == "" and int(line["epochs"]) < HEAD["epochs"] for line in stopped)

    def test_a_broken_search_goes_on_and_ends_the_same(self, here, tmp_path_factory, monkeypatch):
        whole, _ = searched(here)
        original, done = Estimator.fit, []

        def breaks(self, *given):
            if len(done) == 2:
                raise KeyboardInterrupt
            done.append(1)
            return original(self, *given)

        with monkeypatch.context() as patch:
            patch.setattr(Estimator, "fit", breaks)
            with pytest.raises(KeyboardInterrupt):
                searched(here)
        (journal,) = (here / ".checkpoints").glob("search-*[0-9a-f]")
        assert journal.stat().st_size
        resumed = []
        with monkeypatch.context() as patch:
            patch.setattr(Estimator, "fit", lambda self, *given: resumed.append(1) or original(self, *given))
            table, _ = searched(here)
        assert len(table) == 5
        assert len(resumed) == 3
        assert table[:2] == whole[:2]

    def test_several_processes_share_one_search(self, here, monkeypatch):
        monkeypatch.setenv("WHENCE_WORKERS", "2")
        monkeypatch.setenv("PYTHONPATH", str(ROOT))
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
        table, _ = searched(here)
        assert 5 <= len(table) <= 6
        assert len({line["learning_rate"] for line in table}) == len(table)
        assert not list((here / ".checkpoints").iterdir())


def test_the_study_takes_over_what_was_chosen(here):
    from scripts import study

    _, chosen = searched(here)
    shutil.copy(ROOT / "params.yaml", here / "params.yaml")
    study.main(here / "chosen")
    assert settings.value("train.head") == settings.value("train.head", ROOT / "params.yaml") | chosen
