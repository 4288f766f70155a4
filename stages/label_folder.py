"""Read off the names of your own images what they are, and settle which row stands in which split."""

from pathlib import Path

from whence import labels
from whence.base import settings
from whence.base.stage import run
from whence.datasets.folder import Rows
from whence.table import tables


def main(dataset: str, index: Path, target: Path) -> None:
    """Read `index` (csv: path, digest); write `target` (labels.csv)."""
    table = labels.of_folder(index, settings.load(f"folders.{dataset}.rows", Rows))
    tables.write_csv(target, table._asdict())
    print(labels.counts(table))


if __name__ == "__main__":
    run(main)
