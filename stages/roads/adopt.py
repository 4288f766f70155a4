"""Take over a network for streets that was trained elsewhere: a state dict becomes a model of this project."""

from pathlib import Path

from whence.base import settings
from whence.base.files import only_file
from whence.base.stage import run
from whence.estimators.network.data import Scale
from whence.roads import data, deeplab
from whence.roads.runs import Checkpoint
from whence.roads.segmenter import Segmenter


def main(params: Path, key: str, file: Path, weights: Path, card: Path) -> None:
    """Read a state dict of segmentation-models-pytorch's DeepLabV3Plus; write a model. Nothing in it is executed."""
    about = settings.load(f"checkpoints.{key}", Checkpoint, params)
    wanted = settings.load(f"train.{about.settings}", deeplab.Settings, params)
    found = only_file(file, "state dict", f"name yours in {params}: checkpoints.{key}.file")
    model = Segmenter(deeplab, wanted, section=f"{params}: train.{about.settings}")
    model.adopt(found, data.kinds(about.train_on, about.classes).names, Scale(tuple(about.mean), tuple(about.std)))
    model.save(weights, card)


if __name__ == "__main__":
    run(main)
