"""What the section train.<name> of every network holds; the settings of its architecture come on top."""

from typing import Annotated, Literal, Self

import torch
from pydantic import Field, field_validator, model_validator
from torch import Tensor

from whence.base.settings import Section
from whence.estimators.network import augment, optimizers
from whence.estimators.network.adversary import Settings as Adversary
from whence.estimators.network.data import Scale


class Recipe(Section):
    """How a network is trained, whatever it learns."""

    seeds: list[Annotated[int, Field(ge=0, lt=2**32)]] = Field(min_length=1)
    """One training each; metrics are the mean over them."""
    epochs: int = Field(ge=1)
    """Passes over the training rows, at most."""
    window: int | None = Field(default=None, ge=1)
    """Training rows of which the order is drawn together, and which are read from disk when they are needed; null: the
    order of all of them is, and they are in memory."""
    batch: int = Field(ge=1)
    """Images per step, of all processes together."""
    optimizer: optimizers.Optimizer
    learning_rate: float = Field(gt=0)
    """The highest of the schedule."""
    weight_decay: float = Field(ge=0)
    schedule: optimizers.Schedule
    label_smoothing: float = Field(ge=0, lt=1)
    patience: int | None = Field(ge=1)
    """Epochs without a lower valid loss, then it stops and takes the best weights; null: never, and the last ones."""
    class_weight: Literal["balanced"] | Annotated[float, Field(gt=0, lt=1)] | None
    """Make every class count alike, however frequent it is, or by that power of what would; null: as it occurs."""
    views_at_test: Literal[1, 2, 6]
    """Average the answers for an image alone, with its mirror image, or with both shifted by a pixel each way too."""

    def change(
        self, x: Tensor, y: Tensor, mirrored: Tensor, scale: Scale, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return what is learnt from: images (B, 3, H, W) and their classes, changed at random, see `augment`."""
        raise NotImplementedError

    def attacker(self) -> Adversary | None:
        """Return how images are changed against the network while it learns, if they are."""
        return None

    @model_validator(mode="after")
    def _filled(self) -> Self:
        if self.window is not None and self.window < self.batch:
            raise ValueError(f"window is {self.window}, expected batch, {self.batch}, or more")
        return self

    @field_validator("seeds")
    @classmethod
    def _differ(cls, seeds: list[int]) -> list[int]:
        if len(set(seeds)) < len(seeds):
            raise ValueError("expected each seed once")
        return seeds


class Settings(Recipe):
    """How a network that tells what an image is, or features of it, is trained."""

    augment: augment.Settings
    adversary: Adversary

    def change(
        self, x: Tensor, y: Tensor, mirrored: Tensor, scale: Scale, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return images changed as `augment` says, and their classes as they are."""
        return augment.augment(x, mirrored, self.augment, scale, generator), y

    def attacker(self) -> Adversary | None:
        """Return `adversary`, unless it changes nothing."""
        return self.adversary if self.adversary.epsilon else None
