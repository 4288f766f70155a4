"""Fit one classifier to one kind of features for one task. The valid rows choose; the test rows stay sealed."""

import importlib
from pathlib import Path

from whence import arrays, models, rows, settings
from whence.stage import run
from whence.tasks import Task


def main(task: str, classifier: str, labels: Path, features: Path, target: Path) -> None:
    """Read `labels` (csv) and `features` (.npy, N×…), row by row the same images; write what was learnt (.npz)."""
    module = importlib.import_module(f"whence.classifiers.{classifier}")
    section = settings.load(f"train.{classifier}", module.Settings)
    table, array = rows.read(labels), arrays.read(features)
    rows.check_aligned(table, array, features)
    positive = settings.load(f"tasks.{task}", Task).target(table)
    train, valid = (rows.take(array, positive, table.split == split) for split in ("train", "valid"))
    models.save(module.fit(train, valid, section), target)
    print(f"{classifier}: {len(train.y):,} rows to learn from, {len(valid.y):,} to choose by")


if __name__ == "__main__":
    run(main)
