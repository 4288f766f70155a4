"""Several processes, one array: torchrun starts them, each makes some of its blocks, the first alone writes, in order.

What they send each other goes over the network (gloo), so that they may run on several machines without a common disk.
"""

import atexit
import contextlib
import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whence.base import arrays
from whence.base.errors import InputError

LOST = "another process of this run has ended, see what it said; nothing is half-written, run again to go on"


def joined() -> tuple[int, int]:
    """Join the processes that torchrun started, if any, until this one ends; return (rank, number of processes).

    Arrays in a CPU's memory go through gloo, those in a GPU's through NCCL.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return 0, 1
    import torch
    import torch.distributed as dist

    if not dist.is_initialized():  # to leave and to join again would wait forever
        dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
        atexit.register(dist.destroy_process_group)
    return dist.get_rank(), dist.get_world_size()


@contextlib.contextmanager
def together() -> Iterator[None]:
    """Raise InputError where the block ends because a process, of this or of another machine, cannot be reached."""
    try:
        yield
    except RuntimeError as error:
        if re.search("gloo|nccl|TCPStore", f"{type(error)} {error}", re.IGNORECASE):
            raise InputError(LOST) from error
        raise


def write_blocks(target: Path, count: int, make: Callable[[range], Iterable[NDArray[Any]]]) -> None:
    """Write `count` blocks as `arrays.write_blocks` does, and print the shape; `make` makes those of given numbers.

    All blocks have the same shape, but the last may have fewer rows. Raises InputError if a process is lost.
    """
    rank, world = joined()
    mine = make(range(rank, count, world))
    with together():
        if rank == 0:
            rows, width = arrays.write_blocks(target, _in_order(iter(mine), count, world))
            print(f"{rows:,} rows × {width} features")
        else:
            _send(mine)


def _in_order(mine: Iterator[NDArray[Any]], count: int, world: int) -> Iterator[NDArray[Any]]:
    """Yield all blocks, those of other processes as they send them."""
    for start in range(0, count, world):
        block = next(mine)
        yield block
        for other in range(1, min(world, count - start)):
            yield _receive(other, block)


def _send(blocks: Iterable[NDArray[Any]]) -> None:
    import torch
    import torch.distributed as dist

    for block in blocks:
        dist.send(torch.tensor([len(block)]), 0)
        dist.send(torch.from_numpy(np.ascontiguousarray(block)), 0)


def _receive(other: int, like: NDArray[Any]) -> NDArray[Any]:
    import torch
    import torch.distributed as dist

    rows = torch.zeros(1, dtype=torch.int64)
    dist.recv(rows, other)
    block = np.empty((int(rows), *like.shape[1:]), like.dtype)
    dist.recv(torch.from_numpy(block), other)
    return block
