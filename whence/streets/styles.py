"""The two styles of drawn streets, as data: what streets of a place have in common, and their colours."""

from typing import NamedTuple

from whence.base.errors import InputError

COLOURS = {
    "india": {
        "sky": "26 c8dcee b4d0ee e2e9ec a4c8ee / ffffff",
        "road": "46 8a8278 7a736a 968d80 6e6a66 / d8cfbe",
        "non-drivable fallback": "80 b3976e a8885e c2a67c 9a7f58 / 8a7048",
        "sidewalk": "50 a59a8a b0a08c / 8c8070",
        "building": "40 d8c6a0 c9ae86 e2dac8 c58c68 8fb0b2 d6a49c b4bd98 a89888 / 6a4a3a 3a5a6a 7a7468 8a3a30",
        "vegetation": "190 6c7c3c 5d7036 7d8648 58683a / 7a8846 6e7e40",
        "wall": "60 b8a890 a08c78 c8bca8 9a5f48 / 6a5a4a",
        "fence": "50 8a8274 6a7a6a 4f7f8a / b8ac98",
        "curb": "30 d8c890 d8d4c8 / 2a2826",
        "pole": "30 6a625a 8a8478 / 4a443e",
        "obs-str-bar-fallback": "90 a87848 8a7a6a 3f6f9a c8a040 / b83a2c",
        "billboard": "20 e8e4d8 d8b838 b83a34 2f6fa8 / 24344a",
        "traffic sign": "15 2f6a4a 2f5f9a c8b040 / f0ece0",
        "animal": "70 d8ccb8 5a4638 8a6a4a 3a3430 / b8a890",
        "person": "34 c8443a e0c040 3d6fb0 e4e0d4 7d3f7a 3f8a6a e08a3a / 2f3540 5a4636 e0d8c4 7a2f3a",
        "rider": "34 8a3a34 3d5f8a e4e0d4 4a4a44 c89a3a / 2f3540 4a4034 20242a",
        "car": "14 e4e4e0 cccdcb 9b2b25 34383e b4b8bc 5a6a80 / b02a22 f2ecc8",
        "bus": "22 b83a2c 2e6aa0 d8d4c4 3d8a5a / e0c060",
        "truck": "40 c8782a 3f6fa0 a83a28 d4b048 7a7466 / b83a2c e0c040",
        "autorickshaw": "24 d8b422 e0c030 4a8a3a / 24402c",
        "motorcycle": "20 2c2a2c 5a1f1c 27303f / b02a22",
        "bicycle": "15 35322f 4a2a24 / 8a8478",
    },
    "germany": {
        "sky": "26 b3bbc2 a4b1bc c2c6c8 99a8b4 / ffffff",
        "road": "30 62656a 595c62 6c6d70 / b4b8ba",
        "terrain": "120 66704a 5c6a46 / 707850",
        "sidewalk": "36 85858a 7c7a7c 918c88 / 6a6a6c",
        "parking": "36 6c6a6a 747274 / a4a8aa",
        "building": "30 9a948a 8a8280 a8a298 7c6a62 8c7a68 6e7278 b0a890 / 4a4440 5a5e64 6a3a30 3e4a42",
        "vegetation": "150 3e4f34 46573a 384a38 54603c / 4c5c3e 445638",
        "wall": "46 7a7874 6a625c 86807a / 5a5652",
        "fence": "36 5a605e 4a5048 6a6660 / 7c807c",
        "pole": "20 5a5e62 6c7074 / 44484c",
        "traffic sign": "12 2a5a98 c4c8c8 d0a838 / b43430 e4e4e0",
        "traffic light": "12 2a2c2c 38342c / 1c1c1e",
        "ego vehicle": "10 2c3034 383c42 / 1c1e22",
        "person": "22 33384a 5a4a44 2a2c30 7a3a3a 6a7468 8a8680 / 2a3040 3c3a3a 24262a",
        "rider": "22 3a4a5a 7a3a34 4a4c4c 8a8c50 / 2a3040 3c3a3a",
        "car": "12 24282e b2b6ba 50565e 8a9096 6a2428 2c4060 d0d2d2 / a02a24 dcdcd0",
        "bus": "16 a8a498 8a2c2a c0a444 / c4c8ca",
        "truck": "26 b4b8ba 3a5a7a 8a8c8a a4443a / 5a5e64",
        "motorcycle": "16 26282c 3a2022 / a02a24",
        "bicycle": "12 2c2e32 3a3c3e 5a2a2a / 8a8c8e",
    },
}
"""Of a class: the strength of its texture (0 to 255), its colours, its second colours; an object takes one of each."""


class Style(NamedTuple):
    """What the streets of a place have in common; lengths in metres, pairs are the least and the most."""

    focal: float
    """Focal length, as a share of the frame's width."""
    horizon: tuple[float, float]
    """0 top, 1 bottom."""
    hand: int
    """The side that one drives on: -1 left, 1 right."""
    half: tuple[float, float]
    """Half the width of the road."""
    verge: tuple[float, float]
    """From the road's edge to what stands along the street."""
    ground: str
    """What the ground beside the road is."""
    extras: str
    """What only streets here have, of "curb", "parking" and "ego vehicle"."""
    walks: float
    """Share of the sides of streets that have a sidewalk."""
    parked: float
    """Share of the sides of streets along which cars are parked."""
    storeys: tuple[float, float]
    """Height of buildings."""
    along: str
    """What stands along the street, each as often as it is named; at its edge, and drives on it."""
    edge: str
    traffic: str
    marked: float
    """How often a marking is painted on the road."""
    weave: float
    """How far from the middle of its lane a vehicle may be."""
    vehicles: tuple[int, int]
    people: tuple[int, int]
    haze: tuple[str, float]
    """Its colour, and its share at the horizon."""
    light: tuple[float, float, float, float]
    """Contrast, and gains of red, green and blue."""


STYLES = ("india", "germany")
_STYLES = {
    "india": Style(
        0.8, (0.36, 0.46), -1, (3.6, 5.4), (1.5, 4.5), "non-drivable fallback", "curb", 0.35, 0.15, (3.5, 11.0),
        "building,building,building,vegetation,vegetation,wall,fence,billboard,vegetation",
        "pole,pole,vegetation,obs-str-bar-fallback,traffic sign,motorcycle,animal",
        "car,car,car,autorickshaw,autorickshaw,motorcycle,motorcycle,motorcycle,truck,bus,bicycle",
        0.25, 1.2, (5, 9), (3, 6), ("d8d0be", 0.55), (1.08, 1.12, 1.07, 0.99),
    ),
    "germany": Style(
        1.05, (0.4, 0.47), 1, (4.0, 5.4), (2.6, 4.2), "terrain", "parking,ego vehicle", 1.0, 0.55, (9.0, 18.0),
        "building,building,building,building,building,vegetation,wall,fence",
        "pole,traffic light,traffic sign,traffic sign,vegetation,vegetation,bicycle",
        "car,car,car,car,car,truck,bus,bicycle,bicycle,motorcycle",
        1.0, 0.3, (2, 5), (2, 5), ("a9b0b4", 0.5), (0.86, 0.98, 1.03, 1.05),
    ),
}  # fmt: skip


def known(style: str) -> Style:
    """Return a style; raises InputError for one that is not in STYLES."""
    if style not in _STYLES:
        raise InputError(f"style is {style!r}, expected {' or '.join(STYLES)}")
    return _STYLES[style]
