"""IDD-Lite: 1,403 frames to train on and 204 to validate, 320×227, with the seven classes of level 1.

`idd20k_lite/leftImg8bit/<split>/<drive>/<frame>_image.jpg` is a frame, and `gtFine/…_label.png` its mask: the numbers
of the classes, 255 where there is none. Reduced from the Indian Driving Dataset for a challenge (NCVPRIPG 2019);
research only, after registration.
"""

import re
from collections.abc import Iterator

import numpy as np
from PIL import Image

from whence.roads.classes import seven
from whence.roads.frames import KINDS, Name, painted, png_mask
from whence.roads.sample import Sample, drawn, jpeg, png
from whence.roads.tables import IDD, IDD_LITE, LEVEL3_IDS

__all__ = ["BY_HAND", "CLASSES", "CONTAINER", "OTHERS", "Sample", "draw", "mask", "parse"]

PNG, JPEG = ".png", ".jpg"
CONTAINER = "tar"
BY_HAND = "register at https://idd.insaan.iiit.ac.in, download IDD-Lite (idd-lite.tar.gz)"

_MEMBER = re.compile(
    r"(?:[^/]+/)?(?P<kind>leftImg8bit|gtFine)/(?P<split>train|val|test)/(?P<drive>[^/]+)/(?P<frame>[^/]+?)"
    r"_(?P<end>image\.jpg|label\.png)"
)
OTHERS = re.compile(r".*_inst_label\.png")
"""Masks of single objects, which the archive holds as well."""
CLASSES = IDD_LITE
IDS = {name: int(seven(IDD).of_id[id_]) for name, id_ in LEVEL3_IDS.items()}
"""The number of the class of every name of IDD's."""


def parse(path: str) -> tuple[str, Name] | None:
    """Return whether a member is a frame or a mask, and its name; None if it is neither."""
    found = _MEMBER.fullmatch(path)
    if found is None or found["end"].startswith("label") != (found["kind"] == "gtFine"):
        return None
    return KINDS[found["kind"]], Name(found["split"], found["drive"], found["frame"])


mask = png_mask


def draw(settings: Sample) -> Iterator[tuple[str, bytes]]:
    """Yield the path and the content of each drawn frame, and of its mask, in a fixed order."""
    for name, scene, image in drawn(settings, "india"):
        stem = f"{name.split}/{name.drive}/{name.frame}"
        yield f"idd20k_lite/leftImg8bit/{stem}_image{JPEG}", jpeg(image)
        yield f"idd20k_lite/gtFine/{stem}_label{PNG}", png(Image.fromarray(np.asarray(painted(scene, IDS))))
