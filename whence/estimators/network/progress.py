"""What a training has behind it: a line per epoch, and the file from which a stopped one goes on."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from whence.base.errors import InputError
from whence.base.files import replacing
from whence.estimators.network.data import Read
from whence.estimators.network.recipe import Recipe
from whence.models import COLUMNS, History

Weights = dict[str, Tensor]


def nothing() -> History:
    """Return the history of no epochs."""
    return {name: [] for name in COLUMNS}


def joined(past: History, history: History) -> History:
    """Return the history of one training after another."""
    return {name: past[name] + history[name] for name in COLUMNS}


def best_epochs(history: History, settings: Recipe) -> list[int]:
    """Return for each seed the epoch whose weights were taken: of lowest valid loss, or the last without patience."""
    chosen = []
    for seed in dict.fromkeys(history["seed"]):
        losses = [loss for s, loss in zip(history["seed"], history["valid_loss"], strict=True) if s == seed]
        chosen.append(losses.index(min(losses)) + 1 if settings.patience else len(losses))
    return chosen


def stops(history: History, settings: Recipe) -> bool:
    """Return whether the valid loss has not fallen for `patience` epochs."""
    losses = history["valid_loss"]
    return bool(settings.patience and losses) and len(losses) - losses.index(min(losses)) > (settings.patience or 0)


def key(settings: Recipe, code: list[Path], about: object, data: Iterable[Tensor | Read]) -> str:
    """Return a name for all that a training depends on but its seed: settings, machine, every byte of data and code.

    `about` is anything else, by its repr. Of data that stay on disk it is the file's size and time, and the rows.
    """
    digest = hashlib.blake2b(digest_size=16)
    machine = (torch.__version__, torch.get_num_threads())
    digest.update(repr((settings.model_dump(exclude={"seeds"}), about, machine)).encode())
    for path in [*code, *sorted(Path(__file__).parent.glob("*.py"))]:
        digest.update(path.read_bytes())
    for part in data:
        if isinstance(part, Read):
            digest.update(repr((part.stored.shape, part.stored.about)).encode() + part.stored.rows.tobytes())
            continue
        digest.update(repr((part.shape, part.device.type)).encode())
        digest.update(part.cpu().numpy().data)
    return digest.hexdigest()


def keep(
    path: Path, net: nn.Module, optimizers: list[torch.optim.Optimizer], history: History, best: Weights | None
) -> None:
    """Write everything that the next epoch needs, whole or not at all."""
    states = [optimizer.state_dict() for optimizer in optimizers]
    with replacing(path) as partial:
        torch.save({"net": net.state_dict(), "optimizers": states, "history": history, "best": best}, partial)


def resume(path: Path, net: nn.Module, optimizers: list[torch.optim.Optimizer]) -> tuple[History, Weights | None]:
    """Return history and best weights of a training that stopped, and give net and optimizers their state; or begin.

    Raises InputError if the file cannot be read, as after a power cut.
    """
    if not path.exists():
        return nothing(), None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever the unpickler stumbles over
        raise InputError(f"{path}: not a readable checkpoint ({type(error).__name__}); delete it") from error
    net.load_state_dict(state["net"])
    for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(saved)
    return state["history"], state["best"]
