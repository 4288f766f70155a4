"""What dvc.yaml says of a stage, for a command that is none: its name, and the files that it reads and makes."""

import re
from pathlib import Path
from typing import Any, NamedTuple

from whence.base import settings
from whence.base.errors import InputError

PIPELINE = Path("dvc.yaml")


class Stage(NamedTuple):
    """A stage, with the key that it runs for."""

    name: str
    """As `dvc repro` takes it."""
    deps: list[Path]
    outs: list[Path]
    """Those that DVC keeps in its cache."""


def stage(script: str, over: str, key: str, item: dict[str, Any]) -> Stage:
    """Return the stage that runs stages/<script>.py over a section of params.yaml, for one key and what stands there.

    Raises InputError if dvc.yaml has none.
    """
    for name, about in settings.read(PIPELINE)["stages"].items():
        do = about.get("do", about)
        if about.get("foreach") == f"${{{over}}}" and f"-m stages.{script} " in do["cmd"]:
            kept = [path for path in do["outs"] if isinstance(path, str)]
            return Stage(f"{name}@{key}", *([_filled(path, key, item) for path in part] for part in (do["deps"], kept)))
    raise InputError(
        f"{PIPELINE}: no stage runs stages/{script}.py over {over} of params.yaml; take dvc.yaml as it was"
    )


def one(paths: list[Path], ending: str) -> Path:
    """Return the path with an ending, of which there is one."""
    (found,) = (path for path in paths if path.suffix == ending)
    return found


def _filled(path: str, key: str, item: dict[str, Any]) -> Path:
    values = {"key": key} | {f"item.{name}": str(value) for name, value in item.items()}
    return Path(re.sub(r"\$\{([\w.]+)\}", lambda hole: values[hole[1]], path))
