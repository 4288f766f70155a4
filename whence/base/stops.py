"""Ctrl-C and SIGTERM: both end a stage as KeyboardInterrupt, but never in the middle of what must not be left so."""

import contextlib
import signal
from collections.abc import Iterator


class _Held:
    """Whether stops are put off, and the number of the one that was."""

    now = False
    number = 0


def catch() -> None:
    """From now on raise KeyboardInterrupt(number) where a signal says stop; one that is ignored stays so."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)


@contextlib.contextmanager
def unbroken() -> Iterator[None]:
    """Put stops off to the end of the block.

    For calls of an executor: an exception between the taking of one of its locks and the block that gives it back would
    leave its other thread waiting forever, and the process with it.
    """
    _Held.now = True
    try:
        yield
    finally:
        _Held.now = False
        number, _Held.number = _Held.number, 0
        if number:
            raise KeyboardInterrupt(number)


def _stop(number: int, _: object) -> None:
    if not _Held.now:
        raise KeyboardInterrupt(number)
    _Held.number = number
