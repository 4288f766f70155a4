"""How every stage starts and ends: arguments from the function's signature, errors as one message, an exit code."""

import errno
import functools
import sys
from collections.abc import Callable
from typing import Any

import typer

from whence.errors import InputError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def run(main: Callable[..., None]) -> None:
    """Run `main` as a command line; what a user can mend is printed without a traceback, and the exit code is 1."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(_civil(main))
    app()


def _civil(main: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(main)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        try:
            main(*args, **kwargs)
        except InputError as error:
            _end(str(error), 1)
        except OSError as error:
            if error.errno not in FULL:
                raise
            _end(f"{error.strerror}: free some space and run again; nothing is half-written", 1)
        except KeyboardInterrupt:
            _end("stopped: nothing is half-written, run again to go on", 130)

    return wrapped


def _end(message: str, code: int) -> None:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(code)
