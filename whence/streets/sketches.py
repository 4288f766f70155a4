"""What streets are drawn of, as data: objects, patterns of faces, and how they are put onto a face in perspective."""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

ROLES = {
    "coat": (1, 0, "000000"), "dark": (0.58, 0, "000000"), "pale": (0.6, 0, "606060"), "accent": (0, 1, "000000"),
    "shade": (0.55, 0, "0a0a0e"), "shadow": (0.06, 0, "403e42"), "ink": (0, 0, "201e22"), "glass": (0, 0, "4a5864"),
    "light": (0, 0, "e9e6d8"), "red": (0, 0, "b02a22"), "amber": (0, 0, "d99c28"), "green": (0, 0, "3f9a5a"),
    "skin": (0, 0, "a5755a"), "bark": (0, 0, "54463a"),
}  # fmt: skip
"""What paints a detail: its shares of the object's colour and of its second one, and what is added."""

DRAWINGS = {
    "car": (
        """1.8 1.5 coat:0,88 0,50 6,40 20,6 30,0 70,0 80,6 94,40 100,50 100,88 96,100 84,100 82,92 18,92 16,100 4,100
        glass:22,8 78,8 88,40 12,40 ink|:3,84 18,84 17,100 4,100 dark:3,72 97,72 98,88 2,88 accent|:3,48 17,48
        16,60 3,60 light:37,58 63,58 63,66 37,66 pale:24,2 76,2 78,6 22,6""",
        """3.3 1.5 coat:0,76 2,56 14,46 30,10 42,3 88,0 95,8 100,44 100,92 96,100 88,100 86,94 56,94 52,100 42,99
        37,92 16,86 12,88 5,85 glass:20,44 32,14 54,10 49,43 glass:61,10 90,8 96,40 57,42 dark:0,74 48,84 50,94
        14,86 0,80 dark:53,74 100,72 100,92 55,93 ink:38,84 46,74 52,84 50,98 44,100 39,94 ink:4,74 10,70 14,78
        12,86 7,87 4,82 accent:54,50 63,50 62,62 54,62 accent:92,48 100,48 100,60 93,60 light:70,60 84,60 84,68
        70,68 dark:39,13 42,13 38,43 35,43""",
    ),
    "truck": (
        """2.5 3.3 coat:0,0 100,0 100,86 96,100 80,100 80,92 20,92 20,100 4,100 0,86 pale:4,4 48,4 48,62 4,62
        pale:52,4 96,4 96,62 52,62 accent:0,64 100,64 100,76 0,76 ink:4,80 24,80 22,100 5,100 ink:76,80 96,80
        95,100 78,100 dark:22,78 78,78 78,90 22,90 red|:4,72 14,72 14,78 4,78 light:42,80 58,80 58,86 42,86""",
    ),
    "bus": (
        """2.6 3.1 coat:0,8 8,0 92,0 100,8 100,88 94,100 80,100 80,94 20,94 20,100 6,100 0,88 glass:8,16 92,16 94,46
        6,46 accent:0,52 100,52 100,60 0,60 dark:4,74 96,74 98,90 2,90 red|:4,66 14,66 14,74 4,74 light:30,4 70,4
        70,12 30,12 ink|:6,90 20,90 20,100 7,100 light:42,78 58,78 58,84 42,84""",
        """5.6 3.1 coat:0,66 0,36 50,0 94,0 100,6 100,92 96,100 86,100 84,95 54,95 50,99 42,97 38,92 14,80 8,79
        glass:2,42 48,14 48,42 2,52 glass:57,14 96,14 97,44 56,44 accent:0,54 50,50 50,60 0,60 accent:52,52 100,52
        100,60 52,60 ink:38,80 45,76 48,86 45,96 40,94 ink:8,68 12,66 14,74 12,80 8,78 dark:52,78 100,78 100,92
        52,94 ink:24,26 25,26 25,48 24,48 red:53,66 60,66 60,74 53,74 red:94,66 100,66 100,74 94,74""",
    ),
    "autorickshaw": (
        """1.4 1.75 coat:14,0 86,0 96,12 100,40 98,88 88,92 86,100 74,100 74,90 58,90 57,100 43,100 42,90 26,90
        26,100 14,100 12,92 2,88 0,40 4,12 accent:1,48 99,48 98,88 2,88 ink:20,16 80,16 84,42 16,42 ink|:14,84
        27,84 26,100 14,100 ink:44,84 56,84 56,100 44,100 red|:6,56 16,56 16,64 6,64 light:38,64 62,64 62,72 38,72
        pale:16,3 84,3 86,9 14,9""",
    ),
    "motorcycle": (
        """.8 1.15 coat:34,30 0,16 0,6 38,16 62,16 100,6 100,16 66,30 80,52 78,72 64,74 64,100 36,100 36,74 22,72
        20,52 ink:37,56 63,56 63,100 37,100 red:40,40 60,40 60,50 40,50 light:40,58 60,58 60,68 40,68 dark:22,54
        34,54 34,70 24,70""",
        """1.9 1.1 coat:4,60 18,48 26,34 46,36 56,20 72,4 80,10 76,30 90,50 100,66 96,92 86,100 74,94 70,78 44,84
        36,80 30,94 18,100 4,92 0,76 ink@:17,76 16 ink@:85,76 15 dark@:17,76 7 dark@:85,76 7 pale:48,28 68,24
        66,42 46,44""",
    ),
    "bicycle": (
        """.6 1.05 coat:40,20 2,14 2,6 98,6 98,14 60,20 66,50 62,100 38,100 34,50 ink:41,44 59,44 58,100 42,100
        red:38,36 62,36 62,44 38,44""",
        """1.75 1.05 coat:0,70 6,54 20,48 30,16 46,10 44,26 66,24 64,6 78,2 80,16 84,48 96,56 100,74 92,94 80,100
        66,90 50,84 34,90 20,100 6,92 ink@:18,74 17 ink@:82,74 17 pale@:18,74 12 pale@:82,74 12 accent:30,34 66,30
        48,76""",
    ),
    "rider": (
        """.66 1.2 coat:34,6 42,0 58,0 66,6 66,20 88,28 100,60 86,64 88,84 100,100 70,100 50,94 30,100 0,100 12,84
        14,64 0,60 12,28 34,20 accent|:12,74 44,70 40,100 4,100 ink:36,4 44,0 56,0 64,4 66,18 34,18 skin:42,18
        58,18 58,24 42,24 dark:46,30 54,30 56,70 44,70 skin|:0,54 10,52 14,62 4,64""",
    ),
    "person": (
        """.6 1.75 coat:36,4 44,0 56,0 64,4 64,14 82,20 100,50 90,54 80,46 78,66 74,100 54,100 50,72 46,100 26,100
        22,66 20,46 10,54 0,50 18,20 36,14 accent:22,52 78,52 74,98 54,98 50,68 46,98 26,98 skin:38,4 62,4 62,12
        54,16 46,16 38,12 ink:36,4 44,0 56,0 64,4 62,7 38,7 dark:70,22 80,22 78,52 70,52 skin|:2,48 10,46 12,54
        4,54 ink|:24,96 47,96 47,100 24,100""",
        """.9 1.75 coat:40,4 46,0 56,0 62,4 62,14 74,22 92,44 86,50 68,40 68,54 88,94 96,100 74,100 52,68 30,100
        8,100 14,94 34,60 32,42 14,52 8,46 28,20 40,14 accent:33,50 68,50 86,96 74,98 52,66 30,98 16,96 skin:42,4
        60,4 60,12 54,16 46,16 42,12 ink:40,4 46,0 56,0 62,4 60,7 42,7 skin|:8,44 14,44 16,52 10,52""",
    ),
    "animal": (
        """2.1 1.4 coat:0,30 8,16 18,14 24,4 30,16 40,20 86,18 94,26 98,60 93,62 91,40 90,66 88,100 80,100 78,66
        46,68 44,100 36,100 32,62 24,46 14,44 6,48 0,40 dark:36,62 44,66 43,98 38,98 dark:80,62 88,62 86,98 82,98
        pale:44,22 84,21 82,34 50,36 ink:4,28 8,28 8,33 4,33 accent:0,38 8,40 6,47 0,41 ink:94,40 97,40 97,62
        94,62""",
    ),
    "traffic sign": (
        """.9 .9 coat@:50,50 50 accent@:50,50 40 coat@:50,50 30 accent:30,46 70,46 70,56 30,56""",
        """1.5 .9 coat:0,0 100,0 100,100 0,100 accent:6,10 94,10 94,16 6,16 accent:14,34 70,34 70,46 14,46
        accent:14,62 84,62 84,74 14,74""",
    ),
    "traffic light": (
        """.45 1.2 coat:0,0 100,0 100,100 0,100 red@:50,20 34 amber@:50,50 30 green@:50,80 30""",
    ),
    "billboard": (
        """5 3 coat:0,0 100,0 100,100 0,100 accent:0,0 36,0 36,100 0,100 pale@:18,40 16 dark:44,20 92,20 92,34 44,34
        dark:44,48 84,48 84,58 44,58 red:44,72 70,72 70,88 44,88 ink:0,96 100,96 100,100 0,100""",
    ),
    "obs-str-bar-fallback": (
        """2.4 2 coat:0,16 8,0 92,0 100,16 94,26 94,100 6,100 6,26 ink:10,28 90,28 90,62 10,62 accent|:0,14 6,2 18,2
        16,26 4,26 accent:34,2 44,2 43,26 34,26 accent:57,2 67,2 67,26 58,26 pale:14,44 32,44 32,60 14,60
        amber:40,48 58,48 58,60 40,60""",
        """2.6 .9 coat:0,100 6,56 20,40 30,12 46,0 58,22 74,18 86,48 100,100 dark:6,98 20,52 40,60 34,98 pale:46,6
        58,30 48,50 36,34 accent:62,60 80,56 84,90 66,92""",
    ),
    "vegetation": (
        """6 7.5 coat:46,100 46,72 30,74 10,66 0,46 6,26 24,8 48,0 72,6 92,22 100,44 94,62 74,74 55,72 55,100
        bark:46,100 46,70 55,70 55,100 dark:12,62 32,50 62,56 86,52 92,60 72,73 30,73 dark@:30,34 13 dark@:66,26
        12 accent@:40,18 14 accent@:76,40 10 accent@:16,46 9 dark@:50,48 9 accent@:58,62 7""",
        """3.6 1.6 coat:0,100 2,56 14,24 34,6 56,0 78,14 94,42 100,100 dark:4,100 16,66 40,76 70,62 96,100
        accent@:34,30 15 accent@:68,36 13 dark@:50,56 12""",
    ),
    "pole": (
        """.3 7 coat:0,0 100,0 100,100 0,100 dark:60,0 100,0 100,100 60,100""",
        """2 7.5 coat:43,100 43,14 0,14 0,9 43,9 43,0 57,0 57,9 100,9 100,14 57,14 57,100 dark:51,0 57,0 57,100
        51,100""",
    ),
}  # fmt: skip
"""Drawings of a class: width and height in metres, then `role:x,y x,y …`, x right and y down from 0 to 100.

`role@:x,y r` is a disc, `|` after the role adds the mirror image. The first `coat` is all that a mask shows of it. They
stand to the right of the frame's middle; to the left of it they are mirrored.
"""

Point = tuple[float, float]
Field = NDArray[np.float64]

OCTAGON = np.array([(1, 0.42), (0.42, 1), (-0.42, 1), (-1, 0.42), (-1, -0.42), (-0.42, -1), (0.42, -1), (1, -0.42)])
SHADOW = "shadow:-6,94 106,94 116,99 104,105 -4,105 -14,99 "
"""What vehicles and living things throw on the ground."""
CAST = {"car", "bus", "truck", "autorickshaw", "motorcycle", "bicycle", "person", "animal"}


class Drawing(NamedTuple):
    """What is painted on a face: polygons in the order of painting."""

    points: Field
    """(n, 2) corners of all polygons in a row, as shares of the face, from 0 to 1."""
    strokes: list[tuple[int, int, int]]
    """Of each polygon: its place in ROLES, its first corner, and the one after its last; the same: the outline."""


class Kind(NamedTuple):
    """One way to draw a class; width and height in metres."""

    width: float
    height: float
    outline: Field
    drawing: Drawing


def _kind(name: str, text: str) -> Kind:
    """Return a drawing as numbers: its shadow, if it casts one, its outline and its details."""
    width, height, text = text.split(maxsplit=2)
    points: list[Field] = []
    strokes, start = [], 0
    for role, marks, numbers in re.findall(r"([a-z]+)([@|]*):([-\d., \n]+)", SHADOW * (name in CAST) + text):
        each = np.array([float(number) for number in re.split(r"[,\s]+", numbers.strip())]) / 100
        shape = each[:2] + each[2] * OCTAGON if "@" in marks else each.reshape(-1, 2)
        for side in (shape, shape * (-1, 1) + (1, 0)) if "|" in marks else (shape,):
            points.append(side)
            strokes.append((PLACE[role], start, start := start + len(side)))
    outline = int(name in CAST)
    strokes[outline] = PLACE["coat"], 0, 0
    return Kind(float(width), float(height), points[outline], Drawing(np.concatenate(points), strokes))


PLACE = {role: place for place, role in enumerate(ROLES)}
KINDS = {name: [_kind(name, text) for text in texts] for name, texts in DRAWINGS.items()}


class Pattern(NamedTuple):
    """The same patch in every cell of a grid on a face; all shares run from 0 to 1."""

    roles: str
    """A patch is of one of these."""
    often: float
    """Columns per length of the near edge; 0: one column in all."""
    rows: int
    along: tuple[float, float]
    """From, to, of a cell, on the way from the near to the far edge."""
    down: tuple[float, float]
    """From, to, of the face, along its edges."""
    chance: float | None = 1.0
    """How often it is there; None: as often as the style marks its roads."""


PATTERNS = {
    "building": (
        Pattern("dark", 0, 1, (0, 1), (0, 0.03)), Pattern("accent pale", 0, 1, (0, 1), (0.8, 0.84), 0.8),
        Pattern("glass glass glass ink dark", 3, 4, (0.2, 0.8), (0.04, 0.8)),
        Pattern("accent ink glass accent", 1, 1, (0.1, 0.75), (0.86, 1)),
    ),
    "wall": (
        Pattern("pale", 0, 1, (0, 1), (0, 0.12)), Pattern("accent", 0, 1, (0, 1), (0.82, 1), 0.6),
        Pattern("dark", 0.8, 1, (0, 0.1), (0.12, 1)),
    ),
    "fence": (
        Pattern("accent", 0, 1, (0, 1), (0, 0.1)), Pattern("dark", 2, 1, (0, 0.4), (0.1, 1)),
        Pattern("accent", 0, 1, (0, 1), (0.55, 0.64)),
    ),
    "curb": (Pattern("accent", 0.2, 1, (0, 0.5), (0, 1)),),
    "sidewalk": (Pattern("dark", 0, 1, (0, 1), (0.48, 0.5)), Pattern("accent", 0.5, 1, (0, 0.06), (0, 1))),
    "parking": (Pattern("accent", 0.4, 1, (0, 0.05), (0, 1)),),
    "road": (
        Pattern("shade", 0, 1, (0, 1), (0, 0.28), 0.4), Pattern("shade", 0, 1, (0, 1), (0.76, 1), 0.4),
        Pattern("pale dark", 0, 1, (0.04, 0.07), (0.55, 0.8), 0.15),
        Pattern("dark", 0, 1, (0.1, 0.2), (0.15, 0.4), 0.5), Pattern("accent", 1, 1, (0, 0.4), (0.488, 0.512), None),
        Pattern("accent", 0, 1, (0, 1), (0.03, 0.045), None), Pattern("accent", 0, 1, (0, 1), (0.955, 0.97), None),
    ),
}  # fmt: skip


Face = tuple[Point, Point, Point, Point]
"""A rectangle in perspective: near and far end of its upper or left side, then far and near end of the other one."""
FLAT: Face = ((0, 0), (1, 0), (1, 1), (0, 1))
"""A rectangle that leaves shares as they are."""
UNIT = np.array(FLAT, np.float64)


def on(faces: Field, shapes: Sequence[Field]) -> list[int]:
    """Return corners x, y, … of all shapes, each on its face: faces (n, 4, 2) in pixels, shapes n times (…, 2)."""
    first, second, third, fourth = faces.transpose(1, 0, 2)
    near, far = (np.abs(each).sum(1, keepdims=True) + 1e-6 for each in (first - fourth, second - third))
    ways = [first, second - first, fourth - first, third - second - fourth + first, near, far]
    start, along, down, skew, near, far = np.split(
        np.repeat(np.concatenate(ways, 1), [len(each) for each in shapes], 0), (2, 4, 6, 8, 9), 1
    )
    share = np.concatenate(shapes)
    # What is far away is short: the share of the way, as it looks.
    seen = near * share[:, :1] / (far + (near - far) * share[:, :1])
    flat: list[int] = np.rint(start + along * seen + (down + skew * seen) * share[:, 1:]).astype(int).ravel().tolist()
    return flat
