"""Train a network that tells what every pixel is. The valid drives choose; the test drives stay sealed."""

import os
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from whence.base import arrays, settings
from whence.base.errors import InputError
from whence.base.stage import run
from whence.roads import data, deeplab, splits
from whence.roads.segmenter import Segmenter
from whence.table import tables


def main(
    params: Path,
    dataset: str,
    classes: str,
    settings_key: str,
    frames: Path,
    images: Path,
    masks: Path,
    weights: Path,
    card: Path,
    training: Path,
    start: Annotated[Path | None, typer.Argument()] = None,
) -> None:
    """Read `frames` (csv), `images` and `masks` (.npy), row by row the same; write the model.

    `classes` says what is told apart: the seven, or the dataset's own. `training` (csv) gets a line per seed and epoch,
    as they end. `start` holds the weights of a backbone (.safetensors), where the encoder begins with them.
    """
    wanted = settings.load(f"train.{settings_key}", deeplab.Settings, params)
    kinds = data.kinds(dataset, classes)
    table, x, ids = data.read(frames, images, masks)
    chosen = _chosen(table, wanted, f"{frames}: has no", f"change split.{dataset} in {params}")

    def of(rows: NDArray[np.bool_]) -> tuple[Any, Any]:
        if wanted.window is None:
            return x[rows], kinds.of_id[ids[rows]]
        return arrays.Stored(images).only(rows), arrays.Stored(masks, through=kinds.of_id).only(rows)

    train, valid = map(of, chosen)

    def log(history: dict[str, list[float]]) -> None:
        tables.write_csv(training, {name: np.array(column) for name, column in history.items()})

    begun = {} if start is None or not wanted.pretrained else {"start": deeplab.begin(start, wanted)}
    model = Segmenter(deeplab, wanted, log, f"{params}: train.{settings_key}", **begun)
    model.fit(*train, *valid, kinds.names)
    model.save(weights, card)
    if os.environ.get("RANK", "0") == "0":  # of torchrun's processes the first alone speaks
        if model.untold:
            print(f"no training pixels of {', '.join(model.untold)}: these will not be told")
        print(f"{settings_key}: {len(train[1]):,} frames to learn from, {len(valid[1]):,} to choose by")


def _chosen(
    table: splits.Frames, wanted: deeplab.Settings, none: str, way_out: str
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return the rows (N,) to learn from and to choose by: where nothing chooses, and none are for it, train twice.

    Raises InputError where there are none.
    """
    train, valid = (table.split == name for name in ("train", "valid"))
    if not train.any():
        raise InputError(f"{none} train frames; {way_out}")
    if not valid.any() and wanted.patience is not None:
        raise InputError(f"{none} valid frames; {way_out}, or make patience null")
    return train, valid if valid.any() else train


if __name__ == "__main__":
    run(main)
