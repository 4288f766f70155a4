"""Archive or folder → one uint8 array and an index, streamed: decoded on all cores, in order, in bounded memory."""

import csv
import multiprocessing
import os
import re
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from tqdm import tqdm

from whence.archive import members, size
from whence.base.arrays import write_blocks
from whence.base.errors import InputError, shown
from whence.base.files import replacing
from whence.base.settings import Section
from whence.base.stops import unbroken
from whence.decode import Decoded, Decoder, decode, decode_batch

T = TypeVar("T")
R = TypeVar("R")
BATCH = 256
BATCH_BYTES = 1 << 24
PASSED_OVER = re.compile(r"\.(md|txt|csv|html|pdf)$|(^|/)(\.[^/]*|readme|licen[cs]e)$|^__MACOSX/", re.IGNORECASE)
"""Documents and hidden files that accompany the images."""


class Settings(Section):
    """Section pack.<dataset>."""

    modes: list[Literal["RGB", "L", "LA", "P", "RGBA", "1", "I;16"]] = Field(min_length=1)


def pack(archive: Path, suffix: str, pixels: int, settings: Settings, images: Path, index: Path) -> int:
    """Write `images` (uint8, N×pixels×pixels×3, RGB) and `index` (csv: path, digest of the pixels); return N.

    Raises InputError that names the archive and the members, if the archive is damaged, holds no image, or holds
    one of another size, mode or format; then neither file is written.
    """
    decoder = partial(decode, suffix=suffix, pixels=pixels, modes=list(settings.modes))
    what = f"{suffix} image; is it the archive of this dataset?"
    advice = "mend or remove them; a colour mode may be allowed (and converted) in params.yaml: pack.<dataset>.modes"
    return gather(archive, decoder, pixels, 0, images, index, what, advice)[0]


def gather(
    source: Path, decoder: Decoder, pixels: int, most_bad: int, images: Path, index: Path, what: str, advice: str
) -> tuple[int, list[tuple[str, str]]]:
    """Write the same two files of an archive or a folder; return N, and name and reason of each file that is left out.

    Raises InputError as `pack`, with `advice` if more than `most_bad` files cannot be used; `what` is what it lacks.
    """
    bad: list[tuple[str, str]] = []
    with replacing(index) as partly, partly.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(["path", "digest"])

        def blocks() -> Iterator[NDArray[np.uint8]]:
            rows = 0
            for batch in _decoded(source, decoder):
                rows += len(batch.names)
                bad.extend(batch.bad)
                writer.writerows(zip(batch.names, batch.digests, strict=True))
                yield np.frombuffer(batch.rgb, np.uint8).reshape(-1, pixels, pixels, 3)
            if len(bad) > most_bad:
                lines = shown([" ".join(pair) for pair in bad])
                raise InputError(f"{source}: {len(bad):,} members cannot be used:{lines}\n{advice}")
            if not rows:
                raise InputError(f"{source}: holds no {what}")
            handle.flush()  # the index is on the disk before the images take their name: both appear, or neither

        return write_blocks(images, blocks())[0], bad


def _decoded(source: Path, decoder: Decoder) -> Iterator[Decoded]:
    """Yield decoded batches in order."""
    workers = os.cpu_count() or 1
    with unbroken():
        pool = _pool(workers)
    try:
        yield from in_order(pool, decode_batch, _batches(_images(source)), 2 * workers, decoder)
    except BrokenProcessPool as error:
        raise InputError(f"{source}: a worker process was killed or ran out of memory; run again") from error
    finally:
        with unbroken():
            pool.shutdown(wait=True, cancel_futures=True)


def in_order(pool: Executor, work: Callable[..., R], items: Iterable[T], most: int, *given: object) -> Iterator[R]:
    """Yield what `work` makes of each item and of what is given beside it, in order; `most` bounds the memory."""
    waiting: deque[Future[R]] = deque()
    for item in items:
        with unbroken():
            waiting.append(pool.submit(work, item, *given))
        if len(waiting) > most:
            yield _next(waiting)
    while waiting:
        yield _next(waiting)


def _next(waiting: deque[Future[R]]) -> R:
    with unbroken():
        return waiting.popleft().result()


def _pool(workers: int) -> ProcessPoolExecutor:
    """Return workers that end with this process alone; forked (ten times as fast to start) before any thread runs."""
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    pool = ProcessPoolExecutor(workers, context, initializer=_obey)
    pool.submit(os.getpid).result()
    return pool


def _obey() -> None:
    """Leave signals to the parent, and end when it has ended, were it killed: no worker waits for ever.

    A group of its own, since the executor waits for ever too when a worker dies while it sends a result.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if sys.platform != "win32":
        os.setpgid(0, 0)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _images(source: Path) -> Iterator[tuple[str, bytes]]:
    with tqdm(total=size(source), unit="B", unit_scale=True, desc=str(source), disable=None) as bar:
        for name, content in members(source, bar.update):
            if not PASSED_OVER.search(name):
                yield name, content


def _batches(images: Iterable[tuple[str, bytes]]) -> Iterator[list[tuple[str, bytes]]]:
    """Yield lists of at most `BATCH` images, fewer where they hold more than `BATCH_BYTES`."""
    batch: list[tuple[str, bytes]] = []
    held = 0
    for image in images:
        batch.append(image)
        held += len(image[1])
        if len(batch) == BATCH or held > BATCH_BYTES:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch
