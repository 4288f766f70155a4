"""Show every image of a dataset to a frozen backbone, and keep what it makes of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from tqdm import tqdm

from whence import embedding
from whence.base import arrays
from whence.base.stage import run
from whence.estimators.network import processes


def main(dataset: str, backbone: str, images: Path, weights: Path, target: Path) -> None:
    """Read `images` (.npy, uint8, N×H×W×3) and `weights`; write `target` (.npy, float32, N×D), row by row."""
    array, embedded = arrays.Stored(images), embedding.Embedding.load(backbone, weights, dataset)

    def make(blocks: range) -> Iterator[NDArray[Any]]:
        return embedded(array, tqdm(blocks, unit="block", disable=None if blocks.start == 0 else True))

    processes.write_blocks(target, -(-len(array) // embedded.block), make)


if __name__ == "__main__":
    run(main)
