"""Archive → one uint8 array and an index, streamed: decoded on all cores, in the archive's order, in bounded memory."""

import csv
import multiprocessing
import os
import re
import signal
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from tqdm import tqdm

from whence.archive import members
from whence.arrays import write_blocks
from whence.base.errors import InputError
from whence.base.files import replacing
from whence.base.settings import Section
from whence.base.stops import unbroken
from whence.decode import Decoded, decode_batch

BATCH = 256
BATCH_BYTES = 1 << 24
PASSED_OVER = re.compile(r"\.(md|txt|csv|html|pdf)$|(^|/)(\.[^/]*|readme|licen[cs]e)$|^__MACOSX/", re.IGNORECASE)
"""Documents and hidden files that accompany the images."""
SHOWN = 10


class Settings(Section):
    """Section pack.<dataset>."""

    modes: list[Literal["RGB", "L", "LA", "P", "RGBA", "1", "I;16"]] = Field(min_length=1)


def pack(archive: Path, suffix: str, pixels: int, settings: Settings, images: Path, index: Path) -> int:
    """Write `images` (uint8, N×pixels×pixels×3, RGB) and `index` (csv: path, digest of the pixels); return N.

    Raises InputError that names the archive and the members, if the archive is damaged, holds no image, or holds
    one of another size, mode or format; then neither file is written.
    """
    bad: list[str] = []
    with replacing(index) as partial, partial.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(["path", "digest"])

        def blocks() -> Iterator[NDArray[np.uint8]]:
            rows = 0
            for batch in _decoded(archive, suffix, pixels, list(settings.modes)):
                rows += len(batch.names)
                bad.extend(batch.bad)
                writer.writerows(zip(batch.names, batch.digests, strict=True))
                yield np.frombuffer(batch.rgb, np.uint8).reshape(-1, pixels, pixels, 3)
            _refuse(archive, bad)
            if not rows:
                raise InputError(f"{archive}: holds no {suffix} image; is it the archive of this dataset?")
            handle.flush()  # the index is on the disk before the images take their name: both appear, or neither

        return write_blocks(images, blocks())[0]


def _refuse(archive: Path, bad: list[str]) -> None:
    if bad:
        shown = "\n  ".join(bad[:SHOWN]) + (f"\n  and {len(bad) - SHOWN:,} more" if len(bad) > SHOWN else "")
        raise InputError(
            f"{archive}: {len(bad):,} members cannot be used:\n  {shown}\n"
            "mend or remove them; a colour mode may be allowed (and converted) in params.yaml: pack.<dataset>.modes"
        )


def _decoded(archive: Path, suffix: str, pixels: int, modes: list[str]) -> Iterator[Decoded]:
    """Yield decoded batches in order; at most two per worker are under way, so memory stays bounded."""
    workers = os.cpu_count() or 1
    with unbroken():
        pool = _pool(workers)
    waiting: deque[Future[Decoded]] = deque()
    try:
        for batch in _batches(_images(archive)):
            with unbroken():
                waiting.append(pool.submit(decode_batch, batch, suffix, pixels, modes))
            if len(waiting) > 2 * workers:
                yield _next(waiting)
        while waiting:
            yield _next(waiting)
    except BrokenProcessPool as error:
        raise InputError(f"{archive}: a worker process was killed or ran out of memory; run again") from error
    finally:
        with unbroken():
            pool.shutdown(wait=True, cancel_futures=True)


def _next(waiting: deque[Future[Decoded]]) -> Decoded:
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


def _images(archive: Path) -> Iterator[tuple[str, bytes]]:
    total = archive.stat().st_size if archive.exists() else 0
    with tqdm(total=total, unit="B", unit_scale=True, desc=str(archive), disable=None) as bar:
        for name, content in members(archive, bar.update):
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
