"""Cityscapes: streets of 50 cities in and near Germany, 2,975 frames to train on, 500 to validate (Cordts et al. 2016).

`leftImg8bit/<split>/<city>/<city>_<sequence>_<frame>_leftImg8bit.png` is a frame, 2048×1024, and
`gtFine/…_gtFine_labelIds.png` its mask. arXiv 1604.01685; research only, after registration, not to be redistributed.
"""

import re
from collections.abc import Iterator

import numpy as np
from PIL import Image

from whence.roads.frames import KINDS, Name, painted, png_mask
from whence.roads.sample import Sample, drawn, png
from whence.roads.tables import CITYSCAPES

__all__ = ["BY_HAND", "CLASSES", "CONTAINER", "OTHERS", "Sample", "draw", "mask", "parse"]

PNG = ".png"
CONTAINER = "zip"
BY_HAND = (
    "register at https://www.cityscapes-dataset.com, download leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip,"
    " unpack both into one folder, and make an archive of that"
)

_MEMBER = re.compile(
    r"(?:[^/]+/)?(?P<kind>leftImg8bit|gtFine)/(?P<split>train|val|test)/(?P<city>[^/]+)/"
    r"(?P<frame>(?P=city)_[0-9]{6}_[0-9]{6})_(?P<end>leftImg8bit|gtFine_labelIds)\.png"
)
OTHERS = re.compile(r".*_gtFine_(color|instance\w*|label\w*TrainIds|polygons)\.(png|json)")
"""Of the publisher's archives what holds neither frames nor ids."""
CLASSES = CITYSCAPES
IDS = {each.name: each.id for each in CLASSES}


def parse(path: str) -> tuple[str, Name] | None:
    """Return whether a member is a frame or a mask, and its name, its drive being the city; None if it is neither."""
    found = _MEMBER.fullmatch(path)
    if found is None or found["end"].startswith("gtFine") != (found["kind"] == "gtFine"):
        return None
    return KINDS[found["kind"]], Name(found["split"], found["city"], found["frame"])


mask = png_mask


def draw(settings: Sample) -> Iterator[tuple[str, bytes]]:
    """Yield the path and the content of each drawn frame, and of its mask, in a fixed order."""
    for name, scene, image in drawn(settings, "germany"):
        city = f"town{name.drive}"
        stem = f"{name.split}/{city}/{city}_000000_{name.frame}"
        yield f"leftImg8bit/{stem}_leftImg8bit{PNG}", png(image)
        yield f"gtFine/{stem}_gtFine_labelIds{PNG}", png(Image.fromarray(np.asarray(painted(scene, IDS))))
