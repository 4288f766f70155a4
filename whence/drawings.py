"""The drawings of the ten kinds of scene, as data: where they stand, in which colours, and their shapes.

A drawing is text: `role:x,y x,y …` is a polygon, `role~:` a polygon with rounded corners, `role@:x,y r` a disc. x runs
right and y down from 0 to 100, later parts cover earlier ones, a `|` after the role adds the mirror image at x = 50.
Colours are hexadecimal RGB; where several stand in one string, each image takes one of them.
"""

import re
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

VARIED = {"backdrop": 0.0, "coat": 1.0, "pale": 1.0, "dark": 1.0, "accent": 0.8}
"""Roles whose colour each image chooses, and how much of the grain they show: fur much, glass and eyes little."""

FIXED = {
    "ink": ("1c1a1e", 0.3), "glass": ("5b7488", 0.1), "light": ("efeee4", 0.2), "bone": ("cdb58c", 0.4),
    "amber": ("d9a02a", 0.4), "pink": ("c9817e", 0.4), "red": ("b32a22", 0.3), "bark": ("5a4632", 1.0),
    "leaf": ("4f7f35", 1.0), "foam": ("dfe9ec", 0.8), "shade": ("2b2a28", 0.5),
}  # fmt: skip
"""Roles of one colour, and their share of the grain."""


class Place(NamedTuple):
    """A backdrop: colours above and below the horizon, the horizon's height (0 top, 1 bottom), and the texture."""

    upper: str
    lower: str
    horizon: tuple[float, float]
    ragged: float
    """How far the horizon wanders, in pixels."""
    streaks: int
    """How many times wider than high the coarse grain below the horizon is."""
    rough: tuple[float, float]
    """Strength of the texture above and below."""


class Kind(NamedTuple):
    """A category: its colours, where it stands, how far it tilts (tangent of half the angle), and its drawings."""

    coats: str
    accents: str
    places: tuple[str, ...]
    tilt: float
    drawings: tuple[str, ...]


PLACES = {
    "sky": Place("3f78c0 6fa3dc 9db8d0 b9bfc8 d8b48c", "6d7a52 8a8a80 a59b7c", (0.86, 1.4), 2, 3, (0.35, 0.7)),
    "road": Place("5e7350 8b8f92 a7b7c6 6d6459 c3cbd2", "6a6a6c 86837e 55575c a39a88", (0.42, 0.6), 5, 4, (0.9, 0.45)),
    "leaves": Place("5f7d3e 7f9a5a 9fb0a0 8d8a5c 7da3cf", "5f7d3e 6e6a44 8f9a70", (0.7, 1.5), 12, 1, (0.9, 0.9)),
    "room": Place("a89f94 7c6f66 c9bfae 6f7f8e", "8a5f44 b9aa98 5b6478 a34f48", (0.55, 0.9), 1, 3, (0.4, 0.6)),
    "yard": Place("6b7f4e 8d7c68 9aa7ad 4d5a3c", "6f9243 8c7a5a b5a27c 7f8c55", (0.3, 0.75), 4, 2, (0.8, 0.9)),
    "forest": Place("3c4a2c 5b6b40 7a6a44 8e9a98", "7b8b45 a08d55 5f7434 b9b295", (0.35, 0.6), 9, 1, (1.2, 0.8)),
    "meadow": Place("7fa9d6 b5c3cf 5d7350 93a37c", "74983f 8fa353 b39c6a c0b083", (0.3, 0.55), 4, 2, (0.5, 0.8)),
    "pond": Place("33452f 4f5a3a 5a5140 3e5a5c", "43562f 5d5a3c 74644a 355052", (0.2, 0.9), 10, 2, (1.0, 1.1)),
    "sea": Place("8fb4dc b8c6d0 d9c6ac 6b97cc", "2f5f86 47758c 5c7d86 27506a", (0.45, 0.66), 1, 8, (0.35, 0.8)),
}

KINDS = {
    "airplane": Kind("e6e8ec c2c8d0 8f98a4 5d6670 d9d2c4", "b32a22 2a4f9a e0a030 39424e", ("sky",), 0.22, (
        """pale:50,46 61,46 50,27 44,27  accent:9,48 3,26 12,26 26,45  dark:8,50 1,43 8,42 22,48
        coat~:3,48 10,45 40,43 76,43 90,46 97,51 88,56 60,58 30,57 10,53  glass:28,47 78,46 78,49 28,50
        glass:85,46 92,48 86,50  dark:42,53 60,53 38,78 28,79  ink~:44,58 55,58 55,64 44,64""",
        """coat|:46,34 2,60 2,67 46,54  pale|:47,80 28,91 28,96 48,90  dark|:46,47 2,64 2,67 46,55
        coat~:50,2 56,10 56,80 52,98 48,98 44,80 44,10  ink@|:28,52 4  glass:46,11 54,11 53,17 47,17
        accent:49,78 51,78 51,97 49,97""",
    )),
    "automobile": Kind("b3231f 27509a d8d9da 2b2d31 8b9096 d8b02c 3f6b4a 74222c", "9a9da2 d0d0d0", ("road",), 0.03, (
        """shade~:2,74 98,74 98,84 2,84  coat~:4,74 3,56 16,50 27,48 38,32 66,32 79,48 94,52 98,62 97,74
        glass:32,48 42,36 51,36 51,48  glass:54,48 54,36 64,36 74,48  dark:5,66 96,66 96,73 5,73
        pale:8,54 90,54 90,56 8,56  ink@:24,73 11  ink@:77,73 11  accent@:24,73 5  accent@:77,73 5
        light:92,55 97,57 97,61 92,60  red:4,57 8,56 8,61 4,62""",
        """shade~:4,80 96,80 96,90 4,90  ink|:12,70 27,70 27,88 12,88
        coat~:24,26 76,26 84,46 92,54 92,80 8,80 8,54 16,46  glass:28,30 72,30 79,47 21,47
        dark:12,68 88,68 88,80 12,80  ink:34,57 66,57 64,66 36,66  light@|:20,60 6  accent:38,72 62,72 62,77 38,77""",
    )),
    "bird": Kind("6d5a46 8c8f94 3c4650 c8962e 3f74b4 a8482e", "d8902c 2a2624 e8c050", ("leaves", "sky"), 0.12, (
        """bark:-20,82 120,70 120,77 -20,91  dark:2,82 28,58 36,68 10,88
        coat~:22,64 34,44 54,34 68,38 74,54 62,72 40,76 26,72  pale~:44,73 58,52 74,46 72,64 56,76
        coat~:56,42 58,24 70,18 84,26 84,40 70,48  dark~:22,66 40,44 58,46 54,60 36,70  amber:82,27 97,34 82,37
        ink@:74,29 4  ink:47,74 50,74 50,82 47,82  ink:58,74 61,74 61,81 58,81""",
        """dark:46,50 20,4 36,8 50,22 60,46  dark:2,60 16,48 28,54 12,70  coat~:14,58 36,46 66,42 76,50 64,62 36,64
        coat~:66,44 72,38 84,40 86,50 76,56  pale~:34,60 56,54 74,56 58,65  coat:38,50 48,10 66,2 66,20 62,48
        amber:84,42 97,48 84,50  ink@:78,45 3""",
    )),
    "cat": Kind("8a8078 c58a4a 3a3634 d9d2c8 7a6248 a6a09a", "3a302a e6e0d6", ("room", "room", "yard"), 0.08, (
        """dark~:14,120 20,70 80,70 86,120  coat|:16,48 18,4 46,28  pink|:22,36 23,14 38,27
        coat~:12,54 20,26 50,20 80,26 88,54 76,80 50,88 24,80  dark|:34,24 39,23 42,38 39,38
        dark:48,21 52,21 51,38 49,38  dark|:13,56 26,58 26,61 14,62  amber~|:24,48 33,40 43,48 33,55
        ink~|:31,41 36,41 36,54 31,54  pale~:32,66 50,56 68,66 64,80 50,84 36,80  pink:44,60 56,60 50,67
        ink:49,66 51,66 51,74 49,74  light|:38,68 4,62 4,63 38,70  light|:38,72 6,76 6,77 38,74""",
        """dark~:66,94 88,92 94,70 86,62 82,64 86,72 80,84 64,86  coat~:26,98 26,66 38,46 62,46 74,66 76,98
        dark|:28,70 40,66 40,69 28,73  dark|:28,80 38,77 38,80 28,83  pale~:40,60 50,52 60,60 58,84 42,84
        pale:36,90 48,90 48,98 34,98  pale:52,90 64,90 66,98 52,98  coat|:28,32 28,4 47,18  pink|:32,26 32,12 42,20
        coat~:26,34 32,18 50,14 68,18 74,34 66,50 50,54 34,50  amber@|:40,32 5  ink@|:40,32 2.5
        pink:46,40 54,40 50,45""",
    )),
    "deer": Kind("9a6a3e 7d5636 b98a58 6b5440", "5a4632", ("forest", "forest", "meadow"), 0.05, (
        """dark:28,58 34,58 32,94 28,94  dark:60,58 65,58 62,94 58,94  light~:17,46 10,52 15,60 22,54
        coat~:14,50 30,43 56,44 72,48 70,64 46,65 26,66 16,62  pale~:28,64 48,61 66,62 50,68
        coat:18,56 28,60 25,95 21,95  coat:62,58 71,54 69,95 65,95  coat~:54,52 68,26 80,30 74,60
        coat~:66,32 72,24 84,28 97,38 93,43 78,40  dark:70,29 58,24 64,33  ink@:79,31 2.2  ink@:94,40 2.5
        bone:71,26 62,14 54,1 58,0 66,13 76,26  bone:60,12 46,8 46,5 61,8  bone:64,15 70,1 73,1 68,17
        bone:76,26 82,13 92,0 95,2 86,14 80,27  bone:84,12 98,10 98,13 84,16""",
        """coat~:22,120 30,74 50,66 70,74 78,120  bone|:44,32 34,18 14,14 6,-4 11,-5 19,10 37,13 48,32
        bone|:22,13 26,-6 30,-6 27,14  bone|:13,12 2,14 2,10 12,8  dark~|:38,38 16,32 14,40 36,48
        coat~:34,36 50,28 66,36 62,66 58,86 42,86 38,66  pale~:42,70 58,70 60,86 50,92 40,86  ink@|:40,48 4
        ink~:43,78 57,78 55,87 45,87""",
    )),
    "dog": Kind("c79a5c 8a5a34 e4ddd0 2e2a2a a8793f d2c4aa", "f0ece2 5a3c28 2a2624", ("yard", "yard", "room"), 0.08, (
        """coat~:16,120 24,74 76,74 84,120  coat~:24,36 34,16 50,12 66,16 76,36 74,62 62,84 50,88 38,84 26,62
        accent:46,13 54,13 55,46 45,46  dark~|:32,14 14,22 4,54 10,72 22,70 30,40
        pale~:32,60 42,48 58,48 68,60 64,82 50,88 36,82  ink@|:36,40 5  ink~:39,52 61,52 59,62 50,67 41,62
        ink:49,64 51,64 51,74 49,74  pink~:43,75 57,75 57,92 50,98 43,92""",
        """dark:24,58 33,58 31,94 25,94  dark:62,58 70,58 68,94 62,94  coat:24,54 4,28 8,24 32,48
        coat~:16,56 28,44 56,44 74,46 76,62 60,70 36,68 20,70  accent~:34,45 50,45 50,58 36,58
        coat:16,58 28,62 25,95 17,95  coat:68,58 77,54 77,95 70,95
        coat~:62,50 68,26 78,20 88,24 99,36 97,46 84,48 76,62  dark~:70,22 64,42 70,52 78,40 78,26  ink@:84,31 2.6
        ink@:96,37 4  red:66,46 76,54 74,58 64,50""",
    )),
    "frog": Kind("5c8f2e 7fae3a 6f7a34 8a7a42 3f7a48", "c8b040 3a4a20", ("pond",), 0.1, (
        """leaf~:-8,82 20,66 80,66 108,82 80,102 20,102  dark~|:4,72 14,48 30,50 36,78 20,88 6,86
        coat~:20,62 26,38 50,30 74,38 80,62 70,84 30,84  coat@|:32,28 12  amber@|:32,27 8
        ink~|:27,25 37,25 37,30 27,30  ink:22,54 50,63 78,54 78,57 50,67 22,57  pale~:28,66 50,68 72,66 66,84 34,84
        dark@|:40,42 3.5  coat~|:28,70 38,76 32,92 38,98 12,98 22,88""",
        """leaf~:-6,84 30,72 106,76 106,96 40,102 0,98  dark~:6,84 10,54 34,46 44,70 30,90
        coat~:12,76 28,46 62,26 86,30 98,46 92,58 70,80 30,86  pale~:56,70 74,58 96,54 84,68 66,80
        ink:64,54 97,48 97,51 66,58  coat@:74,26 11  amber@:75,25 7.5  ink@:76,25 3.5
        coat~:4,90 8,62 30,58 44,80 52,92 30,95  coat~:62,70 74,72 74,88 84,94 60,96 64,86  dark@:42,48 5
        dark@:56,42 4  dark@:30,62 4""",
    )),
    "horse": Kind("7a4526 4a2e22 2a2526 dcd6cc 9a6438", "1e1a1c e0d4b8 3a2a20", ("meadow", "meadow", "yard"), 0.05, (
        """dark:26,58 35,60 33,94 28,94  dark:60,58 67,58 65,94 60,94  accent~:18,46 6,50 0,80 8,88 14,64 22,56
        coat~:12,52 22,40 44,44 60,40 76,46 76,62 56,68 32,67 16,66  coat:14,58 28,60 24,95 18,95
        coat:66,58 77,56 75,95 69,95  coat~:52,52 62,20 74,10 82,20 82,36 76,62
        coat~:66,14 76,6 86,16 99,38 96,46 88,45 74,32  accent:72,4 76,12 62,34 56,50 48,46 58,20
        dark:73,8 76,0 79,9  ink@:83,20 2.2  ink~:92,38 98,39 97,46 91,45  ink:17,90 25,90 25,97 17,97
        ink:68,90 76,90 76,97 68,97""",
        """coat~:-6,120 2,60 20,26 46,14 60,30 60,58 70,120  accent~:-4,70 10,22 34,0 50,2 46,16 30,30 18,66 8,90
        coat~:36,26 44,4 60,6 76,30 96,66 94,82 80,88 68,76 50,58  dark:40,12 42,-10 52,6
        accent:48,4 60,8 64,26 56,20  pale~:70,40 78,42 92,66 86,70  ink@:60,26 4.5  ink@:88,72 4
        dark:76,82 93,78 92,81 77,85""",
    )),
    "ship": Kind("2c3f5c 8e2a24 d8dadc 3a4a48 4a4e56", "c23a28 e0a030 2a4f8a e8e8e4", ("sea",), 0.04, (
        """accent:36,16 46,16 46,40 36,40  ink:36,16 46,16 46,21 36,21  ink:60,8 62,8 62,40 60,40
        ink:54,18 68,18 68,20 54,20  light:18,48 74,48 76,60 18,60  light:28,38 66,38 68,48 28,48
        glass:22,51 72,51 72,55 22,55  glass:32,41 64,41 64,44 32,44  coat:0,58 100,54 86,78 10,78
        red:7,70 91,69 86,78 10,78  foam~:-4,76 20,78 60,76 104,77 104,82 60,83 20,84 -4,82""",
        """light:50,2 50,66 92,66  pale:46,10 46,66 12,66  accent:50,42 76,42 79,47 50,47  ink:47,0 50,0 50,74 47,74
        coat~:4,70 98,70 84,86 18,86  foam~:-2,84 50,84 104,83 104,89 50,90 -2,90""",
    )),
    "truck": Kind("c2281f e0e2e2 2a55a0 d89a20 3f6f4a 5a6068", "e8e8e2 d6d2c4 8a9098 c24a2a 3a6aa8", ("road",), 0.03, (
        """shade~:0,80 100,80 100,90 0,90  accent:0,12 62,12 62,68 0,68  pale:0,12 62,12 62,15 0,15
        coat:3,38 59,38 59,44 3,44  ink:0,68 96,68 96,76 0,76  coat:64,28 84,28 95,48 98,54 98,74 64,74
        glass:70,33 82,33 90,48 70,48  dark:64,62 98,62 98,74 64,74  light:93,56 98,56 98,62 93,62  ink@:14,79 10
        ink@:36,79 10  ink@:82,79 10  bone@:14,79 4  bone@:36,79 4  bone@:82,79 4""",
        """shade~:2,88 98,88 98,97 2,97  ink|:14,78 30,78 30,95 14,95  accent:18,2 82,2 82,60 18,60
        coat:14,22 86,22 88,86 12,86  glass:20,28 80,28 82,50 18,50  ink:49,28 51,28 51,50 49,50
        ink:30,58 70,58 70,72 30,72  pale:30,62 70,62 70,64 30,64  pale:30,67 70,67 70,69 30,69  light@|:21,66 6
        dark:12,77 88,77 88,88 12,88  ink|:5,30 11,30 11,50 5,50""",
    )),
}  # fmt: skip

ROLES = (*VARIED, *FIXED)
TEXTURE = np.array([*VARIED.values(), *(share for _, share in FIXED.values())], np.float32)
FIXED_COLOURS = np.array([list(bytes.fromhex(colour)) for colour, _ in FIXED.values()], np.float32).T
OCTAGON_X = np.array([1, 1, 0.42, -0.42, -1, -1, -0.42, 0.42])
OCTAGON_Y = np.array([-0.42, 0.42, 1, 1, 0.42, -0.42, -1, -1])


class Outline(NamedTuple):
    """A drawing as numbers: the corners of all parts in a row (0 = centre, ±1 = edge), each part's role and share."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    parts: list[tuple[int, slice]]


def _cut_corners(along: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return one coordinate of a closed polygon after its corners were cut twice (Chaikin 1974)."""
    for _ in range(2):
        following = np.roll(along, -1)
        along = np.stack([0.75 * along + 0.25 * following, 0.25 * along + 0.75 * following], 1).ravel()
    return along


def _parse(drawing: str) -> Outline:
    """Return a drawing as numbers, its parts in the order of painting."""
    xs, ys, parts, start = [], [], [], 0
    for role, marks, corners in re.findall(r"([a-z]+)([~@|]*):([-\d., ]+)", drawing):
        numbers = np.array([float(number) for number in re.split("[ ,]+", corners.strip())]) / 50 - 1
        x, y = numbers[0::2], numbers[1::2]
        if "@" in marks:
            x, y = numbers[0] + (numbers[2] + 1) * OCTAGON_X, numbers[1] + (numbers[2] + 1) * OCTAGON_Y
        if "~" in marks:
            x, y = _cut_corners(x), _cut_corners(y)
        for side in (1, -1) if "|" in marks else (1,):
            xs.append(side * x)
            ys.append(y)
            # Pillow takes corners as one flat row x, y, x, y …
            parts.append((ROLES.index(role), slice(2 * start, 2 * (start + len(x)))))
            start += len(x)
    return Outline(np.concatenate(xs), np.concatenate(ys), parts)


OUTLINES = {category: [_parse(drawing) for drawing in kind.drawings] for category, kind in KINDS.items()}
