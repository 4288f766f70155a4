"""Transfer: what begins with given weights, what learns when, and what stays as it was."""

from contextlib import nullcontext
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
import yaml
from torch import nn

from stages import train
from whence.base import settings
from whence.base.errors import InputError
from whence.classifiers import transfer
from whence.estimators.network import backbones, convolutions, optimizers
from whence.estimators.network.data import Data
from whence.estimators.network.estimator import Estimator
from whence.estimators.network.step import Step
from whence.table import rows, tables

ROOT = Path(__file__).resolve().parent.parent
SECTION = settings.value("train.transfer", ROOT / "params.yaml")
CLASSES = ["real", "fake"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WHENCE_DEVICE", "cpu")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield tmp_path
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def trunk():
    net = backbones.trunk("resnet18")
    net.load_state_dict(backbones.drawn("resnet18", 5))
    return net


def section(**changes):
    small = {"backbone": "resnet18", "pixels": 32, "unfrozen": 1, "epochs": 2, "batch": 8, "dropout": 0.0}
    return settings.check(SECTION | small | changes, transfer.Settings, "transfer")


def images(count=16, seed=0):
    rng = np.random.default_rng(seed)
    y = np.arange(count) % 2
    x = rng.normal(90 + 80 * y[:, None, None, None], 40, (count, 32, 32, 3)).clip(0, 255).astype(np.uint8)
    return x, np.array(CLASSES)[y]


def fitted(trunk, log=None, **changes):
    model = Estimator(transfer, section(**changes), log, start=trunk)
    return model.fit(*images(), *images(8, 1), CLASSES)


def parts(net):
    """Return the state of what never learns, of the upper blocks, and of the top."""
    kept = tuple(f"trunk.{k}." for k in range(net.kept))
    state = {name: part.clone() for name, part in net.state_dict().items()}
    low = {name: part for name, part in state.items() if name.startswith(kept)}
    top = {name: part for name, part in state.items() if name.startswith("top.")}
    return low, {name: part for name, part in state.items() if name not in low | top}, top


def same(one, other):
    return [torch.equal(one[name], other[name]) for name in one]


def begun(trunk, **changes):
    net = transfer.build((32, 32, 3), 1, section(**changes))
    net.begin(trunk)
    return net


class TestWhatLearns:
    def test_it_sees_what_the_trunk_sees(self, trunk):
        net, x = begun(trunk).eval(), torch.randn(3, 3, 32, 32)
        with torch.inference_mode():
            torch.testing.assert_close(net(x), net.top(trunk.eval()(x)))

    def test_a_frozen_trunk_stays_bit_by_bit_and_the_top_learns(self, trunk):
        low, high, _ = parts(fitted(trunk, unfrozen=0).members[0])
        assert not high
        given = parts(begun(trunk, unfrozen=0))[0]
        assert all(same(given, low))

    def test_upper_blocks_learn_and_lower_ones_and_all_normalisation_stay(self, trunk):
        before, after = (parts(net) for net in (begun(trunk), fitted(trunk).members[0]))
        assert all(same(before[0], after[0]))
        norm = [name for name in before[1] if "bn" in name or ".downsample.1." in name]
        assert norm
        assert {name for name in before[1] if torch.equal(before[1][name], after[1][name])} == set(norm)

    def test_in_the_first_epochs_the_top_learns_alone(self, trunk):
        model = fitted(trunk, frozen_epochs=2, frozen_norm=False)
        assert all(same(parts(begun(trunk))[1], parts(model.members[0])[1])), "statistics too"
        assert not any(same(parts(begun(trunk))[2], parts(model.members[0])[2]))

    def test_it_says_when_other_parts_begin_to_learn_and_what_is_recorded_is_dropped(self, trunk):
        held = Data(torch.zeros(4, 32, 32, 3, dtype=torch.uint8), torch.tensor([0, 1, 0, 1]))
        for frozen, wanted in ((0, [0, 0, 0, 0]), (2, [0, 0, 1, 0])):
            net, dropped = begun(trunk, frozen_epochs=frozen), []
            made = Step(net, transfer.scale(net.settings), net.settings, held)
            for epoch in range(4):
                made.calls = 7
                made.begin(epoch)
                dropped.append(made.calls == 0)
                assert net.epoch == epoch
            assert dropped == wanted

    def test_all_of_it_learns_where_all_is_unfrozen(self, trunk):
        net = fitted(trunk, unfrozen=5, frozen_epochs=0, frozen_norm=False, patience=None).members[0]
        before, after = begun(trunk, unfrozen=5).state_dict(), net.state_dict()
        assert not [name for name, part in after.items() if part.ndim and torch.equal(part, before[name])]

    def test_normalisation_counts_batches_only_where_it_learns(self, trunk):
        for frozen in (True, False):
            net = begun(trunk, unfrozen=5, frozen_epochs=0, frozen_norm=frozen).train()
            assert {part.training for part in net.modules() if isinstance(part, nn.BatchNorm2d)} == {not frozen}
            assert not any(part.training for part in net.eval().modules())

    def test_the_trunk_takes_a_share_of_the_learning_rate(self, trunk):
        net = begun(trunk, share=0.25, frozen_epochs=0)
        movers = optimizers.build("sgd", net, 1.0, 0.0)
        optimizers.pace(movers, 0.5)
        optimizers.step(movers, net.train()(torch.randn(4, 3, 32, 32)).square().sum())
        rates = {id(p): group["lr"] for group in movers[0].param_groups for p in group["params"]}
        assert {rates[id(p)] for p in net.top.parameters()} == {0.5}
        assert {rates[id(p)] for p in net.trunk.parameters() if p.requires_grad} == {0.125}

    def test_depthwise_convolutions_stay_where_they_are_asked_to(self):
        net = transfer.build((32, 32, 3), 1, section(backbone="mobilenet_v2", unfrozen=19, frozen_depthwise=True))
        found = {part.requires_grad for name, part in net.named_parameters() if part.ndim == 4 and part.shape[1] == 1}
        assert found == {False}
        others = [part.requires_grad for name, part in net.named_parameters() if part.ndim == 4 and part.shape[1] > 1]
        assert all(others)

    def test_what_changes_an_image_to_fool_it_sees_through_what_never_learns(self, trunk, tmp_path):
        """A gradient for the pixels, of the same network, just learnt and read from its files."""
        model, found = fitted(trunk, frozen_epochs=2), []
        model.save(tmp_path / "weights", tmp_path / "card")
        for one in (model, Estimator.load(transfer, tmp_path / "weights", tmp_path / "card")):
            x = torch.full((2, 3, 32, 32), 0.4, requires_grad=True)
            one.of_pixels(0)(x).square().sum().backward()
            found.append(x.grad)
        assert found[0].count_nonzero() > 0
        assert torch.equal(*found)

    def test_how_many_images_are_looked_at_together_changes_nothing(self, trunk, monkeypatch):
        net, x = begun(trunk), torch.randn(5, 3, 32, 32)
        found = []
        for together in (5, 2):
            monkeypatch.setattr(backbones, "CACHED", together * 32**2)
            with torch.inference_mode():
                found.append([net.eval()(x), net.remember([x[:3], x[3:]])])
            found[-1].append(net.train()(x))
        for one, other in zip(*found, strict=True):
            torch.testing.assert_close(one, other)

    @pytest.mark.parametrize("alike", [True, False])
    def test_in_use_several_answer_as_each_does_and_what_is_the_same_in_them_is_asked_once(self, trunk, alike):
        other = backbones.trunk("resnet18")
        other.load_state_dict(backbones.drawn("resnet18", 6))
        nets, asked = [begun(trunk).eval(), begun(trunk if alike else other).eval()], []
        for net in nets:
            net.trunk[0].register_forward_hook(lambda *_: asked.append(0))
        x = torch.randn(3, 3, 32, 32)
        with torch.inference_mode():
            found = transfer.in_use(nets)(x)
            assert len(asked) == (1 if alike else 2)
            torch.testing.assert_close(found, torch.cat([net(x) for net in nets]), rtol=1e-4, atol=1e-4)

    def test_a_hidden_layer_of_the_top(self, trunk):
        model = fitted(trunk, dense=7)
        assert model.hidden(images()[0]).shape == (16, 7)
        assert (model.hidden(images()[0]) >= 0).all()

    def test_pixels_are_scaled_as_the_published_weights_expect(self, trunk, tmp_path):
        model = fitted(trunk)
        assert model.scale == backbones.normalisation("resnet18")
        model.save(tmp_path / "weights", tmp_path / "card")
        again = Estimator.load(transfer, tmp_path / "weights", tmp_path / "card")
        assert again.scale == model.scale
        x = images(5, 9)[0]
        assert np.array_equal(again.predict_proba(x), model.predict_proba(x))


class TestWhatIsRemembered:
    """What the blocks that never learn say of an image, once for all epochs."""

    CHANGES: ClassVar = {"remembered": True, "augment": SECTION["augment"] | {"flip": False, "shift": 0}}

    def test_it_is_what_they_say(self, trunk):
        net, x = begun(trunk, **self.CHANGES), torch.randn(3, 3, 32, 32)
        said = net.remember([x[:2], x[2:]])
        assert said.dtype == torch.float16
        with torch.inference_mode():
            lower = net.eval().trunk[: net.kept]
            torch.testing.assert_close(said.float(), lower(x), rtol=1e-3, atol=1e-3)
            torch.testing.assert_close(net(said.float()), net(x), rtol=1e-2, atol=1e-2)

    def test_they_are_asked_once_whatever_the_seeds_and_epochs(self, trunk, monkeypatch):
        asked, remember = [], transfer.Transfer.remember
        monkeypatch.setattr(transfer.Transfer, "remember", lambda net, x: asked.append(0) or remember(net, x))
        fitted(trunk, seeds=[0, 1], **self.CHANGES)
        assert len(asked) == 2, "of train, and of valid"
        fitted(None, seeds=[0, 1], **self.CHANGES)
        assert len(asked) == 6, "each network drawn at random has others"
        fitted(trunk, **self.CHANGES | {"remembered": False})
        assert len(asked) == 6

    def test_it_learns_as_if_it_looked_anew_each_time(self, trunk):
        one, two = (fitted(trunk, **self.CHANGES | {"remembered": how}) for how in (True, False))
        for name, wanted in two.history_.items():
            assert one.history_[name] == pytest.approx(wanted, rel=1e-2), name
        assert np.abs(one.predict_proba(images(5, 9)[0]) - two.predict_proba(images(5, 9)[0])).max() < 0.01

    @pytest.mark.parametrize(
        ("changes", "expected"),
        [
            ({"augment": SECTION["augment"]}, "remembered: images are looked at once; make flip false or 0"),
            ({"adversary": {"epsilon": 1.0, "steps": 1, "step_size": 1.0}}, "once; make adversary false or 0 as well"),
            ({"window": 16}, "remembered: what is said of the images is kept in memory; make window null as well"),
            ({"augment": CHANGES["augment"] | {"shift": 2}}, "augment.shift: got 2, but 2×2 places are remembered"),
            ({"unfrozen": 5}, "remembered: no block of the trunk stays as it is; make it false, or unfrozen smaller"),
        ],
    )
    def test_what_cannot_be_is_refused(self, trunk, changes, expected):
        with pytest.raises(InputError, match=expected):
            fitted(trunk, **self.CHANGES | changes)


class TestRefusals:
    @pytest.mark.parametrize(
        ("changes", "expected"),
        [
            ({"unfrozen": 6}, "unfrozen: got 6, but resnet18 has 5 blocks"),
            ({"backbone": "mobilenet_v2", "unfrozen": 20}, "unfrozen: got 20, but mobilenet_v2 has 19 blocks"),
        ],
    )
    def test_more_blocks_than_there_are(self, trunk, changes, expected):
        with pytest.raises(InputError, match=f"^params.yaml: train.transfer: does not fit images of .*: {expected}$"):
            fitted(trunk, **changes)

    def test_muon(self):
        with pytest.raises(InputError, match="muon gives weights a length of its own"):
            section(optimizer="muon")


class Stage:
    """What the stage is given: images of CIFAKE, and weights of a backbone."""

    def __init__(self, trunk, trained_on="imagenet", **changes):
        content = {
            "leaks": {"cinic10": ["cifar10"], "cifake": []},
            "tasks": {"fake": settings.value("tasks.fake", ROOT / "params.yaml")},
            "objects": {"real": settings.value("objects.real", ROOT / "params.yaml")},
            "train": {"transfer": section(**changes).model_dump()},
        }
        Path("params.yaml").write_text(yaml.safe_dump(content))
        backbones.write(Path("start"), "resnet18", trunk.state_dict(), trained_on)
        x, domain = images(24)
        np.save("images.npy", x)
        columns = {
            "path": np.array([f"{k}" for k in range(24)]),
            "split": np.array(["train"] * 16 + ["valid"] * 8),
            "official_split": np.array(["train"] * 24),
            "category": np.array([("cat", "dog")[k // 2 % 2] for k in range(24)]),
            "domain": domain,
            "group": np.arange(24),
            "digest": np.array([rows.digest(image) for image in x]),
        }
        tables.write_csv(Path("labels.csv"), columns)

    def __call__(self, question="tasks.fake", classifier="transfer", start=Path("start")):
        train.main(
            *(question, "network", classifier, "transfer", Path("labels.csv"), Path("images.npy")),
            *(Path("weights"), Path("card"), Path("training"), start),
        )


class TestTheStage:
    def test_it_begins_with_the_weights_that_it_is_given(self, trunk):
        Stage(trunk, unfrozen=0)()
        model = Estimator.load(transfer, Path("weights"), Path("card"))
        assert all(same(parts(begun(trunk, unfrozen=0))[0], parts(model.members[0])[0]))

    @pytest.mark.parametrize(("question", "refused"), [("tasks.fake", False), ("objects.real", True)])
    def test_weights_that_saw_test_images_are_refused_where_they_are_tested(self, trunk, question, refused):
        """CIFAR-10 is in the test split of CINIC-10, on which objects are tested, but not in that of CIFAKE."""
        made = Stage(trunk, "cifar10")
        with (
            pytest.raises(InputError, match="was trained on cifar10, which holds test images of this dataset")
            if refused
            else nullcontext()
        ):
            made(question)
        assert Path("weights").exists() != refused

    def test_weights_of_another_backbone_are_refused(self, trunk):
        made = Stage(trunk, backbone="mobilenet_v2")
        with pytest.raises(InputError, match=r"start: holds .*resnet18.*, expected the weights of 'mobilenet_v2'"):
            made()

    def test_a_transfer_without_weights_and_another_network_with_them_are_refused(self, trunk):
        with pytest.raises(InputError, match=r"^params.yaml: transfer got no weights .*; list it under transfers$"):
            Stage(trunk)(start=None)
        made = Stage(trunk)
        content = yaml.safe_load(Path("params.yaml").read_text())
        content["train"]["transfer"] = settings.value("train.lenet", ROOT / "params.yaml")
        Path("params.yaml").write_text(yaml.safe_dump(content))
        with pytest.raises(InputError, match=r"^params.yaml: lenet got weights to begin with; list it under runs$"):
            made(classifier="lenet")

    @pytest.mark.parametrize("remembered", [{}, TestWhatIsRemembered.CHANGES])
    def test_a_stopped_one_goes_on_and_ends_the_same(self, trunk, remembered):
        """Over the change from the top alone to the upper blocks, bit by bit."""

        def stop(history):
            if len(history["epoch"]) == 1:
                raise KeyboardInterrupt

        changes = {"epochs": 3, "frozen_epochs": 2} | remembered
        unbroken = fitted(trunk, **changes)
        for checkpoint in unbroken.checkpoints:
            checkpoint.unlink()
        with pytest.raises(KeyboardInterrupt):
            fitted(trunk, stop, **changes)
        assert all(checkpoint.exists() for checkpoint in unbroken.checkpoints)
        again = fitted(trunk, **changes)
        assert all(same(unbroken.members[0].state_dict(), again.members[0].state_dict()))

    def test_other_weights_are_another_training(self, trunk):
        other = backbones.trunk("resnet18")
        other.load_state_dict(backbones.drawn("resnet18", 6))
        one, two = fitted(trunk), fitted(other)
        assert one.checkpoints != two.checkpoints


# Convolutions over few pixels


def before_and_after(layer, x, towards):
    """Return the layer's answer and its gradients as PyTorch gives them, and as they are when it is quickened."""
    found = []
    for _ in range(2):
        given = x.clone().requires_grad_()
        layer.weight.grad = None
        answer = layer(given)
        answer.backward(towards)
        found.append([answer.detach(), given.grad, layer.weight.grad])
        convolutions.quicken(nn.Sequential(layer))
    assert found[0][2].count_nonzero() > 0
    return found


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("side", [3, 5])
@pytest.mark.parametrize("sides", [(1, 1), (2, 2), (3, 3), (4, 4), (1, 3), (2, 4), (4, 1), (5, 5)])
def test_over_few_pixels_a_depthwise_convolution_gives_what_pytorch_gives_gradients_too(sides, side, dtype):
    torch.manual_seed(0)
    layer = nn.Conv2d(6, 6, side, padding=side // 2, groups=6, bias=False).to(dtype)
    found = before_and_after(layer, *torch.randn(2, 3, 6, *sides, dtype=dtype))
    assert type(layer) is convolutions.Depthwise
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("sides", [(1, 1), (2, 4), (7, 7), (9, 8)])
def test_a_convolution_of_one_pixel_gives_what_pytorch_gives_gradients_too(sides, dtype):
    torch.manual_seed(0)
    layer = nn.Conv2d(6, 7, 1, bias=False).to(dtype)
    found = before_and_after(layer, torch.randn(3, 6, *sides, dtype=dtype), torch.randn(3, 7, *sides, dtype=dtype))
    assert type(layer) is convolutions.Pointwise
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("sides", [(1, 1), (1, 2), (2, 1), (2, 2), (3, 2)])
def test_over_two_pixels_a_convolution_of_three_gives_what_pytorch_gives(sides, bias):
    torch.manual_seed(0)
    layer = nn.Conv2d(convolutions.MANY, convolutions.MANY, 3, padding=1, bias=bias)
    x = torch.randn(3, convolutions.MANY, *sides).to(memory_format=torch.channels_last)
    wanted = layer(x).detach()
    convolutions.quicken(nn.Sequential(layer))
    assert type(layer) is convolutions.Near
    torch.testing.assert_close(layer(x).detach(), wanted, atol=0, rtol=0)  # where it learns it is PyTorch's own
    with torch.no_grad():
        found = layer(x)
    assert found.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(found, wanted)


def test_a_depthwise_convolution_learns_though_nothing_before_it_does():
    layer = nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False)
    convolutions.quicken(nn.Sequential(layer))
    layer(torch.ones(2, 4, 2, 2)).sum().backward()
    assert layer.weight.grad.flatten().tolist() == [2.0, 4, 2, 4, 8, 4, 2, 4, 2] * 4, "pixels that each tap meets"


@pytest.mark.parametrize("name", ["mobilenet_v2", "tf_efficientnet_lite0"])
def test_a_trunk_learns_the_same_with_them(name, monkeypatch):
    x, found = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(1)), []
    for quicken in (convolutions.quicken, lambda net: None):
        monkeypatch.setattr(convolutions, "quicken", quicken)
        torch.manual_seed(0)
        net = transfer.build((32, 32, 3), 2, section(backbone=name, unfrozen=7)).double()
        net(x.double()).square().sum().backward()
        found.append({part: p.grad for part, p in net.named_parameters() if p.grad is not None})
        kinds = [type(part) for part in net.modules() if isinstance(part, nn.Conv2d)]
        assert (convolutions.Depthwise in kinds) == (quicken.__name__ == "quicken")
    assert found[0].keys() == found[1].keys()
    for part, gradient in found[0].items():
        torch.testing.assert_close(gradient, found[1][part])


def test_other_convolutions_stay():
    others = [
        nn.Conv2d(4, 4, 3, padding=1, bias=False),
        nn.Conv2d(4, 8, 3, padding=1, groups=4, bias=False),
        nn.Conv2d(4, 4, 3, padding=1, groups=4),
        nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False, stride=2),
        nn.Conv2d(4, 4, 3, padding=2, groups=4, bias=False, dilation=2),
        nn.Conv2d(4, 4, 3, groups=4, bias=False),
        nn.Conv2d(4, 4, 7, padding=3, groups=4, bias=False),
        nn.Conv2d(4, 4, (3, 5), padding=(1, 2), groups=4, bias=False),
        nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False, padding_mode="reflect"),
        nn.Conv2d(4, 4, 1),
        nn.Conv2d(4, 4, 1, bias=False, stride=2),
        nn.Conv2d(4, 4, 1, bias=False, padding=1),
        nn.Conv2d(4, 4, 1, bias=False, groups=2),
        nn.Conv2d(convolutions.MANY, 4, 3, padding=1),
        nn.Conv2d(convolutions.MANY, convolutions.MANY, 3, padding=1, stride=2),
        nn.Conv2d(convolutions.MANY, convolutions.MANY, 3, padding=1, groups=2),
    ]
    convolutions.quicken(nn.Sequential(*others))
    assert {type(part) for part in others} == {nn.Conv2d}
