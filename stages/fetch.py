"""Bring a dataset's archive: drawn by the project, copied from the user's file, or downloaded from its publisher."""

import importlib
import shutil
from pathlib import Path
from typing import Any, Literal

from pydantic import RootModel

from whence import archive, settings
from whence.errors import InputError
from whence.files import replacing
from whence.stage import run


class Settings(settings.Section):
    """Section fetch.<dataset>."""

    archive: str
    sample: dict[str, Any]


class Source(RootModel[Literal["sample", "local", "published"]]):
    """The switch at the top of params.yaml."""


def main(dataset: str, local: Path, target: Path) -> None:
    """Put the archive of `dataset` at `target`; `local` is what `source: local` reads."""
    module = importlib.import_module(f"whence.datasets.{dataset}")
    section = settings.load(f"fetch.{dataset}", Settings)
    source = settings.check(settings.value("source"), Source, f"{settings.PARAMS}: source").root
    sample = settings.check(section.sample, module.Sample, f"{settings.PARAMS}: fetch.{dataset}.sample")
    if source == "published":
        from whence.download import download

        download(module.PUBLISHED, target, module.CHECKSUM)
        return
    with replacing(target) as partial:
        if source == "sample":
            archive.write(partial, module.CONTAINER, module.draw(sample))
        else:
            found = _only_file(local, dataset)
            archive.kind(found)
            shutil.copyfile(found, partial)


def _only_file(path: Path, dataset: str) -> Path:
    """Return the archive: `path`, or the one file in it; raises InputError where there is none or more than one."""
    name = f"name your archive with: dvc exp run -S source=local -S fetch.{dataset}.archive=PATH"
    if not path.exists():
        raise InputError(f"{path}: there is no such file or folder; {name}")
    if not path.is_dir():
        return path
    files = sorted(file for file in path.iterdir() if not file.name.startswith("."))
    if len(files) != 1:
        what = f"{len(files)} files ({', '.join(file.name for file in files[:5])})" if files else "no archive"
        raise InputError(f"{path}: holds {what}; put exactly one there, or {name}")
    return files[0]


if __name__ == "__main__":
    run(main)
