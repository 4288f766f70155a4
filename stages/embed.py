"""Show every image of a dataset to a frozen backbone, and keep what it makes of it."""

from pathlib import Path

from tqdm import tqdm

from whence import arrays, embedding
from whence.base import settings
from whence.base.stage import run
from whence.estimators.network import backbones
from whence.estimators.network.data import Scale


def main(dataset: str, backbone: str, images: Path, weights: Path, target: Path) -> None:
    """Read `images` (.npy, uint8, N×H×W×3) and `weights`; write `target` (.npy, float32, N×D), row by row."""
    name = backbones.known(backbone)
    section, array = settings.load("embed", embedding.Settings), arrays.Stored(images)
    net = backbones.load(weights, name, backbones.leaks([dataset]))
    embedded = embedding.Embedding(net, Scale(*backbones.normalisation(name)), section.pixels)(array)
    blocks = tqdm(embedded, total=-(-len(array) // embedding.BLOCK), unit="block", disable=None)
    shape = arrays.write_blocks(target, blocks)
    print(f"{shape[0]:,} rows × {shape[1]} features")


if __name__ == "__main__":
    run(main)
