"""How every stage starts and ends: arguments from the function's signature, errors as one message, an exit code."""

import errno
import functools
import signal
import sys
from collections.abc import Callable
from typing import Any

import typer

from whence.base import stops
from whence.base.errors import InputError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)


def run(main: Callable[..., None]) -> None:
    """Run `main` as a command line; what a user can mend is printed without a traceback, and the exit code is 1.

    SIGTERM (kill, timeout, a cancelled job) ends it as Ctrl-C does: what is half-written is removed.
    """
    stops.catch()
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
            if error.errno in FULL:
                _end(f"{error.strerror}: free some space and run again; nothing is half-written", 1)
            if error.errno in DENIED:
                _end(f"{error.filename}: {error.strerror}; change who may write there and run again", 1)
            raise
        except KeyboardInterrupt as stop:
            _end("stopped: nothing is half-written, run again to go on", 128 + int(*stop.args or (signal.SIGINT,)))

    return wrapped


def _end(message: str, code: int) -> None:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(code)
