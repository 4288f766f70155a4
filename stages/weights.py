"""Bring the weights of a backbone: drawn at random, read from the user's file, or downloaded from its publisher."""

import hashlib
import tempfile
from pathlib import Path
from typing import Literal

from pydantic import Field

from whence.base import settings
from whence.base.errors import InputError
from whence.base.files import only_file
from whence.base.stage import run
from whence.estimators.network import backbones


class Settings(settings.Section):
    """Section weights.<backbone>."""

    source: Literal["random", "local", "published"]
    file: str
    sha256: str | None = Field(pattern="^[0-9a-f]{64}$")
    """Of the local file, if it is known."""
    trained_on: str = Field(min_length=1)
    """What a local or published file was trained on."""
    seed: int = Field(ge=0)
    """Of weights drawn at random."""


def main(backbone: str, local: Path, target: Path) -> None:
    """Put the trunk of `backbone` at `target` (.safetensors); `local` is what `source: local` reads."""
    name = backbones.known(backbone)
    section = settings.load(f"weights.{backbone}", Settings)
    if section.source == "random":
        backbones.write(target, name, backbones.drawn(name, section.seed), backbones.NOTHING)
    elif section.source == "local":
        hint = f"name your file with: dvc exp run -S weights.{name}.source=local -S weights.{name}.file=PATH"
        found = only_file(local, "state dict", hint)
        _verify(found, section.sha256, f"weights.{name}.sha256")
        backbones.write(target, name, backbones.read(found, name), section.trained_on)
    else:
        from whence.download import download

        url, digits = backbones.published(name)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "weights")
            download(url, file, f"sha256:{digits}", f"weights.{name}.file")
            backbones.write(target, name, backbones.read(file, name), section.trained_on)


def _verify(path: Path, expected: str | None, key: str) -> None:
    if expected is None:
        return
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected:
        raise InputError(f"{path}: has the SHA-256 {found}, but {key} says {expected}; name the right file, or null")


if __name__ == "__main__":
    run(main)
