"""The ids that the masks of each dataset hold: names and colours as published, and the class of level 1."""

from whence.roads.classes import IGNORED, LEVEL1, Class

LEVEL3 = (
    (0, 0, "road:804080"),
    (1, 0, "parking:faaaa0", "drivable fallback:510051"),
    (2, 1, "sidewalk:f423e8"),
    (3, 1, "rail track:e6968c", "non-drivable fallback:98fb98"),
    (4, 2, "person:dc143c", "animal:f6c691"),
    (5, 2, "rider:ff0000"),
    (6, 3, "motorcycle:0000e6"),
    (7, 3, "bicycle:770b20"),
    (8, 3, "autorickshaw:ffcc36"),
    (9, 3, "car:00008e"),
    (10, 3, "truck:000046"),
    (11, 3, "bus:003c64"),
    (12, 3, "caravan:00005a", "trailer:00006e", "train:005064", "vehicle fallback:888f99"),
    (13, 4, "curb:dcbe28"),
    (14, 4, "wall:66669c"),
    (15, 4, "fence:be9999"),
    (16, 4, "guard rail:b4a5b4"),
    (17, 4, "billboard:ae4043"),
    (18, 4, "traffic sign:dcdc00"),
    (19, 4, "traffic light:faaa1e"),
    (20, 4, "pole:999999", "polegroup:999999"),
    (21, 4, "obs-str-bar-fallback:a9bbd6"),
    (22, 5, "building:464646"),
    (23, 5, "bridge:966464", "tunnel:96785a"),
    (24, 5, "vegetation:6b8e23"),
    (25, 6, "sky:4682b4", "fallback background:a9bbd6"),
)
"""Ids of level 3, the numbers of their classes of level 1, and the names that share them (AutoNUE, anue_labels.py)."""

VOID = ("unlabeled", "ego vehicle", "rectification border", "out of roi", "license plate", "ground")
LEVEL3_IDS = {name.partition(":")[0]: id_ for id_, _, *names in LEVEL3 for name in names} | dict.fromkeys(VOID, IGNORED)
"""The id of every name that a polygon of IDD's may have."""
IDD = (
    *(Class(id_, " or ".join(n.partition(":")[0] for n in names), names[0][-6:], one) for id_, one, *names in LEVEL3),
    Class(IGNORED, "unlabeled", "000000", None),
)
IDD_LITE = (
    *(Class(number, each.name, each.colour, number) for number, each in enumerate(LEVEL1)),
    Class(IGNORED, "unlabeled", "000000", None),
)
CITYSCAPES = (
    Class(0, "unlabeled", "000000", None),
    Class(1, "ego vehicle", "000000", None),
    Class(2, "rectification border", "000000", None),
    Class(3, "out of roi", "000000", None),
    Class(4, "static", "000000", None),
    Class(5, "dynamic", "6f4a00", None),
    Class(6, "ground", "510051", None),
    Class(7, "road", "804080", 0),
    Class(8, "sidewalk", "f423e8", 1),
    Class(9, "parking", "faaaa0", 0),
    Class(10, "rail track", "e6968c", 1),
    Class(11, "building", "464646", 5),
    Class(12, "wall", "66669c", 4),
    Class(13, "fence", "be9999", 4),
    Class(14, "guard rail", "b4a5b4", 4),
    Class(15, "bridge", "966464", 5),
    Class(16, "tunnel", "96785a", 5),
    Class(17, "pole", "999999", 4),
    Class(18, "polegroup", "999999", 4),
    Class(19, "traffic light", "faaa1e", 4),
    Class(20, "traffic sign", "dcdc00", 4),
    Class(21, "vegetation", "6b8e23", 5),
    Class(22, "terrain", "98fb98", 1),
    Class(23, "sky", "4682b4", 6),
    Class(24, "person", "dc143c", 2),
    Class(25, "rider", "ff0000", 2),
    Class(26, "car", "00008e", 3),
    Class(27, "truck", "000046", 3),
    Class(28, "bus", "003c64", 3),
    Class(29, "caravan", "00005a", 3),
    Class(30, "trailer", "00006e", 3),
    Class(31, "train", "005064", 3),
    Class(32, "motorcycle", "0000e6", 3),
    Class(33, "bicycle", "770b20", 3),
    Class(IGNORED, "license plate", "00008e", None),
)
"""The publisher's ids (cityscapesScripts, labels.py; -1 is 255 in a PNG); level 1 as IDD's table places the same names,
terrain with IDD's non-drivable."""
TABLES = {"idd": IDD, "idd_lite": IDD_LITE, "cityscapes": CITYSCAPES}
