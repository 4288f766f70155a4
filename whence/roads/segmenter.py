"""Networks that tell what every pixel is: trained, saved and loaded as those that tell what an image is."""

import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from whence.base.arrays import Stored
from whence.base.errors import InputError
from whence.estimators.network import backbones, data, trainer
from whence.estimators.network.estimator import Estimator, Splits
from whence.roads import atrous, views

SIDE = 64
"""Of the frame that a network which was trained elsewhere is tried on, in pixels."""


class Segmenter(Estimator):
    """`fit`, `answers`, `save`, `load`. y is masks (n, H, W) uint8 of class numbers, 255 for nothing; or stored."""

    def _check(self, splits: Splits) -> None:
        size = splits[0][0].shape[1:3]
        for name, (x, y) in zip(("train", "valid"), splits, strict=True):
            if x.dtype != np.uint8 or x.ndim != 4 or x.shape[3] != 3 or y.dtype != np.uint8 or y.ndim != 3:
                raise InputError(
                    f"{self.section}: takes frames (n, height, width, 3) and masks (n, height, width), uint8"
                )
            if not len(x) or len(x) != len(y) or y.shape[1:] != x.shape[1:3] or x.shape[1:3] != size:
                raise InputError(
                    f"{self.section}: got {name} frames {x.shape} and masks {y.shape}, expected as many, and some"
                )

    def _load(self, x: NDArray[Any] | Stored, y: Any) -> data.Data:
        masks = data.Masks(data.held(y, self.device), len(self.classes_))
        if strange := (masks.others.nonzero().flatten() + len(self.classes_)).tolist():
            raise InputError(
                f"{self.section}: masks hold {strange}, expected 0 to {len(self.classes_) - 1} or {data.NOWHERE}"
            )
        return data.Data(data.held(x, self.device), masks)

    def _check_loaded(self, train: data.Data, world: int) -> None:
        super()._check_loaded(train, world)
        self.untold = self.classes_[train.counts.cpu().numpy() == 0].tolist()
        """The classes of which there are no training pixels."""
        if len(self.untold) > len(self.classes_) - 2:
            raise InputError(
                f"{self.section}: training pixels are of fewer than two of {', '.join(self.classes_.tolist())}"
            )

    def _code(self) -> list[Path]:
        return [*super()._code(), *(Path(inspect.getfile(part)) for part in (atrous, views)), Path(__file__)]

    def _places(self) -> list[int]:
        return self.shape[:2]

    def adopt(self, file: Path, classes: Sequence[str], scale: data.Scale) -> None:
        """Take over a state dict of the network within, and what its frames are scaled by.

        Raises InputError that names what is missing, unknown or of another shape.
        """
        self.settings = self.settings.model_copy(update={"seeds": [0]})
        self.classes_, self.scale, self.best_epoch = np.array(classes), scale, [0]
        self.shape = [SIDE, SIDE, 3]  # it takes any
        net = self._build(self.device)
        what = f"a DeepLabV3Plus as {self.section} says, of {len(classes)} classes"
        net.net.load_state_dict(backbones.fitting(file, net.net.state_dict(), what))
        self.members = [net]

    @torch.inference_mode()
    def answers(self, x: NDArray[Any] | Stored) -> Iterator[torch.Tensor]:
        """Yield logits (b, K, H, W) float32 of frames (n, H, W, 3) uint8, of any size, the mean over the members.

        The arithmetic is float32, whatever the training used.
        """
        step, ways = trainer.block(x.shape), self._ways()
        for start in range(0, len(x), step):
            images = torch.from_numpy(np.ascontiguousarray(x[start : start + step])).to(self.device)
            seen = self.scale(images)
            yield torch.stack([trainer.logits(ask, seen, self.settings.views_at_test) for ask in ways]).mean(0)

    def _ways(self) -> list[Callable[[torch.Tensor], torch.Tensor]]:
        """Return the members in use, each at every size at which it is asked."""
        members, sizes = [net.eval() for net in self.members], getattr(self.settings, "sizes_at_test", [])
        return [functools.partial(net, size=size) for net in members for size in sizes] or members
