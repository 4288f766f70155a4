"""Backbones: state dicts of strangers, weights drawn, read and downloaded, and features that no batch changes."""

import hashlib
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from torch import nn

from stages import embed, weights
from whence import embedding
from whence.base import settings
from whence.base.errors import InputError
from whence.estimators.network import backbones
from whence.estimators.network.data import Scale

SMALL = "resnet18"
WIDTHS = {"resnet18": 512, "resnet50": 2048, "vgg16": 512, "mobilenet_v2": 1280}
WIDTHS |= {"tf_efficientnet_lite0": 1280, "tf_efficientnet_lite2": 1280}
BLOCKS = {"resnet18": 5, "resnet50": 5, "vgg16": 5, "mobilenet_v2": 19}
BLOCKS |= {"tf_efficientnet_lite0": 18, "tf_efficientnet_lite2": 23}
SECTION = {"source": "random", "file": "mine", "sha256": None, "trained_on": "imagenet", "seed": 0}


# What efficientnet_lite_pytorch calls the layers of lite0: written out from its state dict, by hand.
LITE = {"conv_stem": "_conv_stem", "bn1": "_bn0", "conv_head": "_conv_head", "bn2": "_bn1", "classifier": "_fc"}
LITE |= {"blocks.0.0.conv_dw": "_blocks.0._depthwise_conv", "blocks.0.0.bn1": "_blocks.0._bn1"}
LITE |= {"blocks.0.0.conv_pw": "_blocks.0._project_conv", "blocks.0.0.bn2": "_blocks.0._bn2"}
EXPANDED = {"conv_pw": "_expand_conv", "bn1": "_bn0", "conv_dw": "_depthwise_conv", "bn2": "_bn1"}
EXPANDED |= {"conv_pwl": "_project_conv", "bn3": "_bn2"}
STAGES = ["1.0", "1.1", "2.0", "2.1", "3.0", "3.1", "3.2", "4.0", "4.1", "4.2", "5.0", "5.1", "5.2", "5.3", "6.0"]
for number, place in enumerate(STAGES, 1):
    LITE |= {f"blocks.{place}.{new}": f"_blocks.{number}.{old}" for new, old in EXPANDED.items()}


@pytest.fixture(scope="module")
def state():
    """What torch.save is given for torchvision's smallest, in the published keys and shapes."""
    torch.manual_seed(3)
    return backbones.network(SMALL).state_dict()


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WHENCE_DEVICE", "cpu")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield tmp_path
    torch.set_num_threads(threads)


def params(**section):
    Path("params.yaml").write_text(yaml.safe_dump({"weights": {SMALL: SECTION | section}}))


def file(state, name="mine"):
    torch.save(state, name)
    return Path(name)


def refused(state):
    with pytest.raises(InputError) as caught:
        backbones.read(file(state), SMALL)
    return str(caught.value)


@pytest.mark.parametrize("name", WIDTHS)
class TestEveryBackbone:
    def test_a_trunk_gives_pooled_activations_at_every_size(self, name):
        with torch.device("meta"):
            net = backbones.trunk(name).eval()
            for pixels in (32, 64, 96, 224):
                assert net(torch.zeros(2, 3, pixels, pixels)).shape == (2, WIDTHS[name])
        assert backbones.WIDTH[name] == WIDTHS[name]

    def test_its_blocks_one_after_another_are_the_trunk(self, name):
        net, x = backbones.trunk(name).eval(), torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
        blocks = backbones.blocks(name, net)
        assert len(blocks) == BLOCKS[name]
        with torch.inference_mode():
            torch.testing.assert_close(blocks(x).mean((2, 3)), net(x))
        assert {id(p) for p in blocks.parameters()} == {id(p) for p in net.parameters()}

    def test_its_part_of_the_published_state_dict_is_its_own(self, name):
        with torch.device("meta"):
            whole, trunk = backbones.network(name).state_dict(), backbones.trunk(name).state_dict()
        assert trunk.keys() < whole.keys()
        assert all(part.partition(".")[0] in backbones.HEADS for part in whole.keys() - trunk.keys())

    def test_what_is_published(self, name):
        url, digits = backbones.published(name)
        timm = name.startswith("tf_")
        releases = "https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-weights"
        assert url.startswith(f"{releases if timm else 'https://download.pytorch.org/models'}/{name}-")
        assert len(digits) == 8
        assert int(digits, 16)
        mean, std = backbones.normalisation(name)
        assert mean == pytest.approx([127.5] * 3 if timm else [123.675, 116.28, 103.53])
        assert std == pytest.approx([127.5] * 3 if timm else [58.395, 57.12, 57.375])


class TestStrangersFiles:
    def test_the_trunk_is_read_and_the_head_is_left(self, state):
        read = backbones.read(file(state), SMALL)
        assert set(state) - set(read) == {"fc.weight", "fc.bias"}
        assert all(torch.equal(read[name], state[name]) for name in read)

    def test_missing_and_unknown_and_misshapen_parts_are_named(self, state):
        assert refused({k: v for k, v in state.items() if k != "fc.bias"}).endswith("resnet18: fc.bias is missing")
        assert refused(state | {"stranger": torch.zeros(1)}).endswith("resnet18: stranger is unknown")
        message = refused(state | {"conv1.weight": torch.zeros(64, 3, 3, 3)})
        assert message.endswith("conv1.weight is (64, 3, 3, 3), expected (64, 3, 7, 7)")

    def test_another_architecture_is_told_in_a_few_lines(self, state):
        message = refused(backbones.network("mobilenet_v2").state_dict())
        assert message.startswith("mine: is not a torchvision resnet18: conv1.weight is missing; ")
        assert message.endswith(" more")
        assert len(message) < 300

    def test_weights_of_efficientnet_lite_are_known_by_two_sets_of_names(self):
        name = "tf_efficientnet_lite0"
        state = backbones.network(name).state_dict()
        layers = {part: part.rpartition(".") for part in state}
        theirs = {f"{LITE[layer]}.{leaf}": state[part] for part, (layer, _, leaf) in layers.items()}
        assert not theirs.keys() & state.keys()
        read = backbones.read(file(theirs), name)
        assert read.keys() == state.keys() - {"classifier.weight", "classifier.bias"}
        assert all(torch.equal(read[part], state[part]) for part in read)
        del theirs["_blocks.15._bn2.bias"]
        with pytest.raises(
            InputError, match=r"^mine: is not a timm tf_efficientnet_lite0: blocks\.6\.0\.bn3\.bias is missing"
        ):
            backbones.read(file(theirs), name)

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_numbers_that_are_none(self, state, value):
        wrong = state["conv1.weight"].clone()
        wrong[0, 0, 0, 0] = value
        assert refused(state | {"conv1.weight": wrong}).endswith("conv1.weight holds what is no finite number")

    @pytest.mark.parametrize("content", [[1, 2], {"conv1.weight": 3}, torch.zeros(3)])
    def test_what_is_no_state_dict(self, content):
        assert "holds no state dict" in refused(content)

    def test_nothing_is_executed(self, here):
        class Evil:
            def __reduce__(self):
                return Path.touch, (here / "executed",)

        torch.save({"conv1.weight": Evil()}, "evil")
        Path("plain").write_bytes(pickle.dumps(Evil()))
        for name in ("evil", "plain"):
            with pytest.raises(InputError, match=f"^{name}: not a readable state dict"):
                backbones.read(Path(name), SMALL)
        assert not (here / "executed").exists()

    @pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04"])
    def test_what_is_no_file_of_pytorch(self, content):
        Path("mine").write_bytes(content)
        with pytest.raises(InputError, match=r"^mine: not a readable state dict"):
            backbones.read(Path("mine"), SMALL)


class TestWeightsStage:
    def test_random_weights_are_a_seeds_and_do_not_let_images_fade(self, here):
        for seed, name in ((0, "one"), (0, "same"), (1, "other")):
            params(seed=seed)
            before = torch.random.get_rng_state()
            weights.main(SMALL, Path("mine"), here / name)
            assert torch.equal(torch.random.get_rng_state(), before)
        one, same, other = ((here / name).read_bytes() for name in ("one", "same", "other"))
        assert one == same != other
        net = backbones.load(here / "one", SMALL, ["imagenet"]).eval()
        with torch.inference_mode():
            seen = net(torch.randn(32, 3, 64, 64))
        assert 0.05 < seen.std(0).mean() < 20

    def test_a_local_file(self, here, state):
        path = file(state)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        for sha256 in (None, digest):
            params(source="local", sha256=sha256)
            weights.main(SMALL, path, here / "out")
        net = backbones.load(here / "out", SMALL, ["cifar10"])
        assert all(torch.equal(part, state[name]) for name, part in net.state_dict().items())

    def test_a_wrong_hash_is_told(self, here, state):
        path, wrong = file(state), "0" * 64
        params(source="local", sha256=wrong)
        with pytest.raises(InputError, match=f"^mine: has the SHA-256 [0-9a-f]{{64}}, but weights.{SMALL}.sha256 says"):
            weights.main(SMALL, path, here / "out")
        assert not (here / "out").exists()

    def test_no_file_is_told_with_the_way_out(self, here):
        params(source="local")
        with pytest.raises(InputError, match=f"-S weights.{SMALL}.source=local -S weights.{SMALL}.file=PATH$"):
            weights.main(SMALL, Path("mine"), here / "out")

    def test_the_published_file_is_checked_and_read(self, here, state, monkeypatch):
        path = file(state)
        digits = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
        asked = []

        def download(url, target, checksum, setting):
            asked.append((url, checksum, setting))
            target.write_bytes(path.read_bytes())

        monkeypatch.setattr("whence.download.download", download)
        monkeypatch.setattr(backbones, "published", lambda name: ("https://example.org/x", digits))
        params(source="published")
        weights.main(SMALL, Path("mine"), here / "out")
        assert asked == [("https://example.org/x", f"sha256:{digits}", f"weights.{SMALL}.file")]
        assert backbones.load(here / "out", SMALL, []).conv1.weight.equal(state["conv1.weight"])

    def test_an_unknown_backbone_is_refused(self, here):
        with pytest.raises(InputError, match=r"^weights.alexnet: unknown backbone; expected one of resnet18, "):
            weights.main("alexnet", Path("mine"), here / "out")


class TestWritten:
    @pytest.fixture
    def written(self, here, state):
        backbones.write(here / "w", SMALL, backbones.read(file(state), SMALL), "cifar10")
        return here / "w"

    def test_weights_that_saw_the_test_images_are_refused(self, written):
        with pytest.raises(InputError, match=r"was trained on cifar10, which holds test images .*take other weights$"):
            backbones.load(written, SMALL, ["cifar10"])

    def test_those_of_another_backbone_are_refused(self, written):
        with pytest.raises(InputError, match="expected the weights of 'resnet50'; run dvc repro"):
            backbones.load(written, "resnet50", [])

    @pytest.mark.parametrize("content", [b"", b"{}", b"\x08\0\0\0\0\0\0\0{}      "])
    def test_what_is_no_such_file_is_refused(self, here, content):
        (here / "w").write_bytes(content)
        with pytest.raises(InputError, match=r"run dvc repro to make it again$"):
            backbones.load(here / "w", SMALL, [])

    def test_a_part_that_is_missing_is_told(self, here, state):
        kept = backbones.read(file(state), SMALL)
        backbones.write(here / "w", SMALL, {k: v for k, v in kept.items() if k != "conv1.weight"}, "imagenet")
        with pytest.raises(InputError, match=r"conv1.weight"):
            backbones.load(here / "w", SMALL, [])


class TestResized:
    def test_the_same_size_is_the_same_image(self):
        x = torch.randn(2, 3, 64, 64)
        assert backbones.resized(x, 64) is x

    @pytest.mark.parametrize("pixels", [32, 96])
    def test_a_plain_surface_stays_plain(self, pixels):
        x = backbones.resized(torch.full((1, 3, 64, 64), 0.25), pixels)
        assert x.shape == (1, 3, pixels, pixels)
        torch.testing.assert_close(x, torch.full_like(x, 0.25))

    def test_a_chequerboard_made_smaller_is_grey(self):
        board = (torch.arange(64)[:, None] + torch.arange(64)) % 2 * 1.0
        small = backbones.resized(board.expand(1, 3, 64, 64), 32)
        assert (small[..., 1:-1, 1:-1] - 0.5).abs().max() < 0.05


class TestEmbed:
    @pytest.fixture
    def net(self):
        net = backbones.trunk(SMALL)
        net.load_state_dict(backbones.drawn(SMALL, 0))
        return net

    def features(self, net, images):
        scale = Scale(*backbones.normalisation(SMALL))
        return np.concatenate(list(embedding.Embedding(net, scale, 32)(images)))

    def images(self, count):
        return np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), np.uint8)

    def test_batches_change_no_bit(self, net, monkeypatch):
        monkeypatch.setattr(backbones, "CACHED", 8 * 32**2)
        x = self.images(19)
        whole = self.features(net, x)
        assert whole.shape == (19, 512)
        assert whole.dtype == np.float32
        for start, stop in ((0, 1), (5, 19), (18, 19)):
            assert self.features(net, x[start:stop]).tobytes() == whole[start:stop].tobytes()

    def test_they_are_those_of_the_network_as_it_is(self, net, monkeypatch):
        """Folding the normalisation into the convolutions, and bf16, change little."""
        monkeypatch.setattr(backbones, "CACHED", 8 * 32**2)
        x = self.images(8)
        found = self.features(net, x)
        with torch.inference_mode():
            wanted = net.eval()(Scale(*backbones.normalisation(SMALL))(torch.from_numpy(x))).numpy()
        assert np.corrcoef(found.ravel(), wanted.ravel())[0, 1] > 0.998
        monkeypatch.setattr(embedding, "bf16", lambda _: False)
        np.testing.assert_allclose(self.features(net, x), wanted, rtol=0, atol=1e-4)

    def test_of_pixels_they_are_the_same(self, net):
        x = self.images(5)
        trunk = embedding.Embedding(net, Scale(*backbones.normalisation(SMALL)), 64)
        with torch.inference_mode():
            found = trunk.of_pixels(torch.from_numpy(x).permute(0, 3, 1, 2).float() / 255).numpy()
        wanted = np.concatenate(list(trunk(x)))
        assert np.corrcoef(found.ravel(), wanted.ravel())[0, 1] > 0.998  # of bf16, where the processor has it

    def test_the_stage(self, here, net):
        np.save(here / "x.npy", self.images(3))
        backbones.write(here / "w", SMALL, net.state_dict(), "nothing")
        content = {"embed": {"pixels": 32}, "leaks": {"cinic10": ["cifar10"]}}
        Path("params.yaml").write_text(json.dumps(content))
        embed.main("cinic10", SMALL, here / "x.npy", here / "w", here / "out.npy")
        assert np.load(here / "out.npy").shape == (3, 512)
        backbones.write(here / "w", SMALL, net.state_dict(), "cifar10")
        with pytest.raises(InputError, match="take other weights"):
            embed.main("cinic10", SMALL, here / "x.npy", here / "w", here / "other.npy")
        assert not (here / "other.npy").exists()

    def test_the_settings_of_params_yaml_fit(self):
        root = Path(__file__).resolve().parent.parent / "params.yaml"
        assert settings.load("embed", embedding.Settings, root).pixels >= 32


@pytest.mark.parametrize("name", [name for name in WIDTHS if name != "resnet50"])
def test_folded_into_convolutions_normalisation_gives_what_it_gave(name):
    net = backbones.trunk(name)
    net.load_state_dict(backbones.drawn(name, 0))
    before = {part: value.clone() for part, value in net.state_dict().items()}
    short, x = backbones.folded(net), torch.randn(2, 3, 64, 64)
    assert not [part for part in short.modules() if isinstance(part, nn.BatchNorm2d)]
    with torch.inference_mode():
        torch.testing.assert_close(short(x), net.eval()(x), rtol=1e-3, atol=1e-3)
    assert all(torch.equal(part, before[name]) for name, part in net.state_dict().items()), "itself stays as it was"


def test_a_trunk_has_no_classifier_left():
    for name in WIDTHS:
        with torch.device("meta"):
            net = backbones.trunk(name)
        assert not [part for part in net.modules() if isinstance(part, nn.Linear)]
