"""DeepLabV3+ (Chen et al. 2018, arXiv 1802.02611) by segmentation-models-pytorch: an encoder, ASPP, a decoder.

Frames are brought to a height, their width in proportion, both to multiples of 16; answers are brought back to the
frame's own pixels, bilinear. With seven classes, `mobilenet_v2` and a decoder of 256: 4,380,055 parameters.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from whence.base.errors import InputError
from whence.estimators.network import backbones
from whence.estimators.network.compiler import without_compiler
from whence.estimators.network.data import Scale
from whence.estimators.network.recipe import Recipe
from whence.roads import atrous, views

STEP = 16
"""Sides that the network takes are multiples of this."""
IMAGENET = Scale((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
"""Mean and standard deviation that weights of ImageNet expect."""
Encoder = Literal[
    "mobilenet_v2", "resnet18", "resnet34", "resnet50", "resnet101", "efficientnet-b0", "efficientnet-b1",
    "efficientnet-b2", "efficientnet-b3", "efficientnet-b4", "tf_efficientnet_lite0", "tf_efficientnet_lite2",
]  # fmt: skip


class Settings(Recipe):
    """Section train.<settings>."""

    encoder: Encoder
    output_stride: Literal[8, 16]
    """Pixels of a frame beside each other in the encoder's last answers."""
    decoder: int = Field(ge=8, le=512)
    """Channels of ASPP and decoder."""
    height: int = Field(ge=32, le=2048, multiple_of=STEP)
    """To which a frame is brought."""
    sizes_at_test: list[Annotated[float, Field(gt=0, le=4)]] = Field(default=[1.0], min_length=1)
    """Factors of it at which a frame is asked about; the answers are averaged."""

    pretrained: bool = True
    """Whether the encoder begins with the weights of the run, which it must fit, or at random."""
    share: float = Field(gt=0, le=1)
    """The encoder's learning rate, as a share of the rest's."""
    frozen: int = Field(ge=0)
    """Blocks of the encoder, from the frame on, that stay as they begin: mobilenet_v2 has 19, a resnet 5."""
    frozen_norm: bool
    """Whether the encoder's normalisation keeps the statistics and factors that it begins with."""
    augment: views.Settings

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for name in ("crop_height", "crop_width"):
            if found := getattr(self.augment, name) % STEP:
                raise ValueError(f"augment.{name}: {found} over a multiple of {STEP}, expected one")
        if not self.pretrained and (self.frozen or self.frozen_norm):
            raise ValueError("pretrained: false, so the encoder must learn: make frozen 0 and frozen_norm false")
        if self.optimizer == "muon":
            raise ValueError("optimizer: muon gives weights a length of its own, and what they had learnt is lost")
        if self.views_at_test == 6:
            raise ValueError("views_at_test: got 6, expected 1, or 2 with the mirror image")
        return self

    def change(
        self, x: Tensor, y: Tensor, mirrored: Tensor, scale: Scale, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return parts of frames, and of their masks the same parts, see `views`."""
        return views.change(x, y, self.height, mirrored, self.augment, scale, generator)


class DeepLab(nn.Module):
    """Learning: (B, 3, h, w), multiples of 16 → (B, classes, h, w). In use: (B, 3, H, W) → (B, classes, H, W)."""

    def __init__(self, settings: Settings, classes: int) -> None:
        super().__init__()
        with without_compiler():
            from segmentation_models_pytorch import DeepLabV3Plus

        self.settings = settings
        self.net = DeepLabV3Plus(
            f"tu-{settings.encoder}" if settings.encoder.startswith(backbones.OF_TIMM) else settings.encoder,
            encoder_weights=None,
            encoder_output_stride=settings.output_stride,
            decoder_channels=settings.decoder,
            classes=classes,
        )
        atrous.quicken(self.net)
        encoder = self.net.encoder
        for unused in ("_conv_head", "_bn1"):  # of an efficientnet, whose features are taken before these
            if hasattr(encoder, unused):
                getattr(encoder, unused).requires_grad_(False)
        whole = settings.encoder.startswith("efficientnet")
        blocks = [encoder] if whole else backbones.blocks(settings.encoder, self._trunk())
        if settings.frozen > len(blocks):
            raise ValueError(f"frozen: got {settings.frozen}, but {settings.encoder} has {len(blocks)} blocks")
        self.kept = list(blocks)[: settings.frozen]
        if settings.frozen_norm:
            self.kept += [part for part in encoder.modules() if isinstance(part, nn.BatchNorm2d)]
        for part in self.kept:
            part.requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        """Learn or not; what is frozen stays as in use, running statistics too."""
        super().train(mode)
        for part in self.kept:
            part.eval()
        return self

    def begin(self, trunk: nn.Module) -> None:
        """Take over the weights of a trunk, before training."""
        own, given = self._trunk(), trunk.state_dict()
        own.load_state_dict({name: given[name] for name in own.state_dict()})

    def _trunk(self) -> Any:
        """Return the encoder as its library makes it."""
        return getattr(self.net.encoder, "model", self.net.encoder)

    def shares(self) -> list[tuple[float, list[nn.Parameter]]]:
        """Return the parameters by the share of the learning rate that they take."""
        encoder = list(self.net.encoder.parameters())
        known = set(encoder)
        return [(self.settings.share, encoder), (1.0, [p for p in self.net.parameters() if p not in known])]

    def forward(self, x: Tensor, size: float = 1.0) -> Tensor:
        """Return logits; in use, of frames at `size` times the height of the settings."""
        if self.training:
            logits: Tensor = self.net(x)
            return logits
        height, width = x.shape[2:]
        tall = size * self.settings.height
        sides = [max(STEP, STEP * round(side / STEP)) for side in (tall, width * tall / height)]
        seen = functional.interpolate(x, sides, mode="bilinear", antialias=True, align_corners=False)
        seen = self.net(seen.contiguous(memory_format=torch.channels_last))
        return functional.interpolate(seen, (height, width), mode="bilinear", align_corners=False)


def begin(weights: Path, settings: Settings) -> nn.Module:
    """Return the trunk to begin with; raises InputError if it is that of another network."""
    known = [name for name in backbones.WIDTH if name in get_args(Encoder)]
    for name in known:
        if settings.encoder == name:
            return backbones.load(weights, name, [])
    found = f"there are weights to begin with for {', '.join(known)}, not for {settings.encoder}"
    raise InputError(f"{weights}: {found}; make pretrained false")


def scale(settings: Settings) -> Scale:
    """Return what weights of ImageNet expect of the pixels."""
    if settings.encoder.startswith(backbones.OF_TIMM):
        return Scale(*backbones.normalisation(backbones.known(settings.encoder)))
    return IMAGENET


def build(_: tuple[int, int, int], outputs: int, settings: Settings) -> nn.Module:
    """Return the network, for frames of any size."""
    return DeepLab(settings, outputs)
