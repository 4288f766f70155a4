"""A GPU, where there is one: recorded steps learn what steps learn that are not, and a stopped training goes on."""

from pathlib import Path

import pytest
import torch
from test_trainer import full, rows, settings, state
from torch import nn

from whence.base.settings import check, value
from whence.classifiers import transfer
from whence.estimators.network import trainer
from whence.estimators.network.data import Data, Scale
from whence.estimators.network.device import drawing
from whence.estimators.network.step import UNRECORDED, Step

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU"),
]
ROOT = Path(__file__).resolve().parent.parent
SCALE = Scale((128.0, 120.0, 130.0), (60.0, 50.0, 70.0))
GPU = torch.device("cuda")
RATES = {"adam": 1e-3, "adamw": 1e-3, "sgd": 0.02, "muon": 0.05}


def there(data):
    return Data(data.images.to(GPU), data.y.to(GPU))


def calm(net):
    """A network without dropout, on the GPU."""
    for part in net.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
    return net.to(GPU, memory_format=torch.channels_last)


@pytest.fixture
def made(monkeypatch):
    """The steps that trainings make."""
    seen = []
    monkeypatch.setattr(trainer, "Step", lambda *given: seen.append(Step(*given)) or seen[-1])
    return seen


@pytest.mark.parametrize("optimizer", RATES)
def test_recorded_steps_learn_the_same(tmp_path, monkeypatch, made, optimizer):
    wanted = settings(optimizer=optimizer, learning_rate=RATES[optimizer], schedule="one_cycle", epochs=3, batch=15)
    data, valid, found = there(rows(50)), there(rows(30, seed=1)), {}
    for name in ("recorded", "plain"):
        if name == "plain":
            monkeypatch.setattr(Step, "_aside", lambda self, given: self._learn(*given))
            monkeypatch.setattr("whence.estimators.network.step.UNRECORDED", 10**9)
        net = calm(full())
        history = trainer.train(net, SCALE, data, valid, wanted, 0, tmp_path / name, lambda _: None)
        found[name] = history, state(net)
    assert set(made[0].recordings) == {16, 17}
    assert made[0].calls == 9 > UNRECORDED
    assert not made[1].recordings
    (one, weights), (other, others) = found["recorded"], found["plain"]
    for column in one:
        assert one[column] == pytest.approx(other[column], abs=0.02), column
    assert weights.keys() == others.keys()
    for name, part in weights.items():
        torch.testing.assert_close(part, others[name], rtol=0.02, atol=0.02, msg=name)


def test_steps_of_a_network_whose_parts_begin_to_learn_later_are_recorded_anew(tmp_path, monkeypatch, made):
    section = value("train.transfer", ROOT / "params.yaml") | {"backbone": "resnet18", "pixels": 32, "unfrozen": 1}
    wanted = check(section | {"frozen_epochs": 2, "epochs": 4, "batch": 10}, transfer.Settings, "transfer")
    data, valid, found = there(rows(60)), there(rows(30, seed=1)), {}
    for name in ("recorded", "plain"):
        if name == "plain":
            monkeypatch.setattr("whence.estimators.network.step.UNRECORDED", 10**9)
        with drawing(GPU, 5):
            net = calm(transfer.build((8, 8, 3), 1, wanted))
        history = trainer.train(net, SCALE, data, valid, wanted, 0, tmp_path / name, lambda _: None)
        found[name] = history, state(net)
    assert [bool(one.recordings) for one in made] == [True, False]
    assert made[0].calls == 12, "counted anew from the third epoch on"
    (one, weights), (other, others) = found["recorded"], found["plain"]
    for column in one:
        assert one[column] == pytest.approx(other[column], abs=0.05), column
    for name, part in weights.items():
        torch.testing.assert_close(part, others[name], rtol=0.05, atol=0.05, msg=name)


def test_dropout_is_drawn_anew(tmp_path):
    """Replays move the generator on: the same rows give other losses."""
    net = full().to(GPU, memory_format=torch.channels_last)
    wanted = settings(learning_rate=1e-12)
    data = there(rows(16))
    step = Step(net.train(), SCALE, wanted, data)
    x = SCALE(data.images)
    losses = [step(x, data.y, data.y, 0.0)[0].item() for _ in range(UNRECORDED + 8)]
    assert len(set(losses[UNRECORDED:])) > 4


def test_a_stopped_training_goes_on(tmp_path):
    data, valid = there(rows(50)), there(rows(30, seed=1))
    wanted = settings(optimizer="muon", learning_rate=0.05, epochs=4)
    whole = trainer.train(calm(full()), SCALE, data, valid, wanted, 0, tmp_path / "whole", lambda _: None)

    def stop(history):
        if len(history["epoch"]) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trainer.train(calm(full()), SCALE, data, valid, wanted, 0, tmp_path / "stopped", stop)
    resumed = trainer.train(calm(full()), SCALE, data, valid, wanted, 0, tmp_path / "stopped", lambda _: None)
    for column in whole:
        assert resumed[column] == pytest.approx(whole[column], abs=0.02), column
