"""Keep what a trained network makes of every image before its last layer: features as any others."""

import importlib
from pathlib import Path

from whence import arrays, models
from whence.base.stage import run
from whence.estimators.network.estimator import Estimator


def main(classifier: str, features: Path, weights: Path, card: Path, target: Path) -> None:
    """Read `features` (.npy, N×…) and a network of `classifier`; write `target` (.npy, float32, N×D), row by row."""
    model = Estimator.load(importlib.import_module(f"whence.classifiers.{classifier}"), weights, card)
    array = arrays.read(features)
    blocks = (array[start : start + models.BLOCK] for start in range(0, len(array), models.BLOCK))
    shape = arrays.write_blocks(target, map(model.hidden, blocks))
    print(f"{shape[0]:,} rows × {shape[1]} features")


if __name__ == "__main__":
    run(main)
