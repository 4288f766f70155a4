"""scikit-learn's contract for networks: a member per seed, learnt from images or features; arrays and a card."""

import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from tqdm import tqdm

from whence import models
from whence.base.arrays import Stored
from whence.base.errors import InputError
from whence.base.settings import PARAMS, check
from whence.estimators.network import data, processes, progress, trainer
from whence.estimators.network.device import device, drawing
from whence.estimators.network.recipe import Recipe, Settings
from whence.models import History

SHOWN = 2000
"""Training images, evenly spaced, that a network may look at before it learns, for a fixed first layer."""
Splits = list[tuple[NDArray[Any] | Stored, Any]]
"""x and y, of train and of valid."""


def parameters(net: nn.Module) -> int:
    """Return the count that Keras and papers state: weights and the running statistics of normalisation."""
    buffers = sum(buffer.numel() for buffer in net.buffers() if buffer.is_floating_point())
    return sum(p.numel() for p in net.parameters()) + buffers


class Estimator(models.Model):
    """One architecture: `fit`, `classes_`, `predict_proba`, `predict`, `save` and `load`."""

    def __init__(
        self,
        entry: ModuleType,
        settings: Recipe,
        log: Callable[[History], None] | None = None,
        section: str | None = None,
        start: nn.Module | None = None,
    ) -> None:
        """Take the module and its settings.

        Messages name `section` of params.yaml, by itself train.<classifier>, or what is said as <file>: <section>.
        Every member begins with the weights of `start`, where it is given, as the network's `begin` takes them over.
        """
        self.entry, self.settings, self.log = entry, settings, log or (lambda _: None)
        self.name = entry.__name__.rpartition(".")[2]
        section = section or f"train.{self.name}"
        self.section = section if ":" in section else f"{PARAMS}: {section}"
        self.device, self.start = device(), start
        self.checkpoints: list[Path] = []
        self.writes = True

    def fit(
        self,
        x: NDArray[Any] | Stored,
        y: NDArray[Any] | Stored,
        x_valid: NDArray[Any] | Stored,
        y_valid: NDArray[Any] | Stored,
        classes: Any = None,
    ) -> Self:
        """Train a member per seed on x and y (n,); `classes` gives their order, else it is sorted.

        x is images (n, H, W, 3) uint8 or features (n, d) float32, in memory or stored. Raises InputError where the
        architecture does not fit them, a class is missing, or training diverges.
        """
        splits: Splits = [(x, y), (x_valid, y_valid)]
        splits = [(some, told if isinstance(told, Stored) else np.asarray(told)) for some, told in splits]
        self.classes_ = np.unique(splits[0][1]) if classes is None else np.asarray(classes)
        self._check(splits)
        self.shape = list(x.shape[1:])
        self._build(self.device)  # refused before any work
        self.scale = self.entry.scale(self.settings) if hasattr(self.entry, "scale") else data.measure(x)
        train, valid = (self._load(*split) for split in splits)
        about = [self.name, self.classes_.tolist()]
        given = self.start.state_dict().values() if self.start else ()
        key = progress.key(self.settings, self._code(), about, [*train.parts, *valid.parts, *given])
        rank, world = processes.joined()
        self._check_loaded(train, world)
        self.writes = rank == 0
        self.checkpoints = [_folder() / f"{key}-{world}-{seed}" for seed in self.settings.seeds]
        self.members, past = [], progress.nothing()
        seen: list[data.Data] = []
        for seed, checkpoint in zip(self.settings.seeds, self.checkpoints, strict=True):
            net, report = self._build(self.device, seed), _after(past, self.log)
            if self.start is not None:
                net.begin(self.start)
            if hasattr(net, "prepare"):
                net.prepare(self.scale(train.images[:: math.ceil(len(y) / SHOWN)]))
            if not seen or self.start is None:  # else what never learns is the same for every seed
                seen = [self._seen(net, split) for split in (train, valid)]
            learnt, held_out = seen
            how = (self.settings, seed, checkpoint, report, rank, world, self.section)
            with processes.together():
                history = trainer.train(net, self.scale, learnt, held_out, *how)
            past = progress.joined(past, history)
            self.members.append(net)
        self.history_, self.best_epoch = past, progress.best_epochs(past, self.settings)
        return self

    def _check(self, splits: Splits) -> None:
        """Raise InputError unless this can be learnt."""
        data.check(splits, self.classes_, self.section)

    def _load(self, x: NDArray[Any] | Stored, y: Any) -> data.Data:
        return data.load(x, y, self.classes_, self.device)

    def _seen(self, net: Any, split: data.Data) -> data.Data:
        """Return what the network learns from: the split, or what its part that never learns says of the images."""
        if not getattr(self.settings, "remembered", False):
            return split
        starts = range(0, len(split.y), trainer.BLOCK)
        watched = tqdm(starts, unit="block", leave=False, disable=None if self.writes else True)
        return data.Data(net.remember(self.scale(split.images[k : k + trainer.BLOCK]) for k in watched), split.y)

    def _code(self) -> list[Path]:
        """Return the files, beside those of this folder, that a training depends on."""
        return [Path(self.entry.__file__ or "")]

    def _check_loaded(self, train: data.Data, world: int) -> None:
        """Raise InputError unless so many processes can learn from these rows."""
        rows = len(train.y)
        if min(rows, self.settings.batch) < 2 * world:
            wanted = f"two or more for each of {world} processes" if world > 1 else "two or more"
            raise InputError(f"{self.section}.batch: got {self.settings.batch} of {rows} rows, expected {wanted}")

    def _build(self, where: torch.device | str, seed: int = 0) -> Any:
        """Return the network, tried on two black images; on "meta" it has no weights and is not tried.

        It is refused if it does not fit images and settings.
        """
        outputs = len(self.classes_) if len(self.classes_) > 2 else 1
        *sides, channels = self.shape
        try:
            with drawing(self.device, seed), torch.device(where):
                net = self.entry.build(tuple(self.shape), outputs, self.settings)
            if where != "meta":  # there a product of matrices imports the compiler, which takes seconds
                with torch.inference_mode():
                    got = tuple(net.eval()(torch.zeros(2, channels, *sides, device=self.device)).shape)
                if got != (wanted := (2, outputs, *self._places())):
                    raise ValueError(f"two of them give {got}, expected {wanted}")
            if isinstance(self.settings, Settings):
                self._check_views(sides, self.settings)
        except (ArithmeticError, RuntimeError, ValueError) as error:
            kind = "images" if sides else "features"
            raise InputError(
                f"{self.section}: does not fit {kind} of {'×'.join(map(str, self.shape))}: {error}"
            ) from error
        return net.to(memory_format=torch.channels_last)

    def _places(self) -> list[int]:
        """Return the sides of an answer: none, it is about an image as a whole."""
        return []

    @staticmethod
    def _check_views(sides: list[int], settings: Settings) -> None:
        """Raise ValueError unless what is done to images can be done to those with these sides; features have none."""
        changed = settings.augment.model_dump()
        if not sides and (any(changed.values()) or settings.views_at_test > 1):
            raise ValueError("augment is for images alone, and so is views_at_test; make them false, 0 and 1")
        if changed["shift"] >= min(sides, default=1):
            raise ValueError(f"augment.shift: got {changed['shift']}, expected less than their sides")
        for name in ("turn", "blur", "rescale"):
            if changed[name] and len(set(sides)) > 1:
                raise ValueError(f"augment.{name}: only for square images; make it false or 0")
        if changed["rescale"] >= min(sides, default=1):
            raise ValueError(f"augment.rescale: got {changed['rescale']}, expected less than their sides")
        if settings.adversary.epsilon and not sides:
            raise ValueError("adversary is for images alone; make its epsilon 0")
        if settings.views_at_test == 6 and min(sides) < 2:
            raise ValueError("views_at_test: 6 of them need sides of two pixels or more")

    @torch.inference_mode()
    def member_proba(self, x: NDArray[Any]) -> NDArray[np.float64]:
        """Return (members, n, K), float32 arithmetic whatever the training used; a batch changes no row."""
        nets = [net.eval() for net in self.members]
        ask = getattr(self.entry, "in_use", _in_use)(nets)
        parts = [np.zeros((len(nets), 0, len(self.classes_)))]
        for count, input_ in self._blocks(x):
            z = trainer.logits(ask, input_, self.settings.views_at_test)
            members = z.cpu().double().view(len(nets), -1, len(self.classes_))
            parts.append(members.softmax(2).numpy()[:, :count])
        return np.concatenate(parts, axis=1)

    def of_pixels(self, member: int, views: int | None = None) -> Callable[[torch.Tensor], torch.Tensor]:
        """Return a member as a function of images (B, 3, H, W) float32 in [0, 1]: logits (B, K).

        It looks at `views` of them; None: at as many as it answers by.
        """
        ask, last = self.of_features(member, views or self.settings.views_at_test), torch.channels_last
        return lambda x: ask(self.scale.of_unit(x).contiguous(memory_format=last))

    def of_features(self, member: int, views: int = 1) -> Callable[[torch.Tensor], torch.Tensor]:
        """Return a member as a function of what it takes, features (B, d) float32 or scaled images: logits (B, K)."""
        net = self.members[member].eval().requires_grad_(requires_grad=False)
        return lambda x: trainer.logits(net, x, views)

    @torch.inference_mode()
    def hidden(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """Return (n, D) float32, what the first member gives its last layer, of each image as it is."""
        net, seen = self.members[0].eval(), []
        last = [layer for layer in net.modules() if isinstance(layer, nn.Linear)][-1]
        watch = last.register_forward_pre_hook(lambda _, given: seen.append(given[0].flatten(1).cpu().numpy()))
        try:
            parts = []
            for count, input_ in self._blocks(x):
                net(input_)
                parts.append(seen.pop()[:count])
        finally:
            watch.remove()
        return np.concatenate([np.zeros((0, last.in_features), np.float32), *parts])

    def _blocks(self, x: NDArray[Any]) -> Iterator[tuple[int, torch.Tensor]]:
        """Yield how many rows of x a block holds, and the input of always as many: kernels differ by the batch."""
        kind = np.dtype(np.uint8 if len(self.shape) == 3 else np.float32)
        if list(x.shape[1:]) != self.shape or x.dtype != kind:
            raise InputError(f"{self.name}: was trained on {self.shape} {kind}, got {list(x.shape[1:])} {x.dtype}")
        for start in range(0, len(x), trainer.BLOCK):
            block = x[start : start + trainer.BLOCK]
            full = np.zeros((trainer.BLOCK, *self.shape), kind)
            full[: len(block)] = block
            yield len(block), self.scale(torch.from_numpy(full).to(self.device))

    def save(self, weights: Path, card: Path) -> None:
        """Write arrays and card, then drop the checkpoints; of several processes the first alone does."""
        if not self.writes:
            return
        learnt = {
            f"{place}.{name}": part.cpu().contiguous().numpy()
            for place, net in enumerate(self.members)
            for name, part in net.state_dict().items()
        }
        about = models.Card(
            classifier=self.name,
            classes=self.classes_.tolist(),
            shape=self.shape,
            settings=self.settings.model_dump(),
            preprocessing={name: list(numbers) for name, numbers in self.scale._asdict().items()},
            parameters=parameters(self.members[0]),
            best_epoch=self.best_epoch,
        )
        models.save(learnt, about, weights, card)
        self.forget()

    def forget(self) -> None:
        """Drop the checkpoints of a training that has ended."""
        for checkpoint in self.checkpoints:
            checkpoint.unlink(missing_ok=True)

    @classmethod
    def load(cls, entry: ModuleType, weights: Path, card: Path) -> Self:
        """Return what `save` wrote; raises InputError if the files are no model of `entry`."""
        learnt, about = models.load(weights, card, entry.__name__.rpartition(".")[2])
        self = cls(entry, check(about.settings, entry.Settings, f"{card}: settings"))
        self.classes_, self.shape, self.best_epoch = np.asarray(about.classes), about.shape, about.best_epoch
        try:
            self.scale = data.read(about.preprocessing)
            self.members = self._restored(learnt)
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            raise InputError(f"{weights}: does not fit {card} ({error}); run dvc repro to train it again") from error
        return self

    def _restored(self, learnt: models.Learnt) -> list[nn.Module]:
        """Return the members; what is allocated is what the file holds, whatever its card claims."""
        members: dict[str, dict[str, torch.Tensor]] = {str(place): {} for place in range(len(self.settings.seeds))}
        for name, array in learnt.items():
            place, _, part = name.partition(".")
            members[place][part] = torch.from_numpy(array)
        return [self._member(state) for state in members.values()]

    def _member(self, state: dict[str, torch.Tensor]) -> nn.Module:
        plan = self._build("meta")
        expected = {name: part.dtype for name, part in plan.state_dict().items()}
        if wrong := set(expected.items()) ^ {(name, part.dtype) for name, part in state.items()}:
            raise ValueError("unknown, missing or of another type: " + ", ".join(sorted({name for name, _ in wrong})))
        plan.load_state_dict(state, assign=True)  # refuses other shapes
        net = self._build(self.device)
        net.load_state_dict(state)
        return net.eval()  # type: ignore[no-any-return]


def _in_use(nets: list[nn.Module]) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return what answers for all of the networks, one after the other: (B, …) → (M·B, outputs)."""
    return lambda x: torch.cat([net(x) for net in nets])


def _folder() -> Path:
    """Return the folder of unfinished trainings: that of the repository, for DVC's temporary copies of it too."""
    return Path(os.environ.get("DVC_ROOT", ".")) / ".checkpoints"


def _after(past: History, log: Callable[[History], None]) -> Callable[[History], None]:
    return lambda history: log(progress.joined(past, history))
