"""The trainer: what it learns from, when it stops, and that a stopped or a shared training ends as an unbroken one.

As a program, under torchrun or to be killed, this file trains what its first argument names, into the folder that its
second one names.
"""

import contextlib
import itertools
import math
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

from whence.base.errors import InputError
from whence.base.settings import check
from whence.estimators.network import device, processes, progress, step, trainer
from whence.estimators.network.data import Data, Scale
from whence.estimators.network.recipe import Settings

SCALE = Scale((128.0, 120.0, 130.0), (60.0, 50.0, 70.0))
STILL = {"flip": False, "turn": False, "shift": 0, "rotate": 0.0, "zoom": 0.0, "shear": 0.0, "jitter": 0.0, "cutout": 0}
STILL |= {"blur": 0.0, "rescale": 0}
MOVED = {"flip": True, "turn": True, "shift": 1, "rotate": 5.0, "zoom": 0.1, "shear": 0.1, "jitter": 0.1, "cutout": 2}
MOVED |= {"blur": 0.5, "rescale": 4}
PLAIN = {
    "seeds": [0],
    "epochs": 4,
    "batch": 16,
    "optimizer": "sgd",
    "learning_rate": 0.05,
    "weight_decay": 0.0,
    "schedule": "constant",
    "label_smoothing": 0.0,
    "patience": None,
    "class_weight": None,
    "views_at_test": 1,
    "augment": STILL,
    "adversary": {"epsilon": 0.0, "steps": 1, "step_size": 1.0},
}
FULL = {
    "epochs": 10,
    "optimizer": "muon",
    "learning_rate": 0.5,
    "weight_decay": 0.01,
    "schedule": "one_cycle",
    "label_smoothing": 0.1,
    "patience": 2,
    "class_weight": "balanced",
    "augment": MOVED,
    "adversary": {"epsilon": 2.0, "steps": 2, "step_size": 1.5},
}
DICE = nn.Dropout(0.3)


def settings(**changes):
    return check(PLAIN | changes, Settings, "train.tiny")


def plain(outputs=1, seed=0):
    """A network of which a row's answer depends on that row alone."""
    return seeded(seed, lambda: [nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(216, outputs)])


def full(outputs=1, seed=0):
    """A network with dropout and running statistics."""
    return seeded(
        seed,
        lambda: [
            *(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.SiLU(), DICE),
            *(nn.Conv2d(8, 8, 3, bias=False), nn.BatchNorm2d(8), nn.SiLU(), nn.Flatten()),
            *(nn.Dropout(0.3), nn.Linear(128, outputs)),
        ],
    )


def seeded(seed, layers):
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        return nn.Sequential(*layers()).to(memory_format=torch.channels_last)


def rows(count, classes=2, seed=0, share=None):
    """Noise, lighter from class to class; `share` of the rows, else as many as of any, are of the first class."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(count) % classes if share is None else (torch.arange(count) >= share * count).long()
    light = 110 + 40 * y[:, None, None, None] / (classes - 1)
    noise = 50 * torch.randn(count, 8, 8, 3, generator=generator)
    return Data((light + noise).clamp(0, 255).to(torch.uint8), y)


def train(net, folder, log=None, data=None, valid=None, seed=0, **changes):
    data, valid = data or rows(50), valid or rows(30, seed=1)
    where = folder / "checkpoint"
    return trainer.train(net, SCALE, data, valid, settings(**changes), seed, where, log or (lambda _: None))


def state(net):
    return {name: part.clone() for name, part in net.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture(autouse=True)
def one_thread():
    """Bits are compared, on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def exact(monkeypatch):
    """Float32, whatever the hardware has."""
    for module in (trainer, step):
        monkeypatch.setattr(module, "half", lambda where: contextlib.nullcontext())


# Learning


class TestLearning:
    @pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", "muon"])
    def test_it_learns(self, tmp_path, optimizer):
        net = full()
        rate = {"sgd": 0.1, "muon": 0.2}.get(optimizer, 0.01)
        history = train(
            net, tmp_path, data=rows(300), optimizer=optimizer, learning_rate=rate, epochs=5, schedule="cosine"
        )
        assert history["valid_accuracy"][-1] > 0.9
        assert history["train_loss"][-1] < 0.7 * history["train_loss"][0]

    def test_it_learns_more_than_two_classes(self, tmp_path):
        data, valid = rows(300, 3), rows(90, 3, seed=1)
        history = train(full(3), tmp_path, data=data, valid=valid, optimizer="adam", learning_rate=0.01)
        assert history["valid_accuracy"][-1] > 0.7

    @pytest.mark.parametrize(("count", "batch"), [(50, 16), (50, 7), (50, 50), (50, 1000), (49, 2), (3, 2)])
    def test_every_row_is_used_once_an_epoch_in_another_order(self, tmp_path, monkeypatch, count, batch):
        seen = []
        original = trainer.mirror
        monkeypatch.setattr(
            trainer, "mirror", lambda rows, epoch, seed: seen.append((epoch, rows)) or original(rows, epoch, seed)
        )
        train(plain(), tmp_path, data=rows(count), epochs=2, batch=batch, learning_rate=1e-3)
        epochs = [[part for at, part in seen if at == epoch] for epoch in (0, 1)]
        for parts in epochs:
            assert torch.cat(parts).sort()[0].tolist() == list(range(count))
            assert max(map(len, parts)) - min(map(len, parts)) <= 1
            assert min(map(len, parts)) >= 2
            assert len(parts) == min(max(1, round(count / batch)), count // 2)
        assert torch.cat(epochs[0]).tolist() != torch.cat(epochs[1]).tolist()

    @pytest.mark.parametrize("smoothing", [0.0, 0.2])
    @pytest.mark.parametrize("weight", [None, "balanced"])
    def test_the_loss_is_the_weighted_and_smoothed_cross_entropy(self, tmp_path, exact, weight, smoothing):
        data, net = rows(40, share=0.2), plain()
        z = trainer.logits(net, SCALE(data.images))
        # Balanced: classes count alike, and a row as much as before on average.
        weights = torch.tensor([40 / (2 * 8), 40 / (2 * 32)]) if weight else None
        wanted = functional.cross_entropy(z, data.y, weights, label_smoothing=smoothing)
        (gradient,) = torch.autograd.grad(wanted, [net[0].weight])
        before = net[0].weight.clone()
        history = train(
            *(net, tmp_path),
            data=data,
            epochs=1,
            batch=40,
            class_weight=weight,
            label_smoothing=smoothing,
            optimizer="sgd",
            learning_rate=1e-2,
        )
        assert history["train_loss"][0] == pytest.approx(wanted.item(), rel=1e-5)
        # Nesterov's first step: 1.9 times the gradient.
        torch.testing.assert_close(before - net[0].weight, 1.9e-2 * gradient, rtol=1e-3, atol=1e-7)

    def test_history_has_a_row_per_epoch_as_it_goes(self, tmp_path):
        grown = []
        history = train(
            plain(), tmp_path, lambda h: grown.append({k: list(v) for k, v in h.items()}), seed=7, schedule="step"
        )
        assert list(history) == list(progress.COLUMNS)
        assert history["seed"] == [7] * 4
        assert history["epoch"] == [1, 2, 3, 4]
        assert history["learning_rate"] == pytest.approx([0.05, 0.05, 0.005, 0.0005])
        assert grown == [{name: column[:k] for name, column in history.items()} for k in (1, 2, 3, 4)]

    def test_seeds_make_the_difference_and_nothing_else(self, tmp_path):
        ends = []
        for number, seed in enumerate((1, 1, 2)):
            torch.manual_seed(number)
            net = full()
            train(net, tmp_path / str(number), seed=seed, **FULL | {"epochs": 2})
            ends.append(state(net))
        assert same(ends[0], ends[1])
        assert not same(ends[0], ends[2])

    def test_global_generators_are_left_alone(self, tmp_path):
        before = torch.get_rng_state()
        train(full(), tmp_path, **FULL | {"epochs": 1})
        assert torch.equal(torch.get_rng_state(), before)

    def test_dropout_is_drawn_anew_in_every_epoch(self, tmp_path, monkeypatch):
        seeds = []
        original = device.drawing
        monkeypatch.setattr(trainer, "drawing", lambda where, seed: seeds.append(seed) or original(where, seed))
        for seed in (0, 1):
            train(full(), tmp_path / str(seed), seed=seed, epochs=3)
        assert len(set(seeds)) == len(seeds) == 6


class TestEvaluate:
    @pytest.mark.parametrize("count", [1, 7, 8, 9, 24])
    @pytest.mark.parametrize("classes", [2, 3])
    def test_it_is_the_mean_over_all_rows(self, monkeypatch, exact, count, classes):
        monkeypatch.setattr(trainer, "BLOCK", 8)
        net, data = full(1 if classes == 2 else 3), rows(count, classes)
        before = state(net)
        loss, accuracy = trainer.evaluate(net.train(), SCALE, data)
        z = trainer.logits(net.eval(), SCALE(data.images))
        assert loss == pytest.approx(functional.cross_entropy(z, data.y).item(), rel=1e-5)
        assert accuracy == pytest.approx((z.argmax(1) == data.y).double().mean().item())
        assert same(state(net), before)

    def test_processes_share_the_blocks(self, monkeypatch, exact):
        monkeypatch.setattr(trainer, "BLOCK", 8)
        net, data = full(), rows(45)
        sums = []
        monkeypatch.setattr(trainer.dist, "all_reduce", sums.append)
        for rank in range(3):
            trainer.evaluate(net, SCALE, data, rank, 3)
        loss, accuracy = (sum(sums) / 45).tolist()
        assert (loss, accuracy) == pytest.approx(trainer.evaluate(net, SCALE, data))


class TestLogits:
    def test_one_output_is_the_log_odds_of_the_second_class(self, exact):
        net, x = plain(), SCALE(rows(5).images)
        z = trainer.logits(net, x)
        assert z.shape == (5, 2)
        torch.testing.assert_close(z.softmax(1)[:, 1], net(x)[:, 0].sigmoid())
        torch.testing.assert_close(trainer.logits(plain(3), x), plain(3)(x))

    def test_mirrored_is_the_mean_with_the_mirror_image(self):
        net, x = plain(3), SCALE(rows(5).images)
        z = trainer.logits(net, x, views=2)
        torch.testing.assert_close(z, (net(x) + net(x.flip(3))) / 2)
        torch.testing.assert_close(trainer.logits(net, x.flip(3), views=2), z)

    def test_six_views_are_shifted_by_a_pixel_too(self):
        net, x = plain(3), SCALE(rows(5).images)
        near = nn.functional.pad(x, (1, 1, 1, 1), mode="reflect")
        shifted = [trainer.logits(net, near[:, :, a:b, a:b].contiguous(), views=2) for a, b in ((0, -2), (2, None))]
        z = trainer.logits(net, x, views=6)
        torch.testing.assert_close(z, trainer.logits(net, x, views=2) / 2 + sum(shifted) / 4)


# Stopping


class TestEarlyStopping:
    @pytest.mark.parametrize(
        ("losses", "patience", "epochs", "best"),
        [
            ([3, 2, 1, 2, 3, 0], 2, 5, 3),
            ([3, 2, 1, 2, 0.5, 3], 2, 6, 5),
            ([1, 2, 3, 4, 5, 6], 1, 2, 1),
            ([1, 1, 1, 0, 0, 0], 3, 6, 4),  # as good is not better
            ([1, 1, 1, 1, 0, 0], 3, 4, 1),
            ([6, 5, 4, 3, 2, 1], 1, 6, 6),
            ([3, 1, 2, 3, 4, 5], None, 6, 6),
        ],
    )
    def test_it_stops_and_takes_the_best_weights(self, tmp_path, monkeypatch, losses, patience, epochs, best):
        told, seen = iter(losses), []
        monkeypatch.setattr(trainer, "evaluate", lambda net, *_: seen.append(state(net)) or (next(told), 0.5))
        net = full()
        history = train(net, tmp_path, patience=patience, epochs=6)
        assert history["valid_loss"] == losses[:epochs]
        assert progress.best_epochs(history, settings(patience=patience)) == [best]
        assert same(state(net), seen[best - 1])

    def test_each_seed_has_its_best_epoch(self):
        history = progress.nothing()
        for seed, losses in ((3, [2, 1, 3]), (1, [1, 2]), (2, [4, 3, 2, 1])):
            part = {name: [0.0] * len(losses) for name in progress.COLUMNS}
            history = progress.joined(history, part | {"seed": [seed] * len(losses), "valid_loss": losses})
        assert progress.best_epochs(history, settings(patience=1)) == [2, 1, 4]
        assert progress.best_epochs(history, settings()) == [3, 2, 4]


class TestDivergence:
    @pytest.mark.parametrize("optimizer", ["sgd", "adam"])
    def test_the_setting_is_named(self, tmp_path, optimizer):
        with pytest.raises(InputError) as caught:
            train(plain(), tmp_path, optimizer=optimizer, learning_rate=1e20)
        assert str(caught.value).startswith(
            "params.yaml: train.learning_rate: got 1e+20: training diverged in epoch 1 "
        )
        assert str(caught.value).endswith("; make it smaller")
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("bad", [math.nan, math.inf])
    def test_a_valid_loss_that_is_no_number_is_noticed(self, tmp_path, monkeypatch, bad):
        told = iter([1.0, bad])
        monkeypatch.setattr(trainer, "evaluate", lambda *_: (next(told), 0.5))
        with pytest.raises(InputError, match="diverged in epoch 2 "):
            train(plain(), tmp_path, patience=1)
        assert torch.load(tmp_path / "checkpoint")["history"]["epoch"] == [1]

    def test_a_bad_start_is_no_divergence(self, tmp_path):
        net = plain()
        with torch.no_grad():
            net[3].bias += 3
        assert train(net, tmp_path, epochs=1)["train_loss"][0] > 0.7


# Going on


class Stop(BaseException):
    """What a test stops a training with."""


def stop(*_):
    raise Stop


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    net = full()
    torch.set_num_threads(1)
    history = train(net, tmp_path_factory.mktemp("unbroken"), **FULL)
    assert 4 <= len(history["epoch"]) < FULL["epochs"]  # stopped early, and so with weights from before
    return history, state(net)


class TestResume:
    @pytest.mark.parametrize("moment", ["batch", "batches", "look", "write", "written"])
    @pytest.mark.parametrize("calls", [1, 3])
    def test_a_stopped_training_ends_as_an_unbroken_one(self, tmp_path, monkeypatch, unbroken, moment, calls):
        """Stopped at the n-th time that it comes to some point, and then once more after every epoch."""
        module, name, times = {
            "batch": (trainer.optimizers, "step", 3 * calls - 2),
            "batches": (trainer.optimizers, "step", 3 * calls),
            "look": (trainer, "evaluate", calls),
            "write": (torch, "save", calls),
            "written": (Path, "replace", calls),
        }[moment]
        counter, original = itertools.count(1), getattr(module, name)
        if moment == "write":

            def broken(content, path):
                if next(counter) < times:
                    return original(content, path)
                Path(path).write_bytes(b"half of a file")
                raise Stop

        else:

            def broken(*arguments, **named):
                if next(counter) < times:
                    return original(*arguments, **named)
                raise Stop

        monkeypatch.setattr(module, name, broken)
        with pytest.raises(Stop):
            train(full(), tmp_path, **FULL)
        monkeypatch.undo()
        history, net = None, None
        for _ in range(20):
            net = full(seed=99)  # what it starts with does not matter where there is a checkpoint
            if not (tmp_path / "checkpoint").exists():
                net = full()
            told = []
            with contextlib.suppress(Stop):
                history = train(
                    net, tmp_path, lambda h, told=told: told.append(1) or (len(told) > 1 and stop()), **FULL
                )
                break
        assert history == unbroken[0]
        assert same(state(net), unbroken[1])

    def test_a_finished_one_only_tells_its_history(self, tmp_path, monkeypatch, unbroken):
        train(full(), tmp_path, **FULL)
        monkeypatch.setattr(trainer.optimizers, "step", stop)
        net, told = full(seed=99), []
        history = train(net, tmp_path, told.append, **FULL)
        assert history == unbroken[0]
        assert told == [history]
        assert same(state(net), unbroken[1])

    def test_a_killed_one(self, tmp_path, unbroken):
        killed = subprocess.run(
            [sys.executable, __file__, "killed", str(tmp_path)], check=False, env=environment(), timeout=120
        )
        assert killed.returncode == -signal.SIGKILL
        net = full(seed=99)
        history = train(net, tmp_path, **FULL)
        assert history == unbroken[0]
        assert same(state(net), unbroken[1])

    @pytest.mark.parametrize("content", [b"", b"text", "cut"])
    def test_a_spoilt_checkpoint_is_named(self, tmp_path, content):
        train(plain(), tmp_path, epochs=1)
        path = tmp_path / "checkpoint"
        path.write_bytes(path.read_bytes()[:-200] if content == "cut" else content)
        with pytest.raises(InputError) as caught:
            train(plain(), tmp_path, epochs=2)
        assert str(caught.value).startswith(f"{path}: not a readable checkpoint (")
        assert str(caught.value).endswith("; delete it")

    def test_nothing_in_a_checkpoint_is_executed(self, tmp_path):
        fired = tmp_path / "fired"
        torch.save(Bomb(fired), tmp_path / "checkpoint")
        with pytest.raises(InputError, match="not a readable checkpoint"):
            train(plain(), tmp_path)
        assert not fired.exists()
        torch.load(tmp_path / "checkpoint", weights_only=False)
        assert fired.exists(), "the bomb is a dud: this test proves nothing"


class Bomb:
    """Whoever unpickles this makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


# Devices


class TestDevice:
    @pytest.mark.parametrize("name", ["cuda:17", "mps", "meta", "gpu", "hpu", "cpu "])
    def test_an_absent_device_is_named(self, monkeypatch, name):
        monkeypatch.setenv("WHENCE_DEVICE", name)
        with pytest.raises(InputError) as caught:
            device.device()
        assert str(caught.value).startswith(f"WHENCE_DEVICE: {name!r} is not there (")
        assert str(caught.value).endswith("); unset it, or say cpu")

    def test_none_is_the_best_there_is(self, monkeypatch):
        best = "cuda" if torch.cuda.is_available() else "cpu"
        for name in ("", None):
            monkeypatch.setenv("WHENCE_DEVICE", name) if name is not None else monkeypatch.delenv("WHENCE_DEVICE")
            assert device.device() == torch.device(best)

    @pytest.mark.parametrize(
        ("capabilities", "able"),
        [
            ({"architecture": "x86_64", "avx512_bf16": True, "amx_bf16": False}, True),
            ({"architecture": "x86_64", "avx512_bf16": False, "amx_bf16": True}, True),
            ({"architecture": "x86_64", "avx512_f": True, "avx512_bf16": False}, False),
            ({"architecture": "aarch64", "neon": True, "bf16": True}, False),
        ],
    )
    def test_bf16_where_the_hardware_has_it(self, monkeypatch, capabilities, able):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
        cpu = torch.device("cpu")
        assert device.bf16(cpu) is able
        with device.half(cpu):
            assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == (torch.bfloat16 if able else torch.float32)

    def test_emulated_bf16_does_not_count(self, monkeypatch):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
        assert not device.bf16(torch.device("cuda"))
        assert not device.bf16(torch.device("mps"))

    def test_drawing_gives_the_generators_back(self):
        cpu, before = torch.device("cpu"), torch.get_rng_state()
        with device.drawing(cpu, 5):
            one = torch.rand(3)
        with contextlib.suppress(Stop), device.drawing(cpu, 5):
            assert torch.equal(torch.rand(3), one)
            raise Stop
        assert torch.equal(torch.get_rng_state(), before)


# Several processes


def environment(**more):
    root = Path(__file__).resolve().parent.parent
    return os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", "WHENCE_DEVICE": "cpu"} | more


def torchrun(what, folder):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", __file__]
    return subprocess.run(
        [*command, what, str(folder)], check=False, env=environment(), timeout=120, capture_output=True, text=True
    )


SHARED = {"batch": 16, "class_weight": "balanced", "label_smoothing": 0.1, "learning_rate": 0.1, "epochs": 3}
UNEVEN = {"batch": 4, "epochs": 2}


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    done = torchrun("shared", folder)
    assert done.returncode == 0, done.stderr
    return folder, [torch.load(folder / f"rank{rank}") for rank in (0, 1)]


@pytest.mark.pipeline
class TestProcesses:
    @pytest.mark.parametrize("kind", ["plain", "uneven", "full"])
    def test_they_end_with_the_same_weights_and_history(self, two, kind):
        one, other = (rank[kind] for rank in two[1])
        assert same(one["state"], other["state"])
        assert one["history"] == other["history"]

    @pytest.mark.parametrize("kind", ["plain", "uneven", "full"])
    def test_every_row_is_used_once_an_epoch(self, two, kind):
        one, other = (rank[kind]["rows"] for rank in two[1])
        assert one.keys() == other.keys()
        for epoch in one:
            assert sorted(one[epoch] + other[epoch]) == list(range(50))

    @pytest.mark.parametrize("kind", ["plain", "uneven"])
    def test_they_end_as_one_process_does(self, two, tmp_path, exact, kind):
        net = plain()
        history = train(net, tmp_path, data=rows(50, share=0.3), **(SHARED if kind == "plain" else UNEVEN))
        shared = two[1][0][kind]
        for name, part in net.state_dict().items():
            torch.testing.assert_close(shared["state"][name], part, rtol=1e-4, atol=1e-5)
        for name, column in history.items():
            assert shared["history"][name] == pytest.approx(column, rel=1e-4)

    def test_the_first_alone_writes(self, two):
        assert [len(rank["full"]["told"]) for rank in two[1]] == [3, 0]
        assert sorted(path.name for path in two[0].iterdir() if not path.name.startswith("rank")) == [
            "full",
            "plain",
            "uneven",
        ]

    def test_one_that_fails_ends_the_run(self, tmp_path):
        done = torchrun("failing", tmp_path)
        assert done.returncode != 0
        assert "rank 1 gives up" in done.stderr
        assert not (tmp_path / "end").exists()


def shared(folder):
    """Train on every rank; write what each has."""
    trainer.half = lambda where: contextlib.nullcontext()
    found, original = {}, trainer.mirror
    for kind, net, changes in (
        ("plain", plain(), SHARED),
        ("uneven", plain(), UNEVEN),
        ("full", full(), {"epochs": 3}),
    ):
        seen, told = {}, []

        def mirror(rows, epoch, seed, seen=seen):
            seen.setdefault(epoch, []).extend(rows.tolist())
            return original(rows, epoch, seed)

        trainer.mirror = mirror
        rank, world = processes.joined()
        history = trainer.train(
            *(net, SCALE, rows(50, share=0.3), rows(30, seed=1), settings(**changes), 0),
            *(folder / kind, told.append, rank, world),
        )
        found[kind] = {"state": state(net), "history": history, "rows": seen, "told": told}
    torch.save(found, folder / f"rank{rank}")


def failing(folder):
    """The second rank fails in its second epoch."""
    rank, world = processes.joined()
    if rank == 1:
        original, counter = trainer.optimizers.step, itertools.count()

        def step(*arguments):
            if next(counter) == 4:
                raise RuntimeError("rank 1 gives up")
            original(*arguments)

        trainer.optimizers.step = step
    data = rows(50)
    trainer.train(plain(), SCALE, data, data, settings(), 0, folder / "checkpoint", print, rank, world)
    (folder / "end").touch()


def killed(folder):
    """Train until the third checkpoint is half written, then die at once."""
    torch.set_num_threads(1)
    original, counter = torch.save, itertools.count(1)

    def save(content, path):
        original(content, path)
        if next(counter) == 3:
            Path(path).write_bytes(pickle.dumps("half"))
            os.kill(os.getpid(), signal.SIGKILL)

    torch.save = save
    train(full(), folder, **FULL)


if __name__ == "__main__":
    {"shared": shared, "failing": failing, "killed": killed}[sys.argv[1]](Path(sys.argv[2]))
