"""Networks: the parameter counts, of which others' were published, and one contract for every module with a `build`."""

import importlib
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from whence.base import settings
from whence.base.errors import InputError
from whence.classifiers import dense_grey, head
from whence.estimators.network import estimator
from whence.estimators.network.augment import GREY

ROOT = Path(__file__).resolve().parent.parent
TRAIN = settings.value("train", ROOT / "params.yaml")
MODULES = {
    path.stem: importlib.import_module(f"whence.classifiers.{path.stem}")
    for path in sorted((ROOT / "whence" / "classifiers").glob("*.py"))
}
NETWORKS = {name: module for name, module in MODULES.items() if hasattr(module, "build") and name != "head"}
"""Those that look at images; the one that learns from features is tested at the end."""
DROPOUT = [name for name, module in NETWORKS.items() if "dropout" in module.Settings.model_fields]

COUNTS = [
    ("mlp", 32, 1, 819_713),
    ("deep_mlp", 32, 1, 1_708_033),
    ("minimal_cnn", 32, 1, 507),
    ("simple_cnn", 32, 1, 166_977),
    ("tuned_cnn", 32, 1, 200_137),
    ("resnet18", 32, 1, 11_178_945),
    ("dense", 32, 10, 394_634),
    ("dense_grey", 32, 10, 132_490),
    ("lenet", 32, 10, 451_964),
    ("three_block_cnn", 32, 10, 621_258),
    ("four_block_cnn", 32, 10, 458_698),
    ("wildlife_cnn", 128, 10, 175_178),
    ("small", 32, 1, 294_817),
    ("best", 32, 1, 7_411_873),
    ("transfer", 32, 10, 2_270_794),
]
SMALLEST = {
    "minimal_cnn": 4,
    "simple_cnn": 10,
    "tuned_cnn": 10,
    "lenet": 4,
    "three_block_cnn": 8,
    "four_block_cnn": 16,
    "wildlife_cnn": 16,
}
"""Pixels on a side that a network needs, where it needs more than one."""


@pytest.fixture(autouse=True)
def quiet_cpu(monkeypatch, tmp_path):
    """One thread and no GPU: what else runs on the machine is not held up, and results do not depend on it."""
    monkeypatch.setenv("WHENCE_DEVICE", "cpu")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def section(name, **changes):
    """The settings of a network as they stand in params.yaml, some of them changed."""
    return settings.check(TRAIN[name] | changes, NETWORKS[name].Settings, name)


def network(name, shape=(32, 32, 3), outputs=1, device="cpu", seed=0, **changes):
    torch.manual_seed(seed)
    with torch.device(device):
        return NETWORKS[name].build(shape, outputs, section(name, **changes))


def images(count=4, height=32, width=32, seed=0, device="cpu"):
    """Noise as a network gets it: normalised, channels first, (count, 3, height, width)."""
    if device == "meta":
        return torch.zeros(count, 3, height, width, device=device)
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("name", "side", "outputs", "count"), COUNTS)
def test_the_count_is_the_published_one_and_stands_in_the_docstring(name, side, outputs, count):
    net = network(name, (side, side, 3), outputs, "meta")
    assert estimator.parameters(net) == count
    assert re.search(rf"(?<![\d,]){count:,}(?![\d,]*\d)", NETWORKS[name].__doc__)


def test_resnet18_without_running_statistics():
    net = network("resnet18", device="meta")
    assert sum(weight.numel() for weight in net.parameters()) == 11_169_345
    assert "11,169,345 " in NETWORKS["resnet18"].__doc__


def test_a_deeper_best_goes_past_its_last_convolutions():
    """With these silent, a block of three gives what its first convolution does."""
    fast = {"device": "meta", "widths": [64, 256, 256]}
    assert estimator.parameters(network("best", depth=3, **fast)) == 3_191_585
    assert estimator.parameters(network("best", depth=2, **fast)) == 1_972_769
    assert "1,972,769 " in NETWORKS["best"].__doc__
    block = network("best", depth=3).eval().blocks[0]
    x = images(2).repeat(1, 8, 1, 1)
    for part in block.correct:
        for weight in part.parameters():
            nn.init.zeros_(weight)
    torch.testing.assert_close(block(x), nn.functional.silu(block.narrow(x)))


@pytest.mark.parametrize("name", NETWORKS)
class TestEveryNetwork:
    def test_the_settings_of_params_yaml_fit(self, name):
        assert settings.load(f"train.{name}", NETWORKS[name].Settings, ROOT / "params.yaml")

    def test_settings_name_their_section(self, name):
        assert NETWORKS[name].Settings.__doc__ == f"Section train.{name}."

    @pytest.mark.parametrize("outputs", [1, 2, 10])
    def test_an_image_gives_as_many_outputs_as_asked(self, name, outputs):
        for height, width in ((32, 32), (64, 64), (32, 50), (50, 32), (128, 128)):
            net = network(name, (height, width, 3), outputs, "meta")
            assert net.eval()(images(3, height, width, device="meta")).shape == (3, outputs)

    def test_looking_twice_gives_the_same_answer_and_neighbours_do_not_change_it(self, name):
        net, x = network(name, outputs=3).eval(), images()
        state = {key: part.clone() for key, part in net.state_dict().items()}
        with torch.inference_mode():
            answer = net(x)
            assert answer.isfinite().all()
            assert torch.equal(net(x), answer)
            torch.testing.assert_close(net(x[1:3]), answer[1:3])
            torch.testing.assert_close(net(x.to(memory_format=torch.channels_last)), answer)
        assert all(torch.equal(part, state[key]) for key, part in net.state_dict().items())

    def test_a_seed_makes_the_weights(self, name):
        one, same, other = (network(name, seed=seed).state_dict() for seed in (1, 1, 2))
        assert all(torch.equal(one[key], same[key]) for key in one)
        assert not all(torch.equal(one[key], other[key]) for key in one)

    def test_every_weight_learns(self, name):
        net = network(name, outputs=3)
        if hasattr(net, "begin_epoch"):
            net.begin_epoch(99)  # a transfer's first epochs are over
        net.train()(images()).square().sum().backward()
        learning = [weight for weight in net.parameters() if weight.requires_grad]
        assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in learning)


def untrained(*arguments):
    pytest.fail("training began")


@pytest.mark.parametrize(("name", "smallest"), SMALLEST.items())
class TestSmallImages:
    def test_the_smallest_goes_through(self, name, smallest):
        net = network(name, (smallest, smallest, 3), 1, "meta")
        assert net.eval()(images(2, smallest, smallest, device="meta")).shape == (2, 1)

    @pytest.mark.filterwarnings("error")  # such as PyTorch's, of weights without elements
    def test_a_smaller_one_is_refused_before_training(self, name, smallest, monkeypatch):
        monkeypatch.setattr(estimator.trainer, "train", untrained)
        less, y = smallest - 1, np.array(["a", "b"])
        for height, width in ((2, 2), (less, less), (less, 32), (32, less), (1, 64)):
            x = np.zeros((2, height, width, 3), np.uint8)
            with pytest.raises(InputError) as caught:
                estimator.Estimator(NETWORKS[name], section(name)).fit(x, y, x, y)
            assert str(caught.value) == (
                f"params.yaml: train.{name}: does not fit images of {height}×{width}×3: "
                f"expected {smallest} pixels or more on each side"
            )


@pytest.mark.parametrize("name", ["mlp", "deep_mlp", "dense", "dense_grey", "resnet18"])
def test_these_take_a_single_pixel(name):
    assert network(name, (1, 1, 3), 1, "meta").eval()(images(2, 1, 1, device="meta")).shape == (2, 1)


def test_a_single_pixel_cannot_be_shifted(monkeypatch):
    monkeypatch.setattr(estimator.trainer, "train", untrained)
    x, y = np.zeros((2, 1, 1, 3), np.uint8), np.array(["a", "b"])
    with pytest.raises(InputError, match="does not fit images of 1×1×3: views_at_test: 6 of them need sides of two"):
        estimator.Estimator(NETWORKS["mlp"], section("mlp", views_at_test=6)).fit(x, y, x, y)


class TestDense:
    def test_grey_sees_no_change_of_colour_at_equal_luma(self):
        x = images()
        red, green, blue = GREY
        move = torch.randn(4, 2, 32, 32, generator=torch.Generator().manual_seed(1))
        recoloured = x + torch.stack([move[:, 0], move[:, 1], -(red * move[:, 0] + green * move[:, 1]) / blue], dim=1)
        grey, colour = (network(name).eval() for name in ("dense_grey", "dense"))
        torch.testing.assert_close(grey(recoloured), grey(x), rtol=0, atol=1e-5)
        assert (colour(recoloured) - colour(x)).abs().min() > 1e-3

    def test_grey_sees_the_luma(self):
        x = images()
        luma = sum(weight * x[:, channel] for channel, weight in enumerate(GREY))
        torch.testing.assert_close(dense_grey.Luma()(x), luma)
        # A grey image is its own luma: the weights sum to 1.
        torch.testing.assert_close(dense_grey.Luma()(x[:, :1].expand(-1, 3, -1, -1)), x[:, 0])


@pytest.mark.parametrize("name", DROPOUT)
class TestDropout:
    def test_it_is_drawn_anew_while_learning_and_off_afterwards(self, name):
        x = images()
        net = network(name, outputs=3, dropout=0.5).train()
        assert not torch.equal(net(x), net(x))
        without = network(name, outputs=3, dropout=0.0).train()
        assert torch.equal(without(x), without(x))
        # Same seed, same weights, and no running statistics: the setting does not matter any more.
        one, other = (network(name, outputs=3, dropout=share).eval() for share in (0.5, 0.0))
        assert torch.equal(one(x), other(x))

    def test_the_setting_is_the_share(self, name):
        found = [
            part.p for part in network(name, device="meta", dropout=0.37).modules() if isinstance(part, nn.Dropout)
        ]
        assert found
        assert set(found) == {0.37}

    @pytest.mark.parametrize("wrong", [-0.1, 1.0, "0.5", None])
    def test_what_is_no_share_is_refused(self, name, wrong):
        with pytest.raises(InputError, match=rf"^{name}\.dropout: got "):
            section(name, dropout=wrong)


def test_networks_were_found():
    assert {name for name, *_ in COUNTS} == NETWORKS.keys()
    assert DROPOUT


class TestHead:
    """What learns from the features of a backbone."""

    def build(self, shape, **changes):
        wanted = settings.check(TRAIN["head"] | changes, head.Settings, "head")
        torch.manual_seed(0)
        return head.build(shape, 1, wanted)

    def test_the_count_is_that_of_the_docstring(self):
        net = self.build((2048,))
        assert estimator.parameters(net) == 549_249
        assert "549,249 " in head.__doc__
        assert net(torch.randn(3, 2048)).shape == (3, 1)

    def test_units_of_the_features_do_not_matter(self):
        net, x = self.build((40,), dropout=0.0).train(), torch.randn(64, 40, generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(net(x * 50 + 7), net(x), rtol=0, atol=1e-3)

    def test_dropout_is_the_setting(self):
        assert [p.p for p in self.build((40,), dropout=0.37).modules() if isinstance(p, nn.Dropout)] == [0.37]

    def refused(self, x, **changes):
        wanted = settings.check(TRAIN["head"] | changes, head.Settings, "head")
        y = np.array(["a", "b"] * 4)
        with pytest.raises(InputError) as caught:
            estimator.Estimator(head, wanted).fit(x, y, x, y)
        return str(caught.value)

    def test_images_are_refused(self):
        message = self.refused(np.zeros((8, 32, 32, 3), np.uint8))
        assert message.startswith("params.yaml: train.head: does not fit images of 32×32×3: ")

    @pytest.mark.parametrize("changes", [{"views_at_test": 2}, {"augment": TRAIN["head"]["augment"] | {"flip": True}}])
    def test_features_are_not_augmented(self, changes):
        message = self.refused(np.zeros((8, 40), np.float32), **changes)
        assert message.startswith("params.yaml: train.head: does not fit features of 40: augment is for images alone, ")

    def test_features_for_a_network_of_images_are_refused(self):
        x, y = np.zeros((8, 40), np.float32), np.array(["a", "b"] * 4)
        with pytest.raises(InputError, match=r"^params.yaml: train.lenet: does not fit features of 40: "):
            estimator.Estimator(NETWORKS["lenet"], section("lenet")).fit(x, y, x, y)


def test_the_searched_network_has_the_size_of_its_settings():
    """A 5×5 network of 8 and 16 filters and 32 units, counted by hand: what is left of 32 pixels is 5×5."""
    net = network("tuned_cnn", device="meta", first_filters=8, second_filters=16, kernel=5, dense=32)
    by_hand = (3 * 25 * 8 + 8) + (8 * 25 * 16 + 16) + (16 * 5 * 5 * 32 + 32) + (32 + 1)
    assert estimator.parameters(net) == by_hand
    with pytest.raises(ValueError, match="expected 16 pixels or more"):
        network("tuned_cnn", (15, 15, 3), device="meta", kernel=5)
