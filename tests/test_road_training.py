"""Networks for streets: the loss over pixels, frames and masks changed alike, and training that repeats itself."""

import contextlib
import types

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as how
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from whence.base.arrays import Stored, write_blocks
from whence.base.errors import InputError
from whence.base.settings import check
from whence.estimators.network import backbones, data, step, trainer
from whence.estimators.network.data import Data, Masks, Scale
from whence.estimators.network.recipe import Recipe
from whence.roads import atrous, deeplab, views
from whence.roads.classes import IGNORED
from whence.roads.segmenter import Segmenter

NAMES = ("road", "car", "sky")
STILL = {"flip": False, "smallest": 1.0, "largest": 1.0, "jitter": 0.0, "crop_height": 32, "crop_width": 48}
LEARNT = {
    "seeds": [0], "epochs": 2, "batch": 4, "optimizer": "adamw", "learning_rate": 0.01, "weight_decay": 0.01,
    "schedule": "one_cycle", "label_smoothing": 0.0, "patience": None, "class_weight": None, "views_at_test": 1,
}  # fmt: skip
SECTION = LEARNT | {
    "encoder": "mobilenet_v2", "output_stride": 16, "decoder": 8, "height": 32, "share": 0.3,
    "frozen": 0, "frozen_norm": False,
    "augment": STILL | {"flip": True, "smallest": 0.75, "largest": 1.5, "jitter": 0.3},
}  # fmt: skip
COLOURS = np.array([[200, 40, 90], [10, 220, 60], [120, 130, 250]], np.uint8)
SAME = Scale((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


@pytest.fixture(autouse=True)
def quiet(monkeypatch, tmp_path):
    """One thread, the CPU, float32, and checkpoints out of the way."""
    monkeypatch.setenv("WHENCE_DEVICE", "cpu")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "root"))
    for module in (trainer, step):
        monkeypatch.setattr(module, "half", lambda where: contextlib.nullcontext())
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def streets(count=8, height=48, width=64, seed=0, classes=3, nothing=0.1):
    """Return frames of squares, each in the colour of its class with some noise, and their masks."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, (count, height // 8, width // 8)).repeat(8, 1).repeat(8, 2)
    x = COLOURS[y].astype(int) + rng.integers(-9, 10, (*y.shape, 3))
    return x.clip(0, 255).astype(np.uint8), np.where(rng.random(y.shape) < nothing, IGNORED, y).astype(np.uint8)


# Only a convolution, to be trained in no time


class Small(Recipe):
    """Frames as they are."""

    def change(self, x, y, mirrored, scale, generator):
        return x, y


def small(**changes):
    """Return an estimator whose answer about a pixel depends on its neighbours alone."""
    entry = types.ModuleType("somewhere.small")
    entry.__file__, entry.Settings = __file__, Small
    entry.build = lambda shape, outputs, settings: nn.Conv2d(3, outputs, 3, padding=1)
    return Segmenter(entry, check(LEARNT | {"optimizer": "sgd"} | changes, Small, "small"))


class TestMasks:
    def test_pixels_are_counted_and_what_counts_as_nothing_is_not(self):
        _, y = streets(70)
        masks = Masks(torch.from_numpy(y), 3)
        assert masks.counts.tolist() == [int((y == k).sum()) for k in range(3)]
        assert len(masks) == 70
        for which in (slice(3, 5), torch.tensor([9, 0])):
            part = masks[which]
            assert part.dtype == torch.int64
            wanted = y[which if isinstance(which, slice) else which.numpy()].astype(int)
            assert np.array_equal(part, np.where(wanted == IGNORED, data.UNCOUNTED, wanted))
        assert np.array_equal(masks.masks, y), "what is held is not changed"

    @pytest.mark.parametrize("weight", [None, "balanced", 0.3])
    def test_the_loss_is_cross_entropy_over_pixels_that_count(self, weight):
        x, y = (torch.from_numpy(part) for part in streets(4))
        held = Data(x, Masks(y, 3))
        net = nn.Conv2d(3, 3, 3, padding=1)
        settings = check(LEARNT | {"class_weight": weight, "optimizer": "sgd"}, Small, "small")
        scale = data.measure(x.numpy())
        z, counted = net(scale(x)).permute(0, 2, 3, 1)[y != IGNORED], y[y != IGNORED].long()
        weights = torch.ones(3)
        if weight:
            weights = (len(counted) / (3 * torch.bincount(counted))) ** (1 if weight == "balanced" else weight)
        each = -z.log_softmax(1).gather(1, counted[:, None])[:, 0]
        wanted = (weights[counted] * each).sum() / weights[counted].sum()
        whole = functional.cross_entropy(net(scale(x)), held.y[:], weights, ignore_index=data.UNCOUNTED)
        loss, right = step.Step(net, scale, settings, held)(scale(x), held.y[:], held.y[:], 0.0)
        assert loss.item() == pytest.approx(wanted.item(), rel=1e-5)
        assert loss.item() == pytest.approx(whole.item(), rel=1e-5)
        assert right.item() == pytest.approx(4 * (z.argmax(1) == counted).double().mean().item())
        told = trainer.evaluate(net, scale, held)
        assert told == pytest.approx((each.mean().item(), right.item() / 4), rel=1e-4)

    def test_two_processes_learn_what_one_does(self, monkeypatch):
        """The mean of their gradients, DDP's, is that of the whole batch, however unevenly pixels count."""
        x, y = (torch.from_numpy(part) for part in streets(5))
        y[::2, :30] = IGNORED
        held, net = Data(x, Masks(y, 3)), nn.Conv2d(3, 3, 3, padding=1)
        settings = check(LEARNT | {"class_weight": "balanced"}, Small, "small")
        found, totals = [], []
        monkeypatch.setattr(step, "DistributedDataParallel", lambda net, **_: net)
        monkeypatch.setattr(
            step.optimizers, "step", lambda _, loss: found.append(torch.autograd.grad(loss, [net.weight])[0])
        )
        monkeypatch.setattr(step.dist, "all_reduce", lambda total: totals.append(total.clone()) or total.copy_(whole))
        whole = step.Step(net, SAME, settings, held)._total(held.y[:])
        told = [
            step.Step(net, SAME, settings, held, world)(SAME(x[rows]), held.y[rows], held.y[rows], 0.0)
            for rows, world in ((slice(None), 1), (slice(0, None, 2), 2), (slice(1, None, 2), 2))
        ]
        assert sum(totals).item() == pytest.approx(whole.item())
        torch.testing.assert_close((found[1] + found[2]) / 2, found[0], rtol=1e-4, atol=1e-3)
        assert (told[1] + told[2])[0].item() == pytest.approx(told[0][0].item(), rel=1e-5)

    def test_masks_of_nothing_teach_nothing(self):
        x, _ = (torch.from_numpy(part) for part in streets(4))
        held = Data(x, Masks(torch.full((4, 48, 64), IGNORED, dtype=torch.uint8), 3))
        net = nn.Conv2d(3, 3, 3, padding=1)
        before = net.weight.clone()
        settings = check(LEARNT | {"class_weight": "balanced"} | {"weight_decay": 0.0}, Small, "small")
        told = step.Step(net, SAME, settings, held)(SAME(x), held.y[:], held.y[:], 0.1)
        assert told.tolist() == [0, 0]
        assert torch.equal(net.weight, before)
        assert trainer.evaluate(net, SAME, held) == (0, 0)


# Views


def changed(x, y, height=None, mirrored=None, seed=0, **settings):
    """Return frames (B, H, W, 3) and masks, as numpy, changed; the masks as they are held."""
    section = check(STILL | settings, views.Settings, "augment")
    given = SAME(torch.from_numpy(x)), Masks(torch.from_numpy(y), 3)[:]
    turned = torch.zeros(len(x), dtype=torch.bool) if mirrored is None else torch.tensor(mirrored)
    draw = torch.Generator().manual_seed(seed)
    frames, masks = views.change(*given, height or x.shape[1], turned, section, SAME, draw)
    return frames.permute(0, 2, 3, 1).numpy(), masks.numpy()


def inside(masks):
    """Return where a pixel and all around it are of one class."""
    around = np.lib.stride_tricks.sliding_window_view(masks, (3, 3), axis=(1, 2))
    alike = (around == around[..., :1, :1]).all((3, 4))
    return np.pad(alike, ((0, 0), (1, 1), (1, 1)))


class TestViews:
    @how(max_examples=25, deadline=None)
    @given(st.integers(0, 2**32), st.floats(0.5, 1), st.floats(1, 2), st.sampled_from([32, 48, 64]), st.booleans())
    def test_frames_and_masks_stay_aligned(self, seed, smallest, largest, side, flip):
        _, y = streets(4, seed=seed, nothing=0)
        x = COLOURS[y]
        sides = {"crop_height": side, "crop_width": 96 - side // 2}
        turned = [True, False, True, False]
        frames, masks = changed(x, y, 48, turned, seed, smallest=smallest, largest=largest, flip=flip, **sides)
        assert frames.shape == (4, side, 96 - side // 2, 3)
        assert set(np.unique(masks)) <= {0, 1, 2, data.UNCOUNTED}
        certain = inside(masks)
        counted = certain & (masks != data.UNCOUNTED)
        assert counted.mean() > 0.03
        assert np.abs(frames[counted] - COLOURS[masks[counted]]).max() < 0.1
        assert np.abs(frames[certain & (masks == data.UNCOUNTED)]).max(initial=0) == 0, "nothing is beyond the edge"

    def test_as_large_as_the_frame_it_is_the_frame(self):
        x, y = streets(3)
        frames, masks = changed(x, y, crop_height=48, crop_width=64)
        assert np.abs(frames - x).max() < 0.01
        assert np.array_equal(masks, np.where(y == IGNORED, data.UNCOUNTED, y.astype(int)))

    def test_a_height_of_half_halves_the_frame(self):
        y = np.zeros((1, 64, 96), np.uint8)
        y[:, 32:] += 1
        y[:, :, 48:] += 1
        _, masks = changed(COLOURS[y], y, height=32)
        assert masks[0, ::16, ::24].tolist() == [[0, 1], [1, 2]]
        assert [(masks == k).sum() for k in range(3)] == [384, 768, 384]

    def test_beyond_the_edge_nothing_counts(self):
        x, y = streets(4)
        y[:] = 1
        _, masks = changed(x, y, crop_height=64, crop_width=96)
        assert [(each == 1).sum() for each in masks] == [48 * 64] * 4
        assert (masks[masks != 1] == data.UNCOUNTED).all()

    def test_a_frame_is_turned_round_where_it_is_mirrored_and_where_that_is_asked_for(self):
        x, y = streets(4)
        turned = [True, False, False, True]
        plain, mirrored, off = (
            changed(x, y, mirrored=given, flip=flip, smallest=0.8, largest=1.3)
            for given, flip in ((None, True), (turned, True), (turned, False))
        )
        for k, turn in enumerate(turned):
            for one, other, same in zip(plain, mirrored, off, strict=True):
                wanted = one[k][:, ::-1] if turn else one[k]
                assert np.mean(np.abs(other[k] - wanted) > 0.1) < 0.01
                assert np.array_equal(same[k], one[k])
        assert not np.array_equal(plain[1][0], plain[1][0][:, ::-1])

    def test_the_generator_says_how(self):
        x, y = streets(4)
        about = {"smallest": 0.5, "largest": 2.0, "jitter": 0.5}
        first, again, other = (changed(x, y, seed=seed, **about) for seed in (0, 0, 1))
        assert all(np.array_equal(*pair) for pair in zip(first, again, strict=True))
        assert not any(np.array_equal(*pair) for pair in zip(first, other, strict=True))
        still = changed(x, y, seed=0, **about | {"jitter": 0.0})
        assert np.array_equal(still[1], first[1]), "light changes no class"
        assert np.abs(still[0] - first[0]).mean() > 5


# Convolutions with holes


class TestAtrous:
    @given(
        kernel=st.tuples(st.sampled_from([1, 3, 5]), st.sampled_from([1, 3, 5])),
        dilation=st.tuples(st.integers(1, 14), st.integers(1, 14)),
        sides=st.tuples(st.integers(1, 20), st.integers(1, 20)),
        bias=st.booleans(),
    )
    @how(deadline=None, max_examples=60)
    def test_it_gives_what_pytorch_gives_gradients_too(self, kernel, dilation, sides, bias):
        torch.manual_seed(0)
        padding = [d * (k // 2) for d, k in zip(dilation, kernel, strict=True)]
        theirs = nn.Conv2d(3, 3, kernel, padding=padding, dilation=dilation, groups=3, bias=bias).double()
        ours = atrous.Atrous(3, 3, kernel, padding=padding, dilation=dilation, groups=3, bias=bias).double()
        ours.load_state_dict(theirs.state_dict())
        x, towards = (torch.randn(2, 3, *sides, dtype=torch.float64) for _ in range(2))
        found = []
        for layer in (theirs, ours):
            given = x.clone().requires_grad_()
            answer = layer(given)
            answer.backward(towards)
            found.append([answer.detach(), given.grad, *(part.grad for part in layer.parameters())])
        for a, b in zip(*found, strict=True):
            torch.testing.assert_close(a, b)

    @pytest.mark.parametrize("name", ["mobilenet_v2", "resnet18", "efficientnet-b0", "tf_efficientnet_lite0"])
    def test_the_network_says_the_same_with_it(self, name, monkeypatch):
        x, answers = torch.rand(1, 3, 48, 80, generator=torch.Generator().manual_seed(1)), []
        holed = []
        for quicken in (atrous.quicken, lambda net: None):
            monkeypatch.setattr(atrous, "quicken", quicken)
            torch.manual_seed(0)
            net = deeplab.build((48, 80, 3), 3, section(encoder=name, height=48)).eval()
            with torch.inference_mode():
                answers.append(net(x))
            holed.append([part for part in net.modules() if isinstance(part, nn.Conv2d) and max(part.dilation) > 1])
        torch.testing.assert_close(*answers)
        ours, theirs = ([type(part) for part in parts if part.groups > 1] for parts in holed)
        assert set(ours) == {atrous.Atrous}
        assert len(theirs) == len(ours)
        assert atrous.Atrous not in theirs

    def test_what_is_not_as_it_says_stays(self):
        others = [
            nn.Conv2d(4, 4, 3, padding=1, groups=4),  # without holes
            nn.Conv2d(4, 4, 3, padding=2, dilation=2),  # not depthwise
            nn.Conv2d(4, 8, 3, padding=2, dilation=2, groups=4),
            nn.Conv2d(4, 4, 3, padding=2, dilation=2, stride=2, groups=4),
            nn.Conv2d(4, 4, 3, padding=1, dilation=2, groups=4),  # the image becomes smaller
            nn.Conv2d(4, 4, 4, padding=4, dilation=2, groups=4),
        ]
        one = nn.Conv2d(4, 4, 3, padding=2, dilation=2, groups=4)
        atrous.quicken(nn.Sequential(*others, one))
        assert [type(part) for part in others] == [nn.Conv2d] * len(others)
        assert type(one) is atrous.Atrous


# DeepLabV3+


def section(**changes):
    return check(SECTION | changes, deeplab.Settings, "train.tiny")


class TestDeepLab:
    def test_its_parameters_are_as_stated(self):
        net = deeplab.build((48, 64, 3), 7, section(decoder=256))
        count = sum(part.numel() for part in net.parameters())
        assert f"{count:,} parameters" in deeplab.__doc__
        assert count == 4_380_055

    def test_answers_have_the_size_of_the_frame(self):
        net = deeplab.build((48, 64, 3), 5, section(output_stride=8)).eval()
        with torch.inference_mode():
            for height, width in ((227, 320), (96, 192), (33, 700), (20, 16)):
                assert net(torch.zeros(2, 3, height, width)).shape == (2, 5, height, width)
            assert net.train()(torch.zeros(2, 3, 32, 48)).shape == (2, 5, 32, 48)

    @pytest.mark.parametrize("name", ["mobilenet_v2", "resnet18", "tf_efficientnet_lite0"])
    def test_it_begins_with_the_weights_of_a_trunk(self, tmp_path, name):
        drawn = backbones.drawn(name, 5)
        backbones.write(tmp_path / "w", name, drawn, backbones.NOTHING)
        settings = section(encoder=name)
        net = deeplab.build((48, 64, 3), 3, settings)
        found = {key.removeprefix("model."): part for key, part in net.net.encoder.state_dict().items()}  # of timm's
        assert not all(torch.equal(part, drawn[key]) for key, part in found.items())
        net.begin(deeplab.begin(tmp_path / "w", settings))
        assert found.keys() == {key for key in drawn if not key.startswith(("conv_head.", "bn2."))}
        assert all(torch.equal(part, drawn[key]) for key, part in found.items())

    def test_weights_of_another_are_refused(self, tmp_path):
        backbones.write(tmp_path / "w", "resnet18", backbones.drawn("resnet18", 0), backbones.NOTHING)
        with pytest.raises(InputError, match="expected the weights of 'mobilenet_v2'"):
            deeplab.begin(tmp_path / "w", section())
        with pytest.raises(InputError, match=r"weights to begin with for .*mobilenet_v2.*, not for efficientnet-b0"):
            deeplab.begin(tmp_path / "w", section(encoder="efficientnet-b0"))

    def test_every_parameter_learns_at_one_rate(self):
        net = deeplab.build((48, 64, 3), 3, section())
        (share, encoder), (one, rest) = net.shares()
        assert (share, one) == (0.3, 1.0)
        assert {id(part) for part in encoder} == {id(part) for part in net.net.encoder.parameters()}
        assert sorted(map(id, [*encoder, *rest])) == sorted(id(part) for part in net.parameters())

    def test_what_is_frozen_stays_as_it_begins(self, tmp_path):
        drawn = backbones.drawn("mobilenet_v2", 5)
        backbones.write(tmp_path / "w", "mobilenet_v2", drawn, backbones.NOTHING)
        settings = section(frozen=4, frozen_norm=True, epochs=1)
        model = Segmenter(deeplab, settings, start=deeplab.begin(tmp_path / "w", settings)).fit(*splits(), NAMES)
        found = model.members[0].net.encoder.state_dict()
        moved = {name for name, part in found.items() if not torch.equal(part, drawn[name])}
        assert moved == {name for name, part in drawn.items() if part.ndim == 4 and int(name.split(".")[1]) >= 4}
        with pytest.raises(InputError, match="frozen: got 20, but mobilenet_v2 has 19 blocks"):
            tiny(frozen=20).fit(*splits(), NAMES)

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"augment": STILL | {"crop_width": 40}}, "augment.crop_width: 8 over a multiple of 16, expected one"),
            ({"augment": STILL | {"crop_height": 49}}, "augment.crop_height: 1 over a multiple of 16"),
            ({"optimizer": "muon"}, "optimizer: muon gives weights a length of its own"),
            ({"views_at_test": 6}, "views_at_test: got 6, expected 1, or 2"),
            ({"height": 40}, "train.tiny.height: got 40"),
            ({"sizes_at_test": []}, "train.tiny.sizes_at_test: "),
            ({"sizes_at_test": [1.0, 0.0]}, "train.tiny.sizes_at_test.1: got 0.0"),
            ({"encoder": "vgg16"}, "train.tiny.encoder: got 'vgg16'"),
            ({"pretrained": False, "frozen": 2}, "pretrained: false, so the encoder must learn: make frozen 0"),
            ({"pretrained": False, "frozen_norm": True}, "pretrained: false, so the encoder must learn"),
        ],
    )
    def test_settings_that_do_not_fit_are_refused(self, changes, said):
        with pytest.raises(InputError, match=r"train\.tiny") as caught:
            section(**changes)
        assert said in str(caught.value)


# The estimator


def tiny(**changes):
    return Segmenter(deeplab, section(**changes), section="train.tiny")


def splits(**changes):
    return *streets(**changes), *streets(4, seed=1)


def save(model, folder):
    folder.mkdir(parents=True)
    model.save(folder / "weights", folder / "card")
    return [(folder / name).read_bytes() for name in ("weights", "card")]


def ask(model, x):
    return torch.cat(list(model.answers(x))).numpy()


class TestSegmenter:
    def test_stopped_or_not_it_learns_the_same_bytes(self, tmp_path, monkeypatch):
        arrays = splits()
        whole = tiny().fit(*arrays, NAMES)
        told = ask(whole, arrays[0])
        bytes_ = save(whole, tmp_path / "whole")
        again = Segmenter.load(deeplab, tmp_path / "whole/weights", tmp_path / "whole/card")
        assert np.array_equal(ask(again, arrays[0]), told)
        with monkeypatch.context() as patch:
            patch.setattr(trainer.progress, "keep", broken_after(trainer.progress.keep))
            with pytest.raises(Stop):
                tiny().fit(*arrays, NAMES)
        seen, original = [], trainer.one_epoch
        monkeypatch.setattr(trainer, "one_epoch", lambda *given: seen.append(given[5]) or original(*given))
        assert save(tiny().fit(*arrays, NAMES), tmp_path / "resumed") == bytes_
        assert seen == [1], "the first epoch is not learnt again"
        assert save(tiny(seeds=[1]).fit(*arrays, NAMES), tmp_path / "other")[0] != bytes_[0]

    def test_what_is_read_from_disk_gives_the_same_bytes(self, tmp_path):
        x, y, *valid = splits()
        rows = np.random.default_rng(0).permutation(20)[:8]
        array = np.zeros((20, *x.shape[1:]), np.uint8)
        array[rows] = x
        write_blocks(tmp_path / "x.npy", [array])
        ids, table = np.full((20, *y.shape[1:]), 99, np.uint8), np.full(256, IGNORED, np.uint8)
        table[[7, 30, 8]] = 0, 1, 2
        ids[rows] = np.array([7, 30, 8, *[200] * 253], np.uint8)[y]
        write_blocks(tmp_path / "y.npy", [ids])
        for window in (None, 4):
            read = Stored(tmp_path / "x.npy", rows), Stored(tmp_path / "y.npy", rows, table)
            stored = small(window=window).fit(*read, *valid, NAMES)
            held = small(window=window).fit(x, y, *valid, NAMES)
            assert save(stored, tmp_path / f"s{window}") == save(held, tmp_path / f"h{window}")
            assert np.array_equal(ask(stored, Stored(tmp_path / "x.npy", rows)), ask(held, x))

    def test_it_learns_and_answers_about_other_sizes(self):
        x, y, *valid = splits(count=16)
        model = small(epochs=12, learning_rate=0.3, batch=2).fit(x, y, *valid, NAMES)
        asked, truth = streets(3, 40, 88, seed=5)
        z = ask(model, asked)
        assert (z.shape, z.dtype) == ((3, 3, 40, 88), np.float32)
        assert (z.argmax(1) == truth)[truth != IGNORED].mean() > 0.9
        assert model.history_["valid_accuracy"][-1] > 0.9

    def test_answers_are_the_mean_over_the_sizes_at_which_it_is_asked(self):
        """Each as if the height of the settings were another, to a multiple of 16."""
        model, (x, *_) = tiny(views_at_test=2).fit(*splits(), NAMES), streets(3, seed=4)
        found = []
        for sizes in ([1.0], [1.5], [1.0, 1.5]):
            model.settings = model.settings.model_copy(update={"sizes_at_test": sizes})
            found.append(ask(model, x))
        np.testing.assert_allclose((found[0] + found[1]) / 2, found[2], atol=1e-5)
        model.members[0].settings = model.settings.model_copy(update={"height": 48})
        model.settings = model.settings.model_copy(update={"sizes_at_test": [1.0]})
        np.testing.assert_allclose(ask(model, x), found[1], atol=1e-6)

    def test_answers_are_the_mean_over_members_and_blocks_change_nothing(self, monkeypatch):
        x, y, *valid = splits()
        model = small(seeds=[0, 1]).fit(x, y, *valid, NAMES)
        with torch.inference_mode():
            wanted = sum(net(model.scale(torch.from_numpy(x))) for net in model.members) / 2
        assert np.allclose(ask(model, x), wanted, atol=1e-5)
        monkeypatch.setattr(trainer, "PIXELS", 3 * 48 * 64)
        assert [len(block) for block in model.answers(x)] == [3, 3, 2]
        assert np.allclose(ask(model, x), wanted, atol=1e-5)

    def test_two_classes_are_two(self):
        x, y = streets(classes=2)
        assert ask(small(epochs=1).fit(x, y, x, y, NAMES[:2]), x).shape == (8, 2, 48, 64)

    def test_what_does_not_fit_is_refused(self):
        x, y, x_valid, y_valid = splits()
        few, strange = (
            np.where(which, value, y).astype(np.uint8) for which, value in ((y != 2, IGNORED), (x[..., 0] % 9 == 0, 9))
        )
        for arrays, said in (
            ((x, few, x_valid, y_valid), "training pixels are of fewer than two of road, car, sky"),
            ((x, np.full_like(y, IGNORED), x_valid, y_valid), "training pixels are of fewer than two of road, "),
            ((x, strange, x_valid, y_valid), r"masks hold \[9\], expected 0 to 2 or 255"),
            ((x, y[:, :40], x_valid, y_valid), r"got train frames \(8, 48, 64, 3\) and masks \(8, 40, 64\)"),
            ((x, y[:5], x_valid, y_valid), r"got train frames \(8, 48, 64, 3\) and masks \(5, 48, 64\)"),
            ((x, y, x_valid[:, :32], y_valid[:, :32]), r"got valid frames \(4, 32, 64, 3\)"),
            ((x, y, x_valid[:0], y_valid[:0]), r"got valid frames \(0, 48, 64, 3\)"),
            ((x, y.astype(np.int64), x_valid, y_valid), "takes frames .* uint8"),
            ((x / 255, y, x_valid, y_valid), "takes frames .* uint8"),
        ):
            with pytest.raises(InputError, match=f"params.yaml: train.tiny: {said}"):
                tiny().fit(*arrays, NAMES)


class Stop(BaseException):
    """What a test stops a training with."""


def broken_after(original):
    """Return what keeps a checkpoint, and then stops."""

    def keep(*given):
        original(*given)
        raise Stop

    return keep


def test_strange_numbers_among_valid_masks_are_refused_too():
    x, y, x_valid, y_valid = splits()
    with pytest.raises(InputError, match=r"masks hold \[9\]"):
        small().fit(x, y, x_valid, np.where(y_valid == 1, 9, y_valid).astype(np.uint8), NAMES)
