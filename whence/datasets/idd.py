"""The Indian Driving Dataset: 6,993 frames to train on, 981 to validate, as polygons (Varma et al. 2019).

`leftImg8bit/<split>/<drive>/<frame>_leftImg8bit.png` (or `.jpg`) is a frame, 1920×1080 or 1280×720, and
`gtFine/…_gtFine_polygons.json` what its annotators drew: polygons with names, in the order of painting. Masks are
painted from these with the ids of level 3. arXiv 1811.10200; research only, after registration.
"""

import json
import re
from collections.abc import Iterator

from whence.roads.classes import Mask
from whence.roads.frames import KINDS, Name, painted, polygons
from whence.roads.sample import Sample, drawn, png
from whence.roads.tables import IDD, LEVEL3_IDS

__all__ = ["BY_HAND", "CLASSES", "CONTAINER", "OTHERS", "Sample", "draw", "mask", "parse"]

PNG, JSON = ".png", ".json"
CONTAINER = "tar"
BY_HAND = (
    "register at https://idd.insaan.iiit.ac.in, download IDD Segmentation, part I, or make one archive of both parts"
)

_MEMBER = re.compile(
    r"(?:[^/]+/)?(?P<kind>leftImg8bit|gtFine)/(?P<split>train|val|test)/(?P<drive>[^/]+)/(?P<frame>[^/]+?)"
    r"_(?:leftImg8bit\.(?:png|jpg)|gtFine_polygons\.json)"
)
OTHERS = re.compile(r".*_gtFine_(label\w*|instance\w*|color\w*)\.png")
"""Masks that others have painted from the polygons."""
CLASSES = IDD


def parse(path: str) -> tuple[str, Name] | None:
    """Return whether a member is a frame or a mask, and its name; None if it is neither."""
    found = _MEMBER.fullmatch(path)
    if found is None or path.endswith(JSON) != (found["kind"] == "gtFine"):
        return None
    return KINDS[found["kind"]], Name(found["split"], found["drive"], found["frame"])


def mask(content: bytes) -> Mask:
    """Return the mask (H, W) that polygons paint; raises InputError for what are none, and for an unknown name."""
    return painted(polygons(content), LEVEL3_IDS)


def draw(settings: Sample) -> Iterator[tuple[str, bytes]]:
    """Yield the path and the content of each drawn frame, and of its polygons, in a fixed order."""
    for name, scene, image in drawn(settings, "india"):
        stem = f"{name.split}/{name.drive}/{name.frame}"
        yield f"IDD_Segmentation/leftImg8bit/{stem}_leftImg8bit{PNG}", png(image)
        objects = [{"label": label, "polygon": corners, "deleted": 0} for label, corners in scene.parts]
        about = {"imgHeight": scene.height, "imgWidth": scene.width, "objects": objects}
        yield f"IDD_Segmentation/gtFine/{stem}_gtFine_polygons{JSON}", json.dumps(about).encode()
