"""Drawn streets as a dataset: drives of several frames, for trying the pipeline offline."""

import io
from collections.abc import Iterator

import numpy as np
from PIL import Image
from pydantic import Field

from whence.base.settings import Section
from whence.roads.classes import Scene
from whence.roads.frames import Name
from whence.streets.painting import paint
from whence.streets.plan import plan

SPLITS = ("train", "val")
PLACE, FRAME, PAINT = 0, 1, 2
"""What randomness is for: frames of a drive share its place."""
QUALITY = 90


class Sample(Section):
    """Section fetch.<dataset>.sample: how many drives and frames are drawn, and how large."""

    train: int = Field(ge=1, le=1000)
    """Drives; as val."""
    val: int = Field(ge=1, le=1000)
    frames: int = Field(ge=1, le=100)
    """Of each drive."""
    width: int = Field(ge=64, le=640)
    """In pixels; as height."""
    height: int = Field(ge=48, le=640)
    seed: int = Field(ge=0)


def drawn(settings: Sample, style: str) -> Iterator[tuple[Name, Scene, Image.Image]]:
    """Yield the name, the polygons and the picture of every frame, drive after drive."""
    for split, drives in zip(SPLITS, (settings.train, settings.val), strict=True):
        for drive in range(drives):
            where = [settings.seed, SPLITS.index(split), drive]
            for frame in range(settings.frames):
                place, change, ink = (
                    np.random.default_rng([*where, *rest]) for rest in ([PLACE], [FRAME, frame], [PAINT, frame])
                )
                scene = plan(style, settings.width, settings.height, place, change)
                name = Name(split, f"{SPLITS.index(split)}{drive:03}", f"{frame:06}")
                yield name, scene, paint(scene, style, ink)


def png(image: Image.Image) -> bytes:
    """Return an image as a PNG."""
    encoded = io.BytesIO()
    image.save(encoded, "PNG")
    return encoded.getvalue()


def jpeg(image: Image.Image) -> bytes:
    """Return an image as a JPEG."""
    encoded = io.BytesIO()
    image.save(encoded, "JPEG", quality=QUALITY)
    return encoded.getvalue()
