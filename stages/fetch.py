"""Bring a dataset's archive: drawn by the project, copied from the user's file, or downloaded from its publisher."""

import importlib
import shutil
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from pydantic import RootModel

from whence import archive
from whence.base import settings
from whence.base.errors import InputError
from whence.base.files import only_file, replacing
from whence.base.stage import run


class Settings(settings.Section):
    """Section fetch.<dataset>."""

    archive: str
    sample: dict[str, Any]


class Source(RootModel[Literal["sample", "local", "published"]]):
    """The switch at the top of params.yaml."""


def main(dataset: str, local: Path, target: Path, params: Annotated[Path, typer.Argument()] = settings.PARAMS) -> None:
    """Put the archive of `dataset` at `target`; `local` is what `source: local` reads."""
    module = importlib.import_module(f"whence.datasets.{dataset}")
    section = settings.load(f"fetch.{dataset}", Settings, params)
    source = settings.check(settings.value("source", params), Source, f"{params}: source").root
    sample = settings.check(section.sample, module.Sample, f"{params}: fetch.{dataset}.sample")
    where = "" if params == settings.PARAMS else f"{params}:"
    hint = f"name your archive with: dvc exp run -S {where}source=local -S {where}fetch.{dataset}.archive=PATH"
    if source == "published":
        if hasattr(module, "BY_HAND"):
            raise InputError(
                f"{params}: source: {dataset} is not to be had without registration: {module.BY_HAND}; {hint}"
            )
        from whence.download import download

        download(module.PUBLISHED, target, module.CHECKSUM, f"fetch.{dataset}.archive")
        return
    with replacing(target) as partial:
        if source == "sample":
            archive.write(partial, module.CONTAINER, module.draw(sample))
        else:
            found = only_file(local, "archive", hint)
            archive.kind(found)
            shutil.copyfile(found, partial)


if __name__ == "__main__":
    run(main)
