"""One contract for all entries of whence/classifiers, networks and classical ones: that of scikit-learn.

What a network learns, and how, is tested with its trainer; here it hardly trains.
"""

import importlib
import json
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from safetensors.numpy import load as decode
from safetensors.numpy import save as encode
from threadpoolctl import threadpool_limits

from whence.base import settings
from whence.base.errors import InputError
from whence.estimators.network import trainer

ROOT = Path(__file__).resolve().parent.parent
NAMES = sorted(path.stem for path in (ROOT / "whence" / "classifiers").glob("*.py"))
ENTRIES = {name: importlib.import_module(f"whence.classifiers.{name}") for name in NAMES}
NETWORKS = [name for name in NAMES if hasattr(ENTRIES[name], "build")]
CLASSICAL = [name for name in NAMES if hasattr(ENTRIES[name], "score")]
SHAPE = (32, 32, 3)
FEATURES = ["head"]
"""Networks that learn from features, not from images."""
COLUMNS = ["seed", "epoch", "learning_rate", "train_loss", "train_accuracy", "valid_loss", "valid_accuracy"]
QUICK = {
    "forest": {"trees": 5},
    "boosting": {"max_iter": 5},
    "small": {"widths": [8, 16]},
    "best": {"widths": [8, 16]},
    "resnet18": {"seeds": [0], "epochs": 1},
    "knn": {"neighbours": 3},
    "transfer": {"pixels": 32, "seeds": [0]},
}
LARGE = ("resnet18", "transfer")
AGAIN = "run dvc repro to train it again"


class Data(NamedTuple):
    """What `fit` takes, in its order."""

    x: np.ndarray
    y: np.ndarray
    x_valid: np.ndarray
    y_valid: np.ndarray


class Fitted(NamedTuple):
    """A model that the tests share, and what it was made of."""

    name: str
    model: Any
    data: Data


@pytest.fixture(autouse=True, scope="module")
def one_thread(tmp_path_factory):
    """Bits are compared, on a busy machine: one thread, the CPU, small blocks, checkpoints out of the way."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with threadpool_limits(1), pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "BLOCK", 16)
        patch.setenv("WHENCE_DEVICE", "cpu")
        patch.setenv("DVC_ROOT", str(tmp_path_factory.mktemp("root")))
        yield
    torch.set_num_threads(threads)


def images(n, seed, classes=("fake", "real")):
    """Noise, lighter from class to class; each class as often as the others, or nearly so."""
    rng = np.random.default_rng(seed)
    code = rng.permutation(np.arange(n) % len(classes))
    light = 90 + 80 * code / (len(classes) - 1)
    x = rng.normal(light[:, None, None, None], 40, (n, *SHAPE))
    return x.clip(0, 255).astype(np.uint8), np.array(list(classes))[code]


def data(name, classes=("fake", "real")):
    rows = 24 if name in LARGE else 60
    given = Data(*images(rows, 0, classes), *images(20, 1, classes))
    if name not in FEATURES:
        return given
    x, x_valid = (part[:, :10, :4, 0].reshape(len(part), -1).astype(np.float32) for part in (given.x, given.x_valid))
    return given._replace(x=x, x_valid=x_valid)


def estimator(name, log=None, **changes):
    """An estimator of the settings in params.yaml, made quick."""
    section = settings.value(f"train.{name}", ROOT / "params.yaml")
    brief = {"seeds": [0, 1], "epochs": 2, "batch": 32} if name in NETWORKS else {}
    wanted = section | brief | QUICK.get(name, {}) | changes
    return kind(name).Estimator(ENTRIES[name], settings.check(wanted, ENTRIES[name].Settings, name), log)


def kind(name):
    return importlib.import_module(f"whence.estimators.{'network' if name in NETWORKS else 'classical'}.estimator")


@pytest.fixture(scope="module", params=NAMES)
def fitted(request, tmp_path_factory):
    """A model of two classes, learnt from memory maps that cannot be written to."""
    name, folder = request.param, tmp_path_factory.mktemp("data")
    mapped = []
    for field, array in data(name)._asdict().items():
        np.save(folder / f"{field}.npy", array)
        mapped.append(np.load(folder / f"{field}.npy", mmap_mode="r"))
    return Fitted(name, estimator(name).fit(*mapped), Data(*mapped))


def saved(fitted, folder):
    folder.mkdir(exist_ok=True)
    files = folder / "any.weights", folder / "any.card"
    fitted.model.save(*files)
    return files


def load(name, files):
    return kind(name).Estimator.load(ENTRIES[name], *files)


def refusal(name, files, guilty):
    with pytest.raises(InputError) as caught:
        load(name, files)
    assert str(files[guilty]) in str(caught.value)
    return str(caught.value)


def test_every_module_is_either_a_network_or_classical():
    assert sorted(NETWORKS + CLASSICAL) == NAMES
    assert len(NETWORKS) > 1
    assert len(CLASSICAL) > 1


class TestContract:
    def test_fit_returns_self(self, fitted):
        assert isinstance(fitted.model, kind(fitted.name).Estimator)

    def test_classes_are_sorted(self, fitted):
        assert fitted.model.classes_.tolist() == ["fake", "real"]

    def test_probabilities(self, fitted):
        x = fitted.data.x_valid
        members, mean = fitted.model.member_proba(x), fitted.model.predict_proba(x)
        count = len(fitted.model.settings.seeds) if fitted.name in NETWORKS else 1
        assert members.shape == (count, len(x), 2)
        assert mean.shape == (len(x), 2)
        for proba in (members, mean):
            assert proba.dtype == np.float64
            assert ((proba >= 0) & (proba <= 1)).all()
            np.testing.assert_allclose(proba.sum(axis=-1), 1, rtol=0, atol=1e-12)
        np.testing.assert_array_equal(members.mean(axis=0), mean)

    def test_members_differ(self, fitted):
        members = fitted.model.member_proba(fitted.data.x_valid)
        assert len({member.tobytes() for member in members}) == len(members)

    def test_predict_names_the_likeliest_class(self, fitted):
        x = fitted.data.x_valid
        named = fitted.model.predict(x)
        assert named.tolist() == [["fake", "real"][k] for k in fitted.model.predict_proba(x).argmax(axis=1)]

    def test_batches_and_their_order_change_no_bit(self, fitted):
        x = fitted.data.x_valid[:17]  # one more than a block
        whole = fitted.model.member_proba(x)
        for start, end in ((0, 1), (16, 17), (3, 8)):
            assert fitted.model.member_proba(x[start:end]).tobytes() == whole[:, start:end].tobytes()
        assert fitted.model.member_proba(x[::-1]).tobytes() == whole[:, ::-1].tobytes()

    def test_the_last_layer_makes_the_answer_of_what_is_hidden(self, fitted):
        """Of the first member and each image as it is, in any batch."""
        if fitted.name in CLASSICAL:
            assert not hasattr(fitted.model, "hidden")
            return
        x, net = fitted.data.x_valid[:17], fitted.model.members[0]
        hidden = fitted.model.hidden(x)
        last = [layer for layer in net.modules() if isinstance(layer, torch.nn.Linear)][-1]
        assert hidden.shape == (17, last.in_features)
        assert hidden.dtype == np.float32
        with torch.inference_mode():
            wanted = trainer.logits(net, fitted.model.scale(torch.from_numpy(np.array(x))))
            found = last(torch.from_numpy(hidden))
        torch.testing.assert_close(found[:, -1], wanted[:, -1], rtol=0, atol=1e-4)
        assert fitted.model.hidden(x[3:8]).tobytes() == hidden[3:8].tobytes()
        assert fitted.model.hidden(x[:0]).shape == (0, last.in_features)

    def test_no_rows_have_no_probabilities(self, fitted):
        none = fitted.data.x_valid[:0]
        assert fitted.model.predict_proba(none).shape == (0, 2)
        assert fitted.model.predict(none).tolist() == []

    def test_rows_of_another_shape_are_refused(self, fitted):
        shape = fitted.data.x.shape[1:]
        for x in (fitted.data.x_valid[:, :31], fitted.data.x_valid.reshape(20, -1, 2)):
            with pytest.raises(InputError, match=rf"^{fitted.name}: .*{', '.join(map(str, shape))}"):
                fitted.model.predict_proba(x)

    def test_history(self, fitted):
        history, section = fitted.model.history_, fitted.model.settings
        assert list(history) == COLUMNS
        if fitted.name in CLASSICAL:
            assert {len(column) for column in history.values()} == {1}
            assert (history["seed"], history["epoch"], history["learning_rate"]) == ([0], [0], [0])
        else:
            epochs = range(1, section.epochs + 1)
            assert history["seed"] == [seed for seed in section.seeds for _ in epochs]
            assert history["epoch"] == [epoch for _ in section.seeds for epoch in epochs]
            assert all(0 <= rate <= section.learning_rate for rate in history["learning_rate"])
        for name in ("train", "valid"):
            assert all(math.isfinite(loss) and loss >= 0 for loss in history[f"{name}_loss"])
            assert all(0 <= accuracy <= 1 for accuracy in history[f"{name}_accuracy"])

    def test_history_tells_of_these_probabilities(self, fitted, tmp_path):
        # A swap of the columns would show here, even where next to nothing was learnt.
        _, card = saved(fitted, tmp_path / "m")
        history = {name: np.array(column) for name, column in fitted.model.history_.items()}
        code = (fitted.data.y_valid == "real").astype(int)
        members = fitted.model.member_proba(fitted.data.x_valid)
        for place, (member, epoch) in enumerate(zip(members, json.loads(card.read_text())["best_epoch"], strict=True)):
            seed = fitted.model.settings.seeds[place] if fitted.name in NETWORKS else 0
            row = (history["seed"] == seed) & (history["epoch"] == epoch)
            loss = -np.log(member[np.arange(len(code)), code].clip(np.finfo(float).eps)).mean()
            # Networks look at the valid rows in bf16 where there is such, and without mirror images.
            assert loss == pytest.approx(
                history["valid_loss"][row].item(), rel=0.05 if fitted.name in NETWORKS else 1e-9
            )

    def test_another_fit_gives_the_same_bits_whatever_the_names_and_changes_no_input(self, fitted, tmp_path):
        before, _ = saved(fitted, tmp_path / "before")
        code, code_valid = (y == "real" for y in (fitted.data.y, fitted.data.y_valid))
        for number, (classes, order) in enumerate([(np.array([False, True]), None), (np.array([7, -3]), [7, -3])]):
            given = Data(
                np.array(fitted.data.x),
                classes[code.astype(int)],
                np.array(fitted.data.x_valid),
                classes[code_valid.astype(int)],
            )
            copy = [array.copy() for array in given]
            log = []
            other = estimator(fitted.name, log.append)
            assert other.fit(*given, order) is other
            assert [array.tobytes() for array in given] == [array.tobytes() for array in copy]
            assert other.classes_.tolist() == classes.tolist()
            assert log[-1] == other.history_ == fitted.model.history_
            weights, card = saved(Fitted(fitted.name, other, given), tmp_path / str(number))
            assert weights.read_bytes() == before.read_bytes()
            loaded = load(fitted.name, (weights, card))
            assert [(type(name), name) for name in loaded.classes_.tolist()] == [
                (type(name), name) for name in classes.tolist()
            ]
            assert set(loaded.predict(given.x_valid).tolist()) <= set(classes.tolist())
            assert loaded.member_proba(given.x_valid).tobytes() == fitted.model.member_proba(given.x_valid).tobytes()


class TestFiles:
    def test_two_files_of_the_given_names_and_no_more(self, fitted, tmp_path):
        files = saved(fitted, tmp_path / "m")
        assert sorted((tmp_path / "m").iterdir()) == sorted(files)

    def test_the_same_bytes_twice_and_after_the_round_trip(self, fitted, tmp_path):
        one, two = saved(fitted, tmp_path / "one"), saved(fitted, tmp_path / "two")
        assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]

    def test_the_round_trip_changes_no_bit(self, fitted, tmp_path):
        loaded = load(fitted.name, saved(fitted, tmp_path / "m"))
        x = fitted.data.x_valid
        assert loaded.classes_.tolist() == fitted.model.classes_.tolist()
        assert loaded.member_proba(x).tobytes() == fitted.model.member_proba(x).tobytes()
        assert loaded.predict(x).tolist() == fitted.model.predict(x).tolist()

    def test_the_card_says_what_it_is(self, fitted, tmp_path):
        weights, card = saved(fitted, tmp_path / "m")
        about, learnt = json.loads(card.read_text()), decode(weights.read_bytes())
        assert about["classifier"] == fitted.name
        assert about["classes"] == ["fake", "real"]
        assert about["shape"] == list(fitted.data.x.shape[1:])
        assert about["settings"] == fitted.model.settings.model_dump()
        if fitted.name in CLASSICAL:
            assert about["parameters"] == sum(array.size for array in learnt.values())
            assert (about["preprocessing"], about["best_epoch"]) == ({}, [0])
            return
        first = [a for name, a in learnt.items() if name.startswith("0.") and not name.endswith("num_batches_tracked")]
        assert about["parameters"] == sum(array.size for array in first)
        assert len(about["best_epoch"]) == len(fitted.model.settings.seeds)
        x = fitted.data.x
        if fitted.name in FEATURES:
            assert about["preprocessing"] == {"mean": [], "std": []}
            return
        if hasattr(ENTRIES[fitted.name], "scale"):
            assert about["preprocessing"]["mean"] == pytest.approx([123.675, 116.28, 103.53])
            return
        np.testing.assert_allclose(about["preprocessing"]["mean"], x.mean((0, 1, 2)), rtol=1e-6)
        np.testing.assert_allclose(about["preprocessing"]["std"], x.std((0, 1, 2)), rtol=1e-6)

    def test_arrays_are_data(self, fitted, tmp_path):
        for array in decode(saved(fitted, tmp_path / "m")[0].read_bytes()).values():
            assert array.dtype.kind in "fiu"
            assert np.isfinite(array).all()

    def test_the_model_of_another_classifier_is_refused(self, fitted, tmp_path):
        files = saved(fitted, tmp_path / "m")
        others = NETWORKS if fitted.name in NETWORKS else ["logistic", "forest"]
        alike = {"small", "best"}  # of equal widths these are the same network
        other = next(name for name in others if name != fitted.name and not {name, fitted.name} <= alike)
        assert "expected" in refusal(other, files, 1)
        about = {"classifier": other, "settings": estimator(other).settings.model_dump()}
        files[1].write_text(json.dumps(json.loads(files[1].read_text()) | about))
        assert AGAIN in refusal(other, files, 0)

    def test_every_array_is_needed(self, fitted, tmp_path):
        files = saved(fitted, tmp_path / "m")
        learnt = decode(files[0].read_bytes())
        # PyTorch counts batches, and does without the counter.
        names = [name for name in learnt if not name.endswith("num_batches_tracked")]
        for name in names[:: max(1, len(names) // 12)]:
            files[0].write_bytes(encode({other: array for other, array in learnt.items() if other != name}))
            assert AGAIN in refusal(fitted.name, files, 0)
        files[0].write_bytes(encode({}))
        assert AGAIN in refusal(fitted.name, files, 0)

    @pytest.mark.parametrize("change", ["longer", "deeper"])
    def test_arrays_of_another_shape_are_refused(self, fitted, tmp_path, change):
        files = saved(fitted, tmp_path / "m")
        learnt = decode(files[0].read_bytes())
        for name in list(learnt)[:: max(1, len(learnt) // 12)]:
            array = learnt[name]
            wrong = np.concatenate([array.ravel(), array.ravel()]) if change == "longer" else np.stack([array] * 2)
            files[0].write_bytes(encode(learnt | {name: wrong}))
            assert AGAIN in refusal(fitted.name, files, 0)

    @pytest.mark.parametrize(
        "changes",
        [
            {"settings": {"stranger": 1}},
            {"settings": {"seed": float("nan")}},
            {"settings": {"C": [[[[]]]]}},
            {"settings": []},
            {"classes": ["a", "b", "c"]},
            {"classes": ["a", "a"]},
        ],
    )
    def test_cards_that_do_not_fit_the_arrays_are_refused(self, fitted, tmp_path, changes):
        files = saved(fitted, tmp_path / "m")
        files[1].write_text(json.dumps(json.loads(files[1].read_text()) | changes))
        refusal(fitted.name, files, 1)

    def test_cards_of_another_shape_are_refused(self, fitted, tmp_path):
        files = saved(fitted, tmp_path / "m")
        about = json.loads(files[1].read_text())
        files[1].write_text(json.dumps(about | {"shape": [1] if fitted.name in ("forest", "boosting") else [7]}))
        if fitted.name in ("majority", "guess"):  # which learn nothing from x
            assert load(fitted.name, files).predict_proba(np.zeros((2, 7), np.uint8)).shape == (2, 2)
        else:
            refusal(fitted.name, files, 1)


class TestClassicalFiles:
    """What is refused of arrays that PyTorch does not check."""

    @pytest.fixture
    def logistic(self, tmp_path):
        model = estimator("logistic").fit(*data("logistic"))
        files = tmp_path / "w", tmp_path / "c"
        model.save(*files)
        return files

    @pytest.mark.parametrize(
        "changes",
        [
            {"weights": np.full(3072, np.nan)},
            {"intercept": np.array([np.inf])},
            {"scale": np.zeros(3072)},
            {"weights": np.ones(3072, np.complex64)},
            {"stranger": np.zeros(3)},
        ],
    )
    def test_numbers_without_a_probability(self, logistic, changes):
        learnt = decode(logistic[0].read_bytes())
        logistic[0].write_bytes(encode(learnt | changes))
        assert AGAIN in refusal("logistic", logistic, 0)

    @pytest.mark.parametrize("share", [-0.1, 1.5, np.nan])
    def test_a_share_that_is_none(self, tmp_path, share):
        files = tmp_path / "w", tmp_path / "c"
        estimator("majority").fit(*data("majority")).save(*files)
        files[0].write_bytes(encode({"share": np.asarray(share)}))
        assert AGAIN in refusal("majority", files, 0)

    @pytest.mark.parametrize("seed", [np.asarray(-1), np.asarray([1]), np.asarray(1e300)])
    def test_a_seed_that_is_none(self, tmp_path, seed):
        files = tmp_path / "w", tmp_path / "c"
        estimator("guess").fit(*data("guess")).save(*files)
        files[0].write_bytes(encode({"seed": seed}))
        assert AGAIN in refusal("guess", files, 0)

    @pytest.mark.parametrize("name", ["forest", "boosting"])
    def test_trees_that_lead_back(self, tmp_path, name):
        files = tmp_path / "w", tmp_path / "c"
        estimator(name).fit(*data(name)).save(*files)
        learnt = decode(files[0].read_bytes())
        inner = np.flatnonzero(learnt["left"] != np.arange(len(learnt["left"])))[-1]
        learnt["left"][inner] = 0
        files[0].write_bytes(encode(learnt))
        assert "leads out of the trees, or back" in refusal(name, files, 0)

    @pytest.mark.parametrize("depth", [400, 800, 900, 950, 980])
    def test_settings_of_any_depth(self, logistic, depth):
        about = json.loads(logistic[1].read_text())
        text = json.dumps(about | {"settings": "HERE"}).replace('"HERE"', '{"C":' * depth + "1" + "}" * depth)
        logistic[1].write_text(text)
        assert AGAIN in refusal("logistic", logistic, 1)


@pytest.mark.parametrize("name", CLASSICAL)
class TestTwoClasses:
    @pytest.mark.parametrize("classes", ["a", "abc"])
    def test_more_or_fewer_are_refused(self, name, classes):
        given = Data(*images(12, 0, "ab"), *images(12, 1, "ab"))
        y = np.array(list(classes))[np.arange(12) % len(classes)]
        expected = rf"^params.yaml: train.{name}: tells two classes apart, not {len(classes)}; take a network"
        with pytest.raises(InputError, match=expected):
            estimator(name).fit(given.x, y, given.x_valid, y)

    @pytest.mark.parametrize("split", ["train", "valid"])
    @pytest.mark.parametrize("labels", ["a" * 12, "ab" * 5 + "az", "xy" * 6])
    def test_both_splits_hold_both_and_no_others(self, name, split, labels):
        given = Data(*images(12, 0, "ab"), *images(12, 1, "ab"))
        wrong = given._replace(**{"y" if split == "train" else "y_valid": np.array(list(labels))})
        with pytest.raises(
            InputError, match=rf"^params.yaml: train.{name}: {split} rows are of .*expected both of a, b"
        ):
            estimator(name).fit(*wrong, ["a", "b"])

    def test_classes_that_are_one(self, name):
        with pytest.raises(InputError, match="expected both of"):
            estimator(name).fit(*data(name), ["fake", "fake"])

    def test_features_and_labels_of_any_order(self, name, tmp_path):
        # The probability of a class does not depend on its column, but for a coin's.
        given = data(name)
        flat = given._replace(
            x=given.x.reshape(60, -1)[:, :9].astype(np.float32),
            x_valid=given.x_valid.reshape(20, -1)[:, :9].astype(np.float32),
        )
        one, other = (estimator(name).fit(*flat, order) for order in (["fake", "real"], ["real", "fake"]))
        assert other.classes_.tolist() == ["real", "fake"]
        expected = one.predict_proba(flat.x_valid)[:, :: 1 if name == "guess" else -1]
        np.testing.assert_allclose(other.predict_proba(flat.x_valid), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
class TestTenClasses:
    def test_ten(self, name, tmp_path):
        classes = [f"c{k}" for k in (3, 1, 4, 5, 9, 2, 6, 0, 8, 7)]
        given = data(name, classes)
        model = estimator(name, seeds=[3], epochs=1).fit(*given, classes)
        proba = model.predict_proba(given.x_valid)
        assert proba.shape == (20, 10)
        assert ((proba >= 0) & (proba <= 1)).all()
        np.testing.assert_allclose(proba.sum(axis=1), 1, rtol=0, atol=1e-12)
        assert model.predict(given.x_valid).tolist() == [classes[k] for k in proba.argmax(axis=1)]
        files = saved(Fitted(name, model, given), tmp_path / "m")
        loaded = load(name, files)
        assert loaded.classes_.tolist() == classes
        assert loaded.predict_proba(given.x_valid).tobytes() == proba.tobytes()

    def test_a_class_without_training_rows_is_refused(self, name):
        with pytest.raises(InputError, match=rf"^params.yaml: train.{name}: .* of third$"):
            estimator(name).fit(*data(name), ["fake", "real", "third"])
