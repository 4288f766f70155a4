"""Networks as estimators: what is refused before any work, what is read back from files, what a checkpoint is good for.

The contract that they share with the classical ones is in test_estimators.py, with every network of the project.
"""

import itertools
import json
import os
import types
import warnings

import numpy as np
import pytest
import torch
from safetensors.numpy import load as decode
from safetensors.numpy import save as encode
from torch import nn

from whence.base.arrays import Stored, write_blocks
from whence.base.errors import InputError
from whence.base.settings import check
from whence.estimators.network import data, estimator, progress, recipe, step, trainer
from whence.estimators.network.estimator import Estimator

STILL = {"flip": False, "turn": False, "shift": 0, "rotate": 0.0, "zoom": 0.0, "shear": 0.0, "jitter": 0.0, "cutout": 0}
STILL |= {"blur": 0.0, "rescale": 0}
SECTION = {
    "seeds": [0, 1],
    "epochs": 2,
    "batch": 16,
    "optimizer": "muon",
    "learning_rate": 0.01,
    "weight_decay": 0.01,
    "schedule": "one_cycle",
    "label_smoothing": 0.1,
    "patience": 1,
    "class_weight": None,
    "views_at_test": 2,
    "augment": STILL | {"flip": True, "shift": 1},
    "adversary": {"epsilon": 0.0, "steps": 1, "step_size": 1.0},
    "width": 6,
}
AGAIN = "run dvc repro to train it again"
SMALLEST = 4


class Settings(recipe.Settings):
    """Section train.tiny."""

    width: int


class Net(nn.Module):
    """Normalisation, dropout, a frozen part that looks at images first, and a buffer that is not saved."""

    def __init__(self, width, outputs):
        super().__init__()
        self.first = nn.Conv2d(3, 3, 1)
        self.first.requires_grad_(False)
        self.body = nn.Sequential(nn.Conv2d(3, width, 3, bias=False), nn.BatchNorm2d(width), nn.SiLU())
        self.hidden = nn.Sequential(nn.Linear(width, 8), nn.ReLU(), nn.Dropout(0.2))
        self.head = nn.Linear(8, outputs)
        self.register_buffer("third", torch.full((), 1 / 3), persistent=False)

    def prepare(self, x):
        self.shown = len(x)
        with torch.no_grad():
            self.first.weight.copy_(torch.eye(3)[:, :, None, None] / x.std())

    def forward(self, x):
        x = self.body(self.first(x) * 3 * self.third)
        return self.head(self.hidden(x.amax((2, 3))))


def build(shape, outputs, settings):
    """Return the network, as a module of whence/classifiers does."""
    if min(shape[:2]) < SMALLEST:
        raise ValueError(f"expected {SMALLEST} pixels or more on each side")
    return Net(settings.width, outputs)


def entry(name="tiny", build=build):
    """Return a module as whence/classifiers holds them."""
    module = types.ModuleType(f"somewhere.{name}")
    module.__file__ = __file__
    module.Settings, module.build = Settings, build
    return module


def tiny(log=None, module=None, **changes):
    return Estimator(module or entry(), check(SECTION | changes, Settings, "tiny"), log)


def images(count=40, seed=0, classes=("fake", "real"), side=(8, 6)):
    """Noise, lighter from class to class."""
    rng = np.random.default_rng(seed)
    code = np.arange(count) % len(classes)
    light = 100 + 50 * code / (len(classes) - 1)
    x = rng.normal(light[:, None, None, None], 40, (count, *side, 3)).clip(0, 255).astype(np.uint8)
    return x, np.array(classes)[code]


def splits(**changes):
    return *images(**changes), *images(20, 1, **changes)


@pytest.fixture(autouse=True)
def quiet(monkeypatch, tmp_path):
    """One thread, the CPU, small blocks, and checkpoints out of the way."""
    monkeypatch.setenv("WHENCE_DEVICE", "cpu")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "root"))
    monkeypatch.setattr(trainer, "BLOCK", 16)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def untrained(monkeypatch):
    monkeypatch.setattr(trainer, "train", lambda *_: pytest.fail("training began"))


def checkpoints(tmp_path):
    return sorted((tmp_path / "root" / ".checkpoints").glob("*"))


def save(model, folder):
    folder.mkdir(parents=True, exist_ok=True)
    model.save(folder / "weights", folder / "card")
    return folder / "weights", folder / "card"


def load(files, module=None):
    return Estimator.load(module or entry(), *files)


# Before any work


def refused(*arguments, classes=None, **changes):
    with pytest.raises(InputError) as caught:
        tiny(**changes).fit(*arguments, classes)
    assert str(caught.value).startswith("params.yaml: train.tiny")
    return str(caught.value).removeprefix("params.yaml: train.tiny")


@pytest.mark.usefixtures("untrained")
class TestRefusals:
    def test_what_are_no_images(self):
        x, y, *valid = splits()
        for wrong in (x / 255, x.astype(np.int64), x[..., 0], x[..., :2], x.reshape(len(x), -1)):
            message = refused(wrong, y, *valid)
            assert "takes images (n, height, width, 3) uint8 or features (n, d) float32" in message
            assert f", got {wrong.shape} {wrong.dtype}" in message

    def test_valid_images_that_are_not_like_those_of_train(self):
        x, y, x_valid, y_valid = splits()
        for wrong in (x_valid / 255, x_valid[:, :5], x_valid[:, :, :5], x_valid[..., 0]):
            assert f", got {wrong.shape}" in refused(x, y, wrong, y_valid)

    def test_labels_of_another_number(self):
        x, y, x_valid, y_valid = splits()
        assert "got 40 images and 39 labels" in refused(x, y[1:], x_valid, y_valid)
        assert "got 19 images and 20 labels" in refused(x, y, x_valid[1:], y_valid)

    def test_no_rows(self):
        x, y, x_valid, y_valid = splits()
        assert "got 0 images and 0 labels" in refused(x[:0], y[:0], x_valid, y_valid, classes=["fake", "real"])
        assert "got 0 images and 0 labels" in refused(x, y, x_valid[:0], y_valid[:0])

    def test_one_class(self):
        x, _, x_valid, _ = splits()
        lone = np.full(40, "fake")
        assert ": classes fake: expected two or more" in refused(x, lone, x_valid, lone[:20])

    def test_a_class_without_training_rows(self):
        x, y, *valid = splits()
        assert ": no training rows of unreal" in refused(x, y, *valid, classes=["real", "fake", "unreal"])
        few = y == "real"
        assert ": rows of fake, expected only real" in refused(x[few], y[few], *valid)

    def test_a_class_that_nobody_named(self):
        x, y, x_valid, y_valid = splits()
        y_valid[3] = "odd"
        assert ": rows of odd, expected only fake, real" in refused(x, y, x_valid, y_valid)
        assert ": rows of real, expected only bad, fake" in refused(x, y, x_valid, y_valid, classes=["fake", "bad"])

    @pytest.mark.parametrize("classes", [["fake", "real", "real"], [0.0, 1.0]])
    def test_classes_that_a_card_cannot_hold(self, classes):
        x, y, x_valid, y_valid = splits(classes=classes[:2])
        assert "expected two or more, names or whole numbers, each once" in refused(
            x, y, x_valid, y_valid, classes=classes
        )

    def test_images_that_do_not_fit_the_architecture(self):
        assert refused(*splits(side=(8, 3))) == (
            ": does not fit images of 8×3×3: expected 4 pixels or more on each side"
        )

    @pytest.mark.parametrize("width", [-1, 2**40])
    def test_settings_that_do_not_fit_the_architecture(self, width):
        assert ": does not fit images of 8×6×3: " in refused(*splits(), width=width)

    def test_a_shift_further_than_the_image(self):
        message = refused(*splits(), augment=STILL | {"shift": 6})
        assert message == ": does not fit images of 8×6×3: augment.shift: got 6, expected less than their sides"

    @pytest.mark.parametrize("change", [{"turn": True}, {"blur": 0.5}, {"rescale": 2}])
    def test_what_is_not_square_cannot_be_turned_or_worn(self, change):
        message = refused(*splits(), augment=STILL | change)
        assert message.endswith(f": augment.{next(iter(change))}: only for square images; make it false or 0")

    def test_images_cannot_be_reduced_to_their_size(self):
        message = refused(*splits(side=(8, 8)), augment=STILL | {"rescale": 8})
        assert message.endswith(": augment.rescale: got 8, expected less than their sides")

    def test_an_architecture_with_another_number_of_outputs(self):
        module = entry(build=lambda shape, outputs, settings: Net(6, outputs + 1))
        assert "two of them give (2, 2), expected (2, 1)" in refused(*splits(), module=module)

    @pytest.mark.parametrize(("batch", "count"), [(1, 40), (16, 1)])
    def test_a_batch_without_variance(self, batch, count):
        x, y, *valid = splits()
        if count == 1:
            assert "rows of real, expected only fake" in refused(x[:1], y[:1], *valid)
        else:
            assert refused(x, y, *valid, batch=1) == ".batch: got 1 of 40 rows, expected two or more"

    def test_a_batch_that_is_too_small_for_the_processes(self, monkeypatch):
        monkeypatch.setattr(estimator.processes, "joined", lambda: (1, 3))
        message = refused(*splits(), batch=5)
        assert message == ".batch: got 5 of 40 rows, expected two or more for each of 3 processes"

    @pytest.mark.parametrize("seeds", [[], [1, 2, 1], [-1], [2**32], [0.5], 3])
    def test_seeds(self, seeds):
        with pytest.raises(InputError, match=r"^tiny\.seeds"):
            tiny(seeds=seeds)

    def test_an_absent_device(self, monkeypatch):
        monkeypatch.setenv("WHENCE_DEVICE", "cuda:17")
        with pytest.raises(InputError, match=r"^WHENCE_DEVICE: 'cuda:17' is not there"):
            tiny()


def test_a_diverging_training_names_the_setting_and_leaves_no_model(tmp_path):
    model = tiny(learning_rate=1e30, optimizer="sgd")
    with pytest.raises(InputError, match=r"^params.yaml: train.tiny.learning_rate: got 1e\+30: training diverged"):
        model.fit(*splits())
    assert not hasattr(model, "history_")
    assert checkpoints(tmp_path) == []


# Learning


class TestFit:
    def test_a_class_in_train_need_not_stand_in_valid(self):
        x, y, x_valid, y_valid = splits()
        only = y_valid == "real"
        assert tiny().fit(x, y, x_valid[only], y_valid[only]).classes_.tolist() == ["fake", "real"]

    def test_more_than_two_classes(self, tmp_path):
        model = tiny().fit(*splits(classes=("a", "b", "c")))
        x, _ = images(5)
        assert model.member_proba(x).shape == (2, 5, 3)
        assert load(save(model, tmp_path)).member_proba(x).tobytes() == model.member_proba(x).tobytes()

    def test_the_order_of_classes_is_that_of_probabilities(self):
        x, _ = images(5)
        one = tiny(seeds=[3]).fit(*splits())
        other = tiny(seeds=[3]).fit(*splits(classes=("real", "fake")), ["real", "fake"])
        assert one.member_proba(x).tobytes() == other.member_proba(x).tobytes()

    def test_labels_may_be_objects(self):
        x, y, x_valid, y_valid = splits()
        one = tiny(seeds=[0]).fit(x, y, x_valid, y_valid)
        other = tiny(seeds=[0]).fit(x, y.astype(object), x_valid, list(y_valid))
        assert one.history_ == other.history_

    def test_a_member_does_not_depend_on_those_before_it(self):
        x, _ = images(5)
        both, one = (tiny(seeds=seeds).fit(*splits()).member_proba(x) for seeds in ([0, 1], [1]))
        assert both[1].tobytes() == one[0].tobytes()
        assert both[0].tobytes() != both[1].tobytes()

    @pytest.mark.filterwarnings("error")
    def test_the_callers_generators_and_arrays_are_left_alone(self):
        arrays = splits()
        for array in arrays:
            array.flags.writeable = False
        numpy, pytorch = np.random.get_state()[1].copy(), torch.get_rng_state()
        model = tiny().fit(*arrays)
        model.predict_proba(arrays[2])
        assert (np.random.get_state()[1] == numpy).all()
        assert torch.equal(torch.get_rng_state(), pytorch)

    def test_the_callers_generators_do_not_matter(self, tmp_path):
        ends = []
        for seed in (1, 2):
            torch.manual_seed(seed)
            np.random.seed(seed)
            ends.append([path.read_bytes() for path in save(tiny().fit(*splits()), tmp_path / str(seed))])
        assert ends[0] == ends[1]

    @pytest.mark.parametrize(("shown", "count"), [(1000, 40), (40, 40), (39, 20), (10, 10), (7, 7)])
    def test_a_network_looks_at_images_from_all_over_first(self, monkeypatch, shown, count):
        monkeypatch.setattr(estimator, "SHOWN", shown)
        assert {net.shown for net in tiny().fit(*splits()).members} == {count}

    def test_log_gets_all_members_so_far(self):
        told = []
        model = tiny(lambda h: told.append(json.dumps(h)), patience=None).fit(*splits())
        assert list(model.history_) == list(progress.COLUMNS)
        assert list(zip(model.history_["seed"], model.history_["epoch"], strict=True)) == [
            (seed, epoch) for seed in (0, 1) for epoch in (1, 2)
        ]
        assert told == [
            json.dumps({name: column[:count] for name, column in model.history_.items()}) for count in (1, 2, 3, 4)
        ]

    def test_other_processes_write_nothing(self, tmp_path, monkeypatch):
        # What they would send each other does not matter here.
        monkeypatch.setattr(estimator.processes, "joined", lambda: (1, 2))
        monkeypatch.setattr(step, "DistributedDataParallel", lambda net, **_: net)
        for name in ("broadcast", "all_reduce"):
            monkeypatch.setattr(trainer.dist, name, lambda *_: None)
        told = []
        model = tiny(told.append).fit(*splits())
        assert save(model, tmp_path)[0].exists() is False
        assert (told, checkpoints(tmp_path)) == ([], [])


# Predicting


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model that no test changes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WHENCE_DEVICE", "cpu")
        patch.setenv("DVC_ROOT", str(tmp_path_factory.mktemp("root")))
        torch.set_num_threads(1)
        return tiny().fit(*splits())


class TestPredict:
    @pytest.mark.parametrize("count", [1, 2, 7, 513])
    def test_batches_and_their_order_change_no_bit(self, monkeypatch, model, count):
        monkeypatch.setattr(trainer, "BLOCK", 512)
        x, _ = images(513)
        order = np.random.default_rng(count).permutation(513)[:count]
        whole = model.member_proba(x)
        assert model.member_proba(x[:count]).tobytes() == whole[:, :count].tobytes()
        assert model.member_proba(x[order]).tobytes() == whole[:, order].tobytes()

    def test_it_is_the_mean_with_the_mirror_image(self, model):
        x, _ = images(9)
        assert model.settings.views_at_test == 2
        np.testing.assert_allclose(model.member_proba(x[:, :, ::-1]), model.member_proba(x), rtol=0, atol=1e-6)

    def test_it_is_the_softmax_of_the_network_in_float32(self, model):
        x, _ = images(9)
        with torch.inference_mode():
            z = [trainer.logits(net, model.scale(torch.from_numpy(x)), views=2) for net in model.members]
        assert {part.dtype for part in z} == {torch.float32}
        wanted = torch.stack(z).double().softmax(2).numpy()
        np.testing.assert_allclose(model.member_proba(x), wanted, rtol=0, atol=1e-6)
        np.testing.assert_array_equal(model.predict_proba(x), model.member_proba(x).mean(0))

    @pytest.mark.parametrize("wrong", [lambda x: x / 255, lambda x: x[:, 1:], lambda x: x[0], lambda x: x[..., :1]])
    def test_other_images_are_refused(self, model, wrong):
        with pytest.raises(InputError, match=r"^tiny: was trained on \[8, 6, 3\] uint8, got"):
            model.predict(wrong(images(3)[0]))


class TestMoments:
    @pytest.mark.parametrize("count", [1, 16, 17, 50])
    def test_they_are_numpys(self, monkeypatch, count):
        monkeypatch.setattr(data, "BLOCK", 16)
        x, _ = images(count)
        scale = data.measure(x)
        np.testing.assert_allclose(scale.mean, x.mean((0, 1, 2)), rtol=1e-12)
        np.testing.assert_allclose(scale.std, x.std((0, 1, 2)), rtol=1e-9)

    def test_one_colour_is_not_blown_up(self):
        assert data.measure(np.full((3, 4, 4, 3), 7, np.uint8)) == ((7.0,) * 3, (1.0,) * 3)


def test_parameters_are_counted_as_keras_does():
    # 12 fixed, 162 of the filters, 4 per channel of normalisation, two layers; neither the count of batches...
    net = Net(6, 1)
    assert estimator.parameters(net) == 12 + 162 + 4 * 6 + (6 * 8 + 8) + (8 + 1) + 1  # ...but the lone buffer


# Files


@pytest.fixture
def files(model, tmp_path):
    return save(model, tmp_path / "saved")


def change_card(files, **changes):
    about = json.loads(files[1].read_text())
    files[1].write_text(json.dumps(about | changes))


def unfit(files, guilty, module=None):
    with pytest.raises(InputError) as caught:
        load(files, module)
    assert str(files[guilty]) in str(caught.value)
    return str(caught.value)


class TestFiles:
    @pytest.mark.filterwarnings("error")
    def test_the_round_trip_changes_no_bit_and_no_generator(self, model, files, tmp_path):
        before = torch.get_rng_state()
        loaded, (x, _) = load(files), images(30)
        assert loaded.member_proba(x).tobytes() == model.member_proba(x).tobytes()
        assert torch.equal(torch.get_rng_state(), before)
        again = save(loaded, tmp_path / "again")
        assert [path.read_bytes() for path in again] == [path.read_bytes() for path in files]

    def test_every_network_may_hold_what_is_not_saved(self, files):
        assert not any("third" in name for name in decode(files[0].read_bytes()))
        assert [net.third.item() for net in load(files).members] == pytest.approx([1 / 3, 1 / 3])

    def test_weights_lie_as_the_trainer_has_them(self, files):
        loaded = load(files)
        assert all(net.body[0].weight.is_contiguous(memory_format=torch.channels_last) for net in loaded.members)
        assert not any(net.training for net in loaded.members)

    @pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.99])
    def test_a_truncated_file_is_refused(self, files, share):
        content = files[0].read_bytes()
        files[0].write_bytes(content[: int(share * len(content))])
        assert AGAIN in unfit(files, 0)

    @pytest.mark.parametrize("name", ["2.head.weight", "00.head.weight", "head.weight", "0.stranger", "x.y", "0"])
    def test_arrays_that_nobody_asked_for_are_refused(self, files, name):
        learnt = decode(files[0].read_bytes())
        files[0].write_bytes(encode(learnt | {name: learnt["0.head.weight"]}))
        assert AGAIN in unfit(files, 0)

    def test_missing_arrays_are_refused(self, files):
        learnt = decode(files[0].read_bytes())
        for name in learnt:
            files[0].write_bytes(encode({key: array for key, array in learnt.items() if key != name}))
            assert AGAIN in unfit(files, 0)

    @pytest.mark.parametrize("kind", [np.float64, np.float16, np.int32, np.bool_])
    def test_arrays_of_another_type_are_refused(self, files, kind):
        learnt = decode(files[0].read_bytes())
        for name in ("1.head.weight", "0.body.1.running_mean"):
            files[0].write_bytes(encode(learnt | {name: learnt[name].astype(kind)}))
            assert AGAIN in unfit(files, 0)

    @pytest.mark.parametrize("shape", [(8,), (8, 1), (1, 8, 1), (1, 9), (0, 8)])
    def test_arrays_of_another_shape_are_refused(self, files, shape):
        learnt = decode(files[0].read_bytes())
        files[0].write_bytes(encode(learnt | {"0.head.weight": np.zeros(shape, np.float32)}))
        assert AGAIN in unfit(files, 0)

    @pytest.mark.parametrize(
        "changes",
        [
            {"preprocessing": {"mean": [1.0, 2.0, 3.0]}},
            {"preprocessing": {"mean": [1.0, 2.0, 3.0], "std": [1.0, 2.0]}},
            {"preprocessing": {"mean": [1.0, 2.0, 3.0], "std": [1.0, 0.0, 1.0]}},
            {"preprocessing": {"mean": [1.0, 2.0, 3.0], "std": [1.0, 1.0, 1.0], "crop": [2.0]}},
            {"preprocessing": {}},
            {"preprocessing": [1, 2]},
            {"preprocessing": {"mean": "abc", "std": "abc"}},
            {"classes": ["fake", "real", "third"]},
            {"shape": [8, 6]},
            {"shape": [2, 2, 3]},
            {"shape": [8, 6, 4]},
            {"shape": "8×6"},
            {"settings": SECTION | {"seeds": [0]}},
            {"settings": SECTION | {"seeds": [0, 1, 2]}},
            {"settings": SECTION | {"seeds": [0, 0]}},
            {"settings": SECTION | {"width": 7}},
            {"settings": SECTION | {"width": 2**40}},
            {"settings": SECTION | {"width": "6"}},
            {"settings": SECTION | {"augment": STILL | {"shift": 7}}},
            {"settings": {key: value for key, value in SECTION.items() if key != "batch"}},
            {"settings": []},
        ],
    )
    def test_cards_that_do_not_fit_are_refused(self, files, changes):
        change_card(files, **changes)
        unfit(files, 1)

    def test_what_a_card_claims_is_not_allocated(self, files):
        made = []

        def watched(shape, outputs, settings):
            net = build(shape, outputs, settings)
            made.append(net.head.weight.device.type)
            return net

        change_card(files, settings=SECTION | {"width": 2**24})
        unfit(files, 0, entry(build=watched))
        assert made == ["meta"]

    def test_the_model_of_another_classifier_is_refused(self, files):
        unfit(files, 1, entry("other"))


# Checkpoints


class Stop(BaseException):
    """What a test stops a training with."""


def stopped(model, arrays, epochs):
    """Let a training be stopped after so many epochs of all its members together."""
    counter = itertools.count(1)

    def log(_):
        if next(counter) == epochs:
            raise Stop

    model.log = log
    with pytest.raises(Stop):
        model.fit(*arrays)


def stored(folder, x, rows=None):
    """Return images as they are read from a file, in which they stand at `rows`."""
    rows = np.arange(len(x)) if rows is None else rows
    array = np.zeros((rows.max() + 1, *x.shape[1:]), x.dtype)
    array[rows] = x
    folder.mkdir(parents=True, exist_ok=True)
    write_blocks(folder / "x.npy", [array])
    return Stored(folder / "x.npy", rows)


class TestStoredImages:
    def test_they_give_the_bytes_of_images_in_memory(self, tmp_path):
        x, y, x_valid, y_valid = splits()
        rows = np.random.default_rng(0).permutation(100)[: len(x)]
        for window in (None, 16, 40):
            whole = save(tiny(window=window).fit(x, y, x_valid, y_valid), tmp_path / f"whole-{window}")
            read = stored(tmp_path / "a", x, rows), y, stored(tmp_path / "b", x_valid), y_valid
            files = save(tiny(window=window).fit(*read), tmp_path / f"read-{window}")
            assert [path.read_bytes() for path in files] == [path.read_bytes() for path in whole]

    def test_a_window_of_all_rows_is_no_window(self):
        x, _ = images(5)
        one, all_, some = (tiny(window=window).fit(*splits()).member_proba(x) for window in (None, 40, 20))
        assert one.tobytes() == all_.tobytes() != some.tobytes()

    def test_a_stopped_training_goes_on_unless_the_file_is_another(self, tmp_path):
        x, y, x_valid, y_valid = splits()
        read = stored(tmp_path / "a", x), y, stored(tmp_path / "b", x_valid), y_valid
        seen, original = [], trainer.one_epoch
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(trainer, "one_epoch", lambda *given: seen.append(given[4:6]) or original(*given))
            tiny(window=20, patience=None).fit(*read)
            seen.clear()
            tiny(window=20, patience=None).fit(*read)
            assert seen == []
            os.utime(tmp_path / "a/x.npy", (1, 1))
            tiny(window=20, patience=None).fit(stored_again(read[0]), *read[1:])
            assert len(seen) == 4

    def test_a_window_smaller_than_a_batch_is_refused(self):
        with pytest.raises(InputError, match="window is 10, expected batch, 16, or more"):
            tiny(window=10)


def stored_again(one):
    return Stored(one.path, one.rows)


class TestBatches:
    @pytest.mark.parametrize("window", [None, 300, 700, 5000])
    @pytest.mark.parametrize("world", [1, 2])
    def test_every_row_is_in_one_batch_and_a_window_has_few_runs(self, window, world):
        draw = torch.Generator().manual_seed(0)
        found = data.drawn_batches(2000, 64, window, world, draw, torch.device("cpu"))
        rows = torch.cat([batch for batch, _ in found]).numpy()
        assert sorted(rows.tolist()) == list(range(2000))
        assert all(abs(len(batch) - 64) < 16 for batch, _ in found)
        told = [after for _, after in found if after is not None]
        if window is None or window >= 2000:
            assert told == []
            return
        count = -(-2000 // window)
        parts = np.array_split(rows, count)
        assert [len(after) for after in told] == [len(part) for part in parts[1:]]
        for part, after in zip(parts[1:], told, strict=True):
            assert set(after.tolist()) == set(part.tolist())
        for part in parts:
            runs = np.flatnonzero(np.diff(np.sort(part)) != 1)
            assert len(runs) <= window // data.RUN + 1
            assert (np.diff(part) != 1).mean() > 0.9  # shuffled

    def test_no_window_draws_what_was_always_drawn(self):
        found = data.drawn_batches(100, 32, None, 1, torch.Generator().manual_seed(7), torch.device("cpu"))
        order = torch.randperm(100, generator=torch.Generator().manual_seed(7))
        assert torch.equal(torch.cat([batch for batch, _ in found]), order)


class TestCheckpoints:
    @pytest.fixture
    def epochs(self, monkeypatch):
        """Which epochs were trained, of which seed."""
        seen, original = [], trainer.one_epoch
        monkeypatch.setattr(trainer, "one_epoch", lambda *given: seen.append(given[4:6]) or original(*given))
        return seen

    def test_they_are_removed_when_the_model_is_saved(self, tmp_path):
        model = tiny().fit(*splits())
        assert len(checkpoints(tmp_path)) == 2
        save(model, tmp_path / "m")
        assert checkpoints(tmp_path) == []

    def test_a_stopped_training_goes_on_and_gives_the_same_bytes(self, tmp_path, epochs):
        arrays = splits()
        whole = save(tiny(epochs=3, patience=3).fit(*arrays), tmp_path / "whole")
        epochs.clear()
        for count in (2, 3, 4):  # what was done before is told first, as one
            stopped(tiny(epochs=3, patience=3), arrays, count)
        told = []
        resumed = tiny(told.append, epochs=3, patience=3).fit(*arrays)
        assert epochs == [(seed, epoch) for seed in (0, 1) for epoch in (0, 1, 2)]
        files = save(resumed, tmp_path / "resumed")
        assert [path.read_bytes() for path in files] == [path.read_bytes() for path in whole]
        assert told[-1] == resumed.history_

    def test_a_finished_seed_is_not_trained_again(self, epochs):
        arrays = splits()
        stopped(tiny(patience=None), arrays, 3)
        assert epochs == [(0, 0), (0, 1), (1, 0)]
        epochs.clear()
        tiny(patience=None).fit(*arrays)
        assert epochs == [(1, 1)]

    def test_another_seed_makes_use_of_those_that_are_done(self, epochs):
        arrays = splits()
        tiny(patience=None, seeds=[0, 1]).fit(*arrays)
        epochs.clear()
        tiny(patience=None, seeds=[1, 2]).fit(*arrays)
        assert epochs == [(2, 0), (2, 1)]

    def test_all_that_was_learnt_is_told_even_if_nothing_is_left_to_learn(self):
        # DVC has removed the history before it runs the stage again.
        arrays, told = splits(), []
        done = tiny().fit(*arrays)
        tiny(told.append).fit(*arrays)
        assert told[-1] == done.history_

    @pytest.mark.parametrize(
        "other",
        [
            *({"settings": change} for change in ({"epochs": 3}, {"learning_rate": 0.02}, {"width": 7})),
            *({"settings": change} for change in ({"augment": STILL}, {"views_at_test": 6})),
            *({"data": place} for place in range(4)),
            *({"data": "rows"}, {"data": "shape"}, {"data": "moved"}, {"classes": ["real", "fake"]}),
            *({"name": "other"}, {"code": "entry"}, {"code": "package"}, {"threads": 2}, {"version": "9.9"}),
        ],
    )
    def test_one_of_anything_else_is_not_used(self, tmp_path, monkeypatch, epochs, other):
        file = tmp_path / "entry.py"
        file.write_text("one")
        module = entry()
        module.__file__ = str(file)
        arrays, classes = list(splits()), ["fake", "real"]
        tiny(module=module).fit(*arrays, classes)
        epochs.clear()
        match other:
            case {"data": int(place)}:
                arrays[place] = arrays[place][::-1].copy()
            case {"data": "rows"}:
                arrays[2:] = [array[:-1] for array in arrays[2:]]
            case {"data": "shape"}:
                arrays[0], arrays[2] = (array.reshape(len(array), 6, 8, 3) for array in arrays[::2])
            case {"data": "moved"}:
                whole = [np.concatenate(arrays[k::2]) for k in (0, 1)]
                arrays = [whole[0][:38], whole[1][:38], whole[0][38:], whole[1][38:]]
            case {"classes": classes}:
                pass
            case {"name": name}:
                module.__name__ = f"somewhere.{name}"
            case {"code": "entry"}:
                file.write_text("two")
            case {"code": "package"}:
                copied = tmp_path / "package"
                copied.mkdir()
                (copied / "progress.py").write_text("another")
                monkeypatch.setattr(progress, "__file__", str(copied / "progress.py"))
            case {"threads": count}:
                torch.set_num_threads(count)
            case {"version": version}:
                monkeypatch.setattr(torch, "__version__", version)
        tiny(module=module, **other.get("settings", {})).fit(*arrays, classes)
        assert epochs[0] == (0, 0)

    def test_the_same_again_makes_use_of_it(self, epochs):
        tiny().fit(*splits())
        epochs.clear()
        tiny().fit(*splits())
        assert epochs == []

    def test_they_lie_in_the_repository_or_here(self, monkeypatch, tmp_path):
        monkeypatch.delenv("DVC_ROOT")
        monkeypatch.chdir(tmp_path)
        tiny(seeds=[0]).fit(*splits())
        assert len(list((tmp_path / ".checkpoints").iterdir())) == 1


def test_the_suite_is_quiet():
    """No warning of PyTorch's reaches the user, from fit to load."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        tiny().fit(*splits()).predict(images(3)[0])
    assert [str(warning.message) for warning in caught] == []
