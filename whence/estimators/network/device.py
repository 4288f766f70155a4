"""Where networks run: the device, the number format. Nothing of it is a parameter of the pipeline."""

import contextlib
import ctypes
import os
from collections.abc import Iterator
from typing import Any

import torch

from whence.base.errors import InputError

# MKL's products of matrices depend on where in memory a row begins, and so on the row's place in a batch, unless it is
# told otherwise before the first of them; it costs nothing (its guide calls it conditional numerical reproducibility).
os.environ.setdefault("MKL_CBWR", "AUTO")

# glibc gives every large block back to the system when it is free, and the next layer gets it anew, page by page: up to
# half of the time of a training. mallopt(3): no block is a mapping of its own, and none is given back.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
KEPT = {M_MMAP_MAX: 0, M_TRIM_THRESHOLD: -1, M_TOP_PAD: 2**26}
USUAL = {M_MMAP_MAX: 2**16, M_TRIM_THRESHOLD: 2**17, M_TOP_PAD: 0}
"""What glibc does by itself."""


def allocate(options: dict[int, int]) -> None:
    """Tell glibc how to keep memory; of another C library nothing is asked."""
    with contextlib.suppress(AttributeError, OSError, TypeError):
        for option, value in options.items():
            ctypes.CDLL(None).mallopt(option, value)


allocate(KEPT)

QUICK = ("avx512_bf16", "amx_bf16")
"""A CPU with one of these trains faster in bf16. ARM's bf16 is left out: nobody has measured it here."""


def device() -> torch.device:
    """Return the device that WHENCE_DEVICE names, else a GPU if there is one; raises InputError if it is not there.

    Of several GPUs each process of torchrun takes its own.
    """
    name = os.environ.get("WHENCE_DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        if name == "cuda":
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        torch.zeros(1, device=name).item()
    except (RuntimeError, AssertionError, ImportError) as error:
        reason = (str(error) or repr(error)).splitlines()[0]
        raise InputError(f"WHENCE_DEVICE: {name!r} is not there ({reason}); unset it, or say cpu") from error
    return torch.device(name)


def bf16(where: torch.device) -> bool:
    """Return whether the hardware itself has products in bf16; where it does not, they would be slower."""
    if where.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return where.type == "cpu" and any(torch.cpu.get_capabilities().get(name, False) for name in QUICK)


def half(where: torch.device) -> contextlib.AbstractContextManager[Any]:
    """Return the context in which products run in bf16 where the hardware has it."""
    return torch.autocast(where.type, torch.bfloat16, enabled=bf16(where))


@contextlib.contextmanager
def drawing(where: torch.device, seed: int) -> Iterator[None]:
    """Seed PyTorch's global generators, from which layers draw, for the block; then give them back as they were."""
    with torch.random.fork_rng([where] if where.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
