"""Say what the images of a dataset are like, so that one unlike them is noticed."""

from pathlib import Path

from whence import novelty
from whence.base import arrays, settings
from whence.base.stage import run
from whence.table import rows


def main(labels: Path, images: Path, target: Path) -> None:
    """Read `labels` (csv) and `images` (.npy, uint8, N×H×W×3), train and valid rows; write `target` (.safetensors)."""
    bins = settings.load("novelty", novelty.Settings).bins
    table, array = rows.read(labels), arrays.read(images)
    rows.check_aligned(table, array, images)
    profile = novelty.fit(array, table, bins)
    novelty.write(target, profile)
    print(f"{', '.join(profile.domains)}: {profile.mean.shape[1]} features, {len(profile.valid):,} valid rows")


if __name__ == "__main__":
    run(main)
