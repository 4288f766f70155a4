"""CIFAKE: 120,000 JPEG, 32×32 RGB, half CIFAR-10 and half generated (Bird & Lotfi 2023, arXiv 2303.14126; MIT license).

Train holds 100,000, test 20,000, and there is no validation split: 5,000 and 1,000 per category and side. Members are
`<train|test>/<REAL|FAKE>/<number>.jpg` for airplanes and `<number> (k).jpg`, k = 2 … 10, for the other categories in
CIFAR's order. REAL numbers are padded to four digits and start at 0000; FAKE numbers start at 1000 in train, at 0 in
test. Every file is a JPEG of quality 75. Kaggle: birdy654/cifake-real-and-ai-generated-synthetic-images.
"""

import io
import re
from collections.abc import Iterator

import numpy as np
from PIL import Image
from pydantic import Field

from whence import scenes
from whence.base.settings import Section
from whence.names import CATEGORIES, Name
from whence.scenes import Tile

PIXELS = 32
SUFFIX = ".jpg"
SPLITS = ("train", "test")
DOMAINS = ("real", "fake")
CONTAINER = "zip"
PUBLISHED = "kaggle:birdy654/cifake-real-and-ai-generated-synthetic-images"
CHECKSUM: str | None = None

QUALITY = 75
"""IJG quality of every published file."""

CHECKERBOARD = (np.indices((PIXELS, PIXELS)).sum(0) % 2 * 2 - 1).astype(np.float32)[..., None]
"""The pattern that transposed convolutions leave (Odena et al. 2016), -1 or 1, (32, 32, 1)."""

CAST = np.array([6, 6, 10], np.float32)
"""FAKE is darker and yellower than REAL, in levels; the published means differ by 10, 10 and 15."""

_MEMBER = re.compile(
    r"(?:[^/]+/)?(?P<split>train|test)/(?P<side>REAL|FAKE)/(?P<number>[0-9]+)(?: \((?P<k>[2-9]|10)\))?\.jpg"
)


def parse(path: str) -> Name | None:
    """Return what a member's path says, or None if it is not an image of CIFAKE."""
    found = _MEMBER.fullmatch(path)
    if found is None:
        return None
    category = CATEGORIES[int(found["k"] or 1) - 1]
    return Name(found["split"], category, found["side"].lower(), found["number"])


def path(name: Name) -> str:
    """Return the published path of an image: the inverse of `parse`."""
    k = CATEGORIES.index(name.category) + 1
    bracket = f" ({k})" if k > 1 else ""
    return f"{name.split}/{name.domain.upper()}/{name.stem}{bracket}{SUFFIX}"


class Sample(Section):
    """Sizes of the drawn sample, in images per category and side, up to the published ones, and its seed."""

    train: int = Field(ge=1, le=5000)
    test: int = Field(ge=1, le=1000)
    seed: int = Field(ge=0)


def draw(settings: Sample) -> Iterator[tuple[str, bytes]]:
    """Yield the path and the JPEG bytes of each drawn image, in a fixed order."""
    counts = {"train": settings.train, "test": settings.test}
    tiles = (Tile(s, c, d, i) for s in SPLITS for d in DOMAINS for c in CATEGORIES for i in range(counts[s]))
    for tile in tiles:
        encoded = io.BytesIO()
        _image(_source(tile), settings.seed).save(encoded, "JPEG", quality=QUALITY)
        yield path(Name(tile.split, tile.category, tile.domain, _stem(tile))), encoded.getvalue()


def _stem(tile: Tile) -> str:
    if tile.domain == "real":
        return f"{tile.i:04d}"
    return str(tile.i + 1000 if tile.split == "train" else tile.i)


def _source(tile: Tile) -> Tile:
    """Return the tile whose image this one shows: itself, or another FAKE one, as in the published archive.

    That one holds 1,336 byte-identical pairs of FAKE dogs, frogs and birds, most within train, many across the splits;
    REAL has none. Here, of every 100 tiles of these cells, train's 89 repeats train's 49, test's 29 and 79 repeat
    train's, and test's 49 and 99 repeat test's 9 and 59: 2 % of a sample of 100 and 50.
    """
    if tile.domain == "real" or tile.category not in {"dog", "frog", "bird"}:
        return tile
    match tile.split, tile.i % 100:
        case ("train", 89) | ("test", 49 | 99):
            return tile._replace(i=tile.i - 40)
        case "test", 29 | 79:
            return tile._replace(split="train")
    return tile


def _image(tile: Tile, seed: int) -> Image.Image:
    where = (SPLITS.index(tile.split), CATEGORIES.index(tile.category), DOMAINS.index(tile.domain))
    rng = np.random.default_rng([seed, *where, tile.i])
    scene = scenes.draw(tile.category, rng)
    return scenes.snapshot(scene, rng) if tile.domain == "real" else _generated(scene, rng)


def _generated(scene: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Return a scene as a generator leaves it that enlarges twofold: steps, a checkerboard, overdone edges, a cast."""
    coarse = scene.resize((PIXELS // 2, PIXELS // 2), Image.Resampling.BOX)
    steps, ramps = (scenes.shrink(coarse, f) for f in (Image.Resampling.NEAREST, Image.Resampling.BILINEAR))
    enlarged = ramps + np.float32(rng.uniform(0, 1)) * (steps - ramps)
    sharp = scenes.shrink(scene, Image.Resampling.LANCZOS)
    pixels = sharp + np.float32(rng.uniform(0.4, 0.9)) * (enlarged - sharp)
    pixels += np.float32(rng.uniform(1, 3.5)) * CHECKERBOARD - CAST
    return scenes.develop(pixels, rng.uniform(-1.1, -0.2), rng.uniform(0, 4), rng)
