"""A network that ImageNet has taught, and a new top: first the top alone learns, then the upper blocks with it.

The images, brought to a size, go through a trunk of torchvision or timm (`backbones`); its activations are averaged
over the image, then dropout, Linear to `dense` and ReLU if it asks for them, and Linear to the outputs. As the CIFAR-10
study does it with MobileNetV2 (raissa-franco), and the CIFAKE class study with VGG16 and Dense 128 (MinaAlmasi); with
all blocks unfrozen it is full fine-tuning. With ten outputs, no `dense`: 2,270,794 parameters for mobilenet_v2,
11,191,242 for resnet18; with 128 of them 14,781,642 for vgg16.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from whence.estimators.network import backbones, convolutions, recipe
from whence.estimators.network.data import Scale

COLOURS = 3
"""Channels of an image, by which it is told from what is remembered of one."""
OF_MAPS = ("shift", "cutout")
"""How what is remembered of an image can be augmented as an image can."""


class Settings(recipe.Settings):
    """Section train.transfer."""

    backbone: backbones.Name
    pixels: int = Field(ge=32, le=512)
    """Side that the images are brought to first."""
    dense: int | None = Field(ge=1)
    """Units of a layer between the trunk and the last one; null for none."""
    dropout: float = Field(ge=0, lt=1)
    """Share of the trunk's answers that is set to 0 while learning."""
    frozen_epochs: int = Field(ge=0)
    """First epochs, in which the new top learns alone."""
    unfrozen: int = Field(ge=0)
    """Upper blocks of the trunk that learn after these.

    resnet18, resnet50 and vgg16 have 5, tf_efficientnet_lite0 has 18, mobilenet_v2 19, tf_efficientnet_lite2 23.
    """
    share: float = Field(gt=0, le=1)
    """Their learning rate, as a share of the top's."""
    frozen_norm: bool
    """Whether normalisation keeps the statistics and factors that ImageNet gave it."""
    frozen_depthwise: bool
    """Whether depthwise convolutions keep their weights, which are few, and slow to learn."""
    remembered: bool
    """Whether the blocks that never learn look at every image once, before the first epoch, and not in each of them.

    What they say is kept in memory as float16. Of augment there are shift and cutout, of its places instead of pixels.
    """

    @model_validator(mode="after")
    def _keeps_what_was_learnt(self) -> Self:
        if self.optimizer == "muon":
            raise ValueError("optimizer: muon gives weights a length of its own, and what they had learnt is lost")
        return self

    @model_validator(mode="after")
    def _remembers_what_stays(self) -> Self:
        changed = [name for name, much in self.augment.model_dump().items() if much and name not in OF_MAPS]
        changed += ["adversary"] if self.attacker() else []
        if self.remembered and changed:
            raise ValueError(f"remembered: images are looked at once; make {', '.join(changed)} false or 0 as well")
        if self.remembered and self.window is not None:
            raise ValueError("remembered: what is said of the images is kept in memory; make window null as well")
        return self


class Transfer(nn.Module):
    """(B, 3, H, W), scaled as the published weights expect it, or what `remember` gives of it → (B, outputs)."""

    def __init__(self, settings: Settings, outputs: int) -> None:
        super().__init__()
        self.settings, self.epoch = settings, 0
        self.trunk = backbones.blocks(settings.backbone, backbones.trunk(settings.backbone))
        if settings.unfrozen > len(self.trunk):
            found = f"{settings.backbone} has {len(self.trunk)} blocks"
            raise ValueError(f"unfrozen: got {settings.unfrozen}, but {found}")
        self.kept = len(self.trunk) - settings.unfrozen
        if settings.remembered and not self.kept:
            raise ValueError("remembered: no block of the trunk stays as it is; make it false, or unfrozen smaller")
        self.trunk[: self.kept].requires_grad_(False)
        convolutions.quicken(self.trunk)
        for part in self.trunk.modules():
            depthwise = isinstance(part, nn.Conv2d) and part.groups == part.in_channels > 1
            if (settings.frozen_depthwise and depthwise) or self._stays(part):
                part.requires_grad_(False)
        width = backbones.WIDTH[settings.backbone]
        middle = [nn.Linear(width, settings.dense), nn.ReLU()] if settings.dense else []
        self.top = nn.Sequential(nn.Dropout(settings.dropout), *middle, nn.Linear(settings.dense or width, outputs))

    def begin(self, trunk: nn.Module) -> None:
        """Take over the weights of a trunk, before training."""
        self.trunk.load_state_dict(backbones.blocks(self.settings.backbone, trunk).state_dict())

    def begin_epoch(self, epoch: int) -> bool:
        """Say which epoch is to come, the first being 0; return whether other parts learn in it than before."""
        first, self.epoch = self.settings.frozen_epochs, epoch
        return epoch == first > 0

    def shares(self) -> list[tuple[float, list[nn.Parameter]]]:
        """Return the parameters by the share of the learning rate that they take."""
        return [(self.settings.share, list(self.trunk.parameters())), (1.0, list(self.top.parameters()))]

    def train(self, mode: bool = True) -> Self:
        """Learn or not; what is frozen stays as in use, running statistics too."""
        super().train(mode)
        self.trunk[: self.kept].eval()
        if self._warming():
            self.trunk.eval()
        for part in self.trunk.modules():
            if self._stays(part):
                part.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, outputs)."""
        if x.shape[1] != COLOURS:
            return self._upper(x)
        parts = backbones.shown(x, self.settings.pixels)
        if not torch.is_grad_enabled():
            return torch.cat([self._upper(self._lower(part)) for part in parts])
        return self._upper(torch.cat([self._lower(part) for part in parts]))

    def remember(self, blocks: Iterable[Tensor]) -> Tensor:
        """Return what the blocks that never learn say of images, (N, C, h, w) float16.

        The images come scaled, (B, 3, H, W), by the block.
        """
        lower = backbones.folded(self.trunk[: self.kept])
        with torch.no_grad():
            said = [lower(part).half() for x in blocks for part in backbones.shown(x, self.settings.pixels)]
        return torch.cat(said)

    def _lower(self, x: Tensor) -> Tensor:
        said: Tensor = self.trunk[: self.kept](x)
        if self.settings.remembered and self.settings.augment.shift >= min(said.shape[2:]):
            places = "×".join(map(str, said.shape[2:]))
            raise ValueError(f"augment.shift: got {self.settings.augment.shift}, but {places} places are remembered")
        return said

    def _upper(self, x: Tensor) -> Tensor:
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self._warming()):
            x = self.trunk[self.kept :](x).mean((2, 3))
        logits: Tensor = self.top(x)
        return logits

    def _stays(self, part: nn.Module) -> bool:
        return self.settings.frozen_norm and isinstance(part, nn.BatchNorm2d)

    def _warming(self) -> bool:
        return self.training and self.epoch < self.settings.frozen_epochs


def begin(weights: Path, settings: Settings, tested: list[str]) -> nn.Module:
    """Return the trunk to begin with; raises InputError if it is another, or learnt from images of a tested dataset."""
    return backbones.load(weights, settings.backbone, backbones.leaks(tested))


def in_use(nets: Sequence[Transfer]) -> Callable[[Tensor], Tensor]:
    """Return what answers for all of the networks, one after the other, quicker: (B, 3, H, W) → (M·B, outputs).

    Normalisation becomes a part of the convolutions, and lower blocks that are the same in all of them are asked once.
    """
    pixels, kept = nets[0].settings.pixels, nets[0].kept
    if not all(_same(net.trunk[:kept], nets[0].trunk[:kept]) for net in nets[1:]):
        kept = 0
    lower = backbones.folded(nets[0].trunk[:kept])
    uppers = [(backbones.folded(net.trunk[kept:]), net.top.eval()) for net in nets]

    def answer(x: Tensor) -> Tensor:
        found = []
        for part in backbones.shown(x, pixels):
            said = lower(part)
            found.append(torch.stack([top(upper(said).mean((2, 3))) for upper, top in uppers]))
        return torch.cat(found, 1).flatten(0, 1)

    return answer


def _same(one: nn.Module, other: nn.Module) -> bool:
    return all(map(torch.equal, one.state_dict().values(), other.state_dict().values()))


def scale(settings: Settings) -> Scale:
    """Return what the published weights expect of the pixels."""
    return Scale(*backbones.normalisation(settings.backbone))


def build(shape: tuple[int, int, int], outputs: int, settings: Settings) -> nn.Module:
    """Return the network for images of `shape` (height, width, 3); raises ValueError for what is no image."""
    if len(shape) != 3:
        raise ValueError("expected images")
    return Transfer(settings, outputs)
