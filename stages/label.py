"""Read the labels off the names, find exact duplicates, and settle which row stands in which split."""

import importlib
from pathlib import Path

from whence import labels
from whence.base import settings
from whence.base.stage import run
from whence.table import tables


def main(dataset: str, index: Path, target: Path) -> None:
    """Read `index` (csv: path, digest); write `target` (labels.csv)."""
    module = importlib.import_module(f"whence.datasets.{dataset}")
    section = settings.load(f"label.{dataset}", labels.Settings)
    table = labels.build(index, module.parse, module.path, module.SPLITS, module.DOMAINS, section)
    tables.write_csv(target, table._asdict())
    print(labels.counts(table))


if __name__ == "__main__":
    run(main)
