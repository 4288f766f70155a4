"""Keep what a trained network makes of every image before its last layer: features as any others."""

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from whence.base import arrays
from whence.base.stage import run
from whence.estimators.network import processes
from whence.estimators.network.estimator import Estimator

BLOCK = 1024
"""Images that are looked at together."""


def main(classifier: str, features: Path, weights: Path, card: Path, target: Path) -> None:
    """Read `features` (.npy, N×…) and a network of `classifier`; write `target` (.npy, float32, N×D), row by row."""
    model = Estimator.load(importlib.import_module(f"whence.classifiers.{classifier}"), weights, card)
    array = arrays.Stored(features)

    def make(blocks: range) -> Iterator[NDArray[Any]]:
        return (model.hidden(array[number * BLOCK : (number + 1) * BLOCK]) for number in blocks)

    processes.write_blocks(target, -(-len(array) // BLOCK), make)


if __name__ == "__main__":
    run(main)
