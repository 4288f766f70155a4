"""Settle which frames are learnt from, which choose and which test: no drive stands in two splits."""

from pathlib import Path

from whence.base import settings
from whence.base.stage import run
from whence.roads import splits
from whence.table import tables


def main(params: Path, dataset: str, index: Path, target: Path) -> None:
    """Read `index` (csv: split, drive, frame); write `target`, the same with the splits of this project."""
    frames = splits.settle(index, settings.load(f"split.{dataset}", splits.Settings, params))
    tables.write_csv(target, frames._asdict())
    print(splits.counts(frames))


if __name__ == "__main__":
    run(main)
