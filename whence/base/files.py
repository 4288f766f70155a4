"""Files appear whole or not at all, and one file stands for its folder."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from whence.base.errors import InputError


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside `target`: it takes that name when the block ends well, and vanishes when not.

    The temporary name is always the same, so that what a killed process left is written over by the next one. Raises
    InputError while another process writes `target`.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    with ExitStack() as held:
        while not _owned(partial, target, held):
            pass  # what was there has just taken its name
        try:
            yield partial
            partial.replace(target)
        except BaseException:  # after the replacement the name may be that of another process's file
            partial.unlink(missing_ok=True)
            raise


def _owned(partial: Path, target: Path, held: ExitStack) -> bool:
    """Lock a file until `held` ends, or the process; return whether it still has its name."""
    handle = held.enter_context(partial.open("ab"))
    try:
        import fcntl
    except ImportError:  # Windows, which does not replace what is open
        handle.close()
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise InputError(f"{target}: another process is writing it; wait until that one has ended") from error
    except OSError:  # a file system without locks
        return True
    return partial.exists() and os.path.samestat(partial.stat(), os.fstat(handle.fileno()))


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
