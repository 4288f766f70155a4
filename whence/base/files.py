"""Files appear whole or not at all, and one file stands for its folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from whence.base.errors import InputError


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside `target`: it takes that name when the block ends well, and vanishes when not.

    The temporary name is always the same, so that what a killed process left is written over by the next one.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    try:
        yield partial
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def only_file(path: Path, what: str, hint: str) -> Path:
    """Return `path`, or the one file in it; raises InputError, with `hint`, where there is none or more than one."""
    if not path.exists():
        raise InputError(f"{path}: there is no such file or folder; {hint}")
    if not path.is_dir():
        return path
    files = sorted(file for file in path.iterdir() if not file.name.startswith("."))
    if len(files) != 1:
        found = f"{len(files)} files ({', '.join(file.name for file in files[:5])})" if files else f"no {what}"
        raise InputError(f"{path}: holds {found}; put exactly one there, or {hint}")
    return files[0]
