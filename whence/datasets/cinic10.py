"""CINIC-10: 270,000 PNG, 32×32 RGB, from CIFAR-10 or ImageNet (Darlow et al. 2018, arXiv 1810.03505).

Three splits of 90,000; per split and category 2,000 images come from CIFAR-10 and 7,000 from ImageNet, these reduced
straight to 32×32 by Pillow's Box filter without keeping their aspect. Members are `<split>/<category>/<stem>.png`, the
stem being `cifar10-<train|test>-<index>` (the README writes `cifar-10-…`) or `<synset>_<number>`. The repository,
BayesWatch/cinic-10, is under the MIT license; the ImageNet part stays under ImageNet's terms: research only.
"""

import io
import re
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageChops, ImageDraw
from pydantic import Field

from whence import scenes
from whence.base.settings import Section
from whence.names import CATEGORIES, Name
from whence.scenes import Tile

PIXELS = 32
SUFFIX = ".png"
SPLITS = ("train", "valid", "test")
DOMAINS = ("cifar", "imagenet")
CONTAINER = "tar"
PUBLISHED = "https://datashare.is.ed.ac.uk/bitstream/handle/10283/3192/CINIC-10.tar.gz"
CHECKSUM = "md5:6ee4d0c996905fe93221de577967a372"

SYNSETS = {
    "airplane": "n02691156", "automobile": "n02958343", "bird": "n01503061", "cat": "n02121620", "deer": "n02430045",
    "dog": "n02084071", "frog": "n01639765", "horse": "n02374451", "ship": "n04194289", "truck": "n04490091",
}  # fmt: skip
"""WordNet 3.0 identifiers of the drawn sample; the published archive holds many narrower ones."""

SCENE, CAMERA = 0, 1
"""What the randomness of a tile is for: one scene can be shown by both cameras."""

_MEMBER = re.compile(
    rf"(?:[^/]+/)?(?P<split>{'|'.join(SPLITS)})/(?P<category>{'|'.join(CATEGORIES)})/"
    r"(?P<stem>(?P<cifar>cifar-?10-(?:train|test)-[0-9]+)|n[0-9]{8}_[0-9]+)\.png"
)


def parse(path: str) -> Name | None:
    """Return what a member's path says, or None if it is not an image of CINIC-10."""
    found = _MEMBER.fullmatch(path)
    if found is None:
        return None
    return Name(found["split"], found["category"], "cifar" if found["cifar"] else "imagenet", found["stem"])


def path(name: Name) -> str:
    """Return the published path of an image: the inverse of `parse`."""
    return f"{name.split}/{name.category}/{name.stem}{SUFFIX}"


class Sample(Section):
    """Sizes of the drawn sample, in images per category and split, up to the published ones, and its seed."""

    cifar: int = Field(ge=1, le=1000)
    imagenet: int = Field(ge=1, le=7000)
    seed: int = Field(ge=0)


PLACEHOLDER = Tile("train", "automobile", "imagenet", 8)
"""Stands for the 'photo no longer available' tiles of the published archive."""


def draw(settings: Sample) -> Iterator[tuple[str, bytes]]:
    """Yield the path and the PNG bytes of each drawn image, in a fixed order."""
    counts = {"cifar": settings.cifar, "imagenet": settings.imagenet}
    tiles = (Tile(s, c, d, i) for s in SPLITS for c in CATEGORIES for d in DOMAINS for i in range(counts[d]))
    for tile in tiles:
        encoded = io.BytesIO()
        _image(tile, settings.seed).save(encoded, "PNG")
        yield path(Name(tile.split, tile.category, tile.domain, _stem(tile))), encoded.getvalue()


def _stem(tile: Tile) -> str:
    """Return the file name without suffix; CIFAR indexes are unique in CIFAR's own train and test, as published."""
    split, category = SPLITS.index(tile.split), CATEGORIES.index(tile.category)
    if tile.domain == "imagenet":
        return f"{SYNSETS[tile.category]}_{len(SPLITS) * tile.i + split}"
    if tile.split == "test":
        return f"cifar10-test-{len(CATEGORIES) * tile.i + category}"
    return f"cifar10-train-{len(CATEGORIES) * (2 * tile.i + split) + category}"


def _image(tile: Tile, seed: int) -> Image.Image:
    """Return a drawn image, 32×32 RGB, with faults like the published archive's planted among the ImageNet tiles.

    - Issue 5 of BayesWatch/cinic-10 counts exact duplicates in one split, most of them frogs, deer and airplanes: of
      every 40 of these, tile 39 repeats tile 19.
    - Exact duplicates across splits: of every 40 cats and ships in valid and test, tile 24 repeats train's.
    - Near-duplicates across splits: of every 40 in valid and test, tile 14 shows the scene of train's CIFAR image 14
      (dogs, trucks), or train's ImageNet tile 14, in valid shifted by a pixel, in test brightened (birds, horses).
    """
    later = tile.split != "train"
    match tile.domain, tile.i % 40, tile.category:
        case "imagenet", 39, "frog" | "deer" | "airplane":
            return _original(tile._replace(i=tile.i - 20), seed)
        case "imagenet", 24, "cat" | "ship" if later:
            return _original(tile._replace(split="train"), seed)
        case "imagenet", 14, "dog" | "truck" if later:
            scene = _scene(tile._replace(split="train", domain="cifar"), seed)
            return _reduce(scene, "imagenet", _generator(tile, seed, CAMERA))
        case "imagenet", 14, "bird" | "horse" if later:
            original = _original(tile._replace(split="train"), seed)
            if tile.split == "valid":
                return ImageChops.offset(original, 1, 0)
            return ImageChops.add(original, Image.new("RGB", original.size, (8, 8, 8)))
    return _placeholder() if tile == PLACEHOLDER else _original(tile, seed)


def _original(tile: Tile, seed: int) -> Image.Image:
    """Return the image that belongs to a tile before any fault is planted."""
    return _reduce(_scene(tile, seed), tile.domain, _generator(tile, seed, CAMERA))


def _scene(tile: Tile, seed: int) -> Image.Image:
    return scenes.draw(tile.category, _generator(tile, seed, SCENE))


def _generator(tile: Tile, seed: int, use: int) -> np.random.Generator:
    where = (SPLITS.index(tile.split), CATEGORIES.index(tile.category), DOMAINS.index(tile.domain))
    return np.random.default_rng([seed, *where, tile.i, use])


def _reduce(scene: Image.Image, domain: str, rng: np.random.Generator) -> Image.Image:
    """Return a scene as its origin stores it; ImageNet's way squeezes an oblong crop and leaves aliases behind."""
    if domain == "cifar":
        return scenes.snapshot(scene, rng)
    left, top = rng.integers(0, 6, 2).tolist()
    box = (left, top, scene.width - left, scene.height - top)
    pixels = scenes.shrink(scene, Image.Resampling.BOX, box)
    return scenes.develop(pixels, rng.uniform(-0.2, 0.5), rng.uniform(0, 4), rng)


def _placeholder() -> Image.Image:
    """Return a grey tile with a frame and two bars, as of a sign 'photo unavailable'."""
    tile = Image.new("RGB", (PIXELS, PIXELS), (228, 228, 228))
    pen = ImageDraw.Draw(tile)
    pen.rectangle((0, 0, PIXELS - 1, PIXELS - 1), outline=(190, 190, 190))
    for top in (13, 18):
        pen.rectangle((6, top, PIXELS - 7, top + 1), fill=(150, 150, 150))
    return tile
