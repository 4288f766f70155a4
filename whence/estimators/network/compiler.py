"""PyTorch without its compiler, which is not used here, and takes longer to import than all the rest of PyTorch."""

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import torch

NAME = "torch._dynamo"


class _Absent(ModuleType):
    """In the place of the compiler: what optimizers and torchvision ask of it just to be left alone by it.

    Whoever asks for more gets the real one; who compiles anything does so before the block.
    """

    __path__: list[str] = []  # noqa: RUF012  # a package, as the real one

    def disable(self, function: Callable[..., Any], *_: Any, **__: Any) -> Callable[..., Any]:
        return function

    def graph_break(self) -> None:
        return

    def is_compile_supported(self, _: str) -> bool:
        return False

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        _leave(self)
        return getattr(importlib.import_module(self.__name__), name)


@contextmanager
def without_compiler() -> Iterator[None]:
    """Keep optimizers that are made and step in the block, and torchvision that is imported, from importing it.

    Nothing changes where it is imported already, and nothing is left behind.
    """
    absent = None if NAME in sys.modules else _Absent(NAME)
    if absent is not None:
        sys.modules[NAME] = sys.modules[f"{NAME}.utils"] = absent
        vars(torch)["_dynamo"] = absent
    try:
        yield
    finally:
        if absent is not None:
            _leave(absent)


def _leave(absent: _Absent) -> None:
    for name in (NAME, f"{NAME}.utils"):
        if sys.modules.get(name) is absent:
            del sys.modules[name]
    if vars(torch).get("_dynamo") is absent:
        del vars(torch)["_dynamo"]
