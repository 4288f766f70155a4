"""Drawn streets in two styles, as polygons and as pictures: they stand in for IDD and Cityscapes where no data are.

A street is straight, in metres, seen through a pinhole: `x` to the right of the camera, `up` from the ground, `away`
ahead. Only elementwise + − × ÷ is used, so that every machine draws the same bytes.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np

from whence.roads.classes import Scene
from whence.streets.sketches import FLAT, KINDS, UNIT, Face, Field, Point, on
from whence.streets.styles import Style, known

CAMERA = 1.4
"""Height of the camera above the ground, in metres."""
NEAR, FAR, LONG = 1.5, 90.0, 130.0
"""Metres ahead: where drawing begins and ends, and how much of a street is known: frames stand at places of it."""
PARKING = 2.3
"""Width of a strip to park on, in metres."""


class Box(NamedTuple):
    """A drawing that stands in the street, upright and square to the camera; lengths in metres."""

    away: float
    x: float
    name: str
    which: int = 0
    up: float = 0.0
    size: float = 1.0
    rough: Field | float = 0.0
    """How far corners stray, as shares of its width."""


class Wall(NamedTuple):
    """An upright rectangle in the street, from (x, away) to (beyond, far); lengths in metres."""

    away: float
    x: float
    name: str
    far: float
    beyond: float
    high: float


class Piece(NamedTuple):
    """A polygon to be: its corners (n, 2) as shares of a face, from near to far and from the one side to the other."""

    name: str
    face: Face
    shape: Field


class View(NamedTuple):
    """A camera: the frame and the focal length in pixels, and the point where the street vanishes."""

    width: int
    height: int
    focal: float
    across: float
    horizon: int

    def at(self, x: float, up: float, away: float) -> Point:
        """Return the place in the frame of a point in metres."""
        scale = self.focal / away
        return self.across + x * scale, self.horizon + (CAMERA - up) * scale

    def strip(self, name: str, left: float, right: float) -> Piece:
        """Return a strip of the ground."""
        ends = self.at(left, 0, NEAR), self.at(left, 0, FAR), self.at(right, 0, FAR), self.at(right, 0, NEAR)
        return Piece(name, ends, UNIT)

    def pieces(self, things: Iterable[Box | Wall]) -> Iterator[Piece]:
        """Yield what is seen of things, the farthest first: not what is out of sight, or too small."""
        for thing in sorted(things, key=lambda each: -each.away):
            if isinstance(thing, Wall):
                piece = self._wall(thing) if thing.away < FAR and thing.far > NEAR else None
            else:
                piece = self._box(thing) if 2 * NEAR < thing.away < FAR else None
            if piece:
                (left, top), (right, _), _, (_, foot) = piece.face
                if max(left, right) > 0 and min(left, right) < self.width and foot - top > self.height / 28:
                    yield piece

    def _wall(self, wall: Wall) -> Piece:
        near, far = max(wall.away, NEAR), min(wall.far, FAR)
        ends = self.at(wall.x, wall.high, near), self.at(wall.beyond, wall.high, far)
        return Piece(wall.name, (*ends, self.at(wall.beyond, 0, far), self.at(wall.x, 0, near)), UNIT)

    def _box(self, box: Box) -> Piece:
        kind = KINDS[box.name][box.which]
        scale = self.focal / box.away
        half, tall = max(kind.width * box.size * scale, self.width / 80) / 2, kind.height * box.size * scale
        x, foot = self.at(box.x, box.up, box.away)
        start, end = (x + half, x - half) if x < self.width / 2 else (x - half, x + half)
        shape = kind.outline + box.rough[: len(kind.outline)] if isinstance(box.rough, np.ndarray) else kind.outline
        return Piece(box.name, ((start, foot - tall), (end, foot - tall), (end, foot), (start, foot)), shape)


class Street(NamedTuple):
    """The lie of a street, the same in all frames of a drive; in metres, of both sides, the left one first."""

    style: Style
    view: View
    edges: tuple[float, float]
    """x of the edges of the road."""
    facades: tuple[float, float]
    """x of what stands along the street."""
    walks: tuple[bool, bool]
    parked: tuple[bool, bool]

    def sides(self) -> Iterator[tuple[int, float, float, bool, bool]]:
        """Yield -1 or 1 and, of this side, the edge, the facades, whether it has a sidewalk, and parked cars."""
        yield from zip((-1, 1), self.edges, self.facades, self.walks, self.parked, strict=True)


def plan(style: str, width: int, height: int, drive: np.random.Generator, frame: np.random.Generator) -> Scene:
    """Return a street: its place from `drive`, what differs from frame to frame from `frame`; width, height in pixels.

    Raises InputError for a style that is not in STYLES.
    """
    street = _street(known(style), width, height, drive)
    pieces = [*_far(street.view, drive), *_ground(street)]
    ego = _ego(street, drive)
    gone = frame.uniform(0, LONG - FAR)
    walls = [_passed(each, gone) for each in _along(street, drive)]
    things = [_passed(each, gone) for each in _at_the_edge(street, drive)]
    things += [*_traffic(street, frame), *_people(street, frame)]
    pieces += _sand(street, frame)
    pieces += [*street.view.pieces(walls), *street.view.pieces(things), *ego]
    flat = iter(on(np.array([each.face for each in pieces]), [each.shape for each in pieces]))
    corners = zip(flat, flat, strict=True)
    return Scene(width, height, [(each.name, list(islice(corners, len(each.shape)))) for each in pieces])


def _passed(thing: Box | Wall, metres: float) -> Box | Wall:
    """Return a thing as it stands after the camera has moved on."""
    if isinstance(thing, Wall):
        return thing._replace(away=thing.away - metres, far=thing.far - metres)
    return thing._replace(away=thing.away - metres)


def _one(names: str, share: float) -> str:
    """Return the name that stands at a share of a list with commas."""
    each = names.split(",")
    return each[int(share * len(each))]


def _between(ends: tuple[float, float], share: float) -> float:
    return ends[0] + (ends[1] - ends[0]) * share


def _street(style: Style, width: int, height: int, drive: np.random.Generator) -> Street:
    """Return the lie of a street. The camera is in the middle of its lane."""
    across, tall, broad, *verges = drive.random(5).tolist()
    horizon = round(_between(style.horizon, tall) * height)
    view = View(width, height, style.focal * width, width * (0.44 + 0.12 * across), horizon)
    half = _between(style.half, broad)
    left, right = (side * half - style.hand * half / 2 for side in (-1, 1))
    (strip, strip_), (walk, walk_) = ((drive.random(2) < share).tolist() for share in (style.parked, style.walks))
    beside, beside_ = (_between(style.verge, each) for each in verges)
    facades = left - beside - PARKING * strip, right + beside_ + PARKING * strip_
    return Street(style, view, (left, right), facades, (walk, walk_), (strip, strip_))


def _far(view: View, drive: np.random.Generator) -> list[Piece]:
    """Return the sky, and the trees far away."""
    frame: Face = ((0, 0), (view.width, 0), (view.width, view.height), (0, view.height))
    low = (view.horizon + 1) / view.height
    rise = (4 + 9 * drive.random(32)) * view.focal / (FAR * view.height)
    trees = np.stack([np.linspace(0, 1, 32), low - rise], 1)
    return [
        Piece("sky", frame, np.array([(0, 0), (1, 0), (1, low), (0, low)])),
        Piece("vegetation", frame, np.concatenate([[(0, low)], trees, [(1, low)]])),
    ]


def _ground(street: Street) -> list[Piece]:
    """Return the ground: what is beside the road, sidewalks, strips to park on, the road, curbs."""
    view, style = street.view, street.style
    below: Face = ((0, view.horizon), (view.width, view.horizon), (view.width, view.height), (0, view.height))
    pieces, curbs = [Piece(style.ground, below, UNIT)], []
    for side, edge, facade, walk, parked in street.sides():
        inner = edge + side * PARKING * (parked and "parking" in style.extras)
        if walk:
            pieces.append(view.strip("sidewalk", inner, facade))
        if walk and "curb" in style.extras:
            curbs.append(Wall(NEAR, edge, "curb", FAR / 2, edge, 0.25))
        if inner != edge:
            pieces.append(view.strip("parking", edge, inner))
    return [*pieces, view.strip("road", *street.edges), *view.pieces(curbs)]


def _sand(street: Street, frame: np.random.Generator) -> Iterator[Piece]:
    """Yield tongues of sand that reach from the edges onto the road, where there is no sidewalk."""
    for side, edge, _, walk, _ in street.sides():
        for _ in range(0 if walk else 4):
            depth, broad, *rough = frame.random(8).tolist()
            away = 1 / (0.04 + 0.26 * depth)
            hump = zip((0.2, 0.7, 1, 0.9, 0.6, 0.2), rough, strict=True)
            rim = [edge - side * (0.2 + 1.2 * broad * share + 0.25 * more) for share, more in hump]
            shape = [street.view.at(x, 0, away * (0.8 + 0.09 * i)) for i, x in enumerate(rim)]
            shape += [street.view.at(edge + 0.5 * side, 0, away * share) for share in (1.35, 0.75)]
            yield Piece("non-drivable fallback", FLAT, np.array(shape))


def _ego(street: Street, drive: np.random.Generator) -> list[Piece]:
    """Return the bonnet of the car that carries the camera, where it is seen."""
    if drive.random() < 0.5 or "ego vehicle" not in street.style.extras:
        return []
    width, height = street.view.width, street.view.height
    arch = [(0, 1), (0.06, 0.965), (0.2, 0.93), (0.4, 0.915), (0.6, 0.915), (0.8, 0.93), (0.94, 0.965), (1, 1)]
    return [Piece("ego vehicle", ((0, 0), (width, 0), (width, height), (0, height)), np.array(arch))]


def _along(street: Street, drive: np.random.Generator) -> Iterator[Box | Wall]:
    """Yield what stands along the street: buildings wall to wall, trees, walls with trees behind, billboards."""
    for side, _, facade, _, _ in street.sides():
        away, before = -8 * drive.random(), 0.0
        while away < LONG:
            pick, length, tall, back = drive.random(4).tolist()
            name, x, end = _one(street.style.along, pick), facade + side * back, away + 7 + 12 * length
            high = _between(street.style.storeys, tall) if name == "building" else 1.4 + 1.2 * tall
            if name == "billboard":
                yield Box(away + 2, x + side * 2, "pole", size=0.6)
                yield Box(away + 2, x + side * 2, name, up=3)
            elif name != "vegetation":
                yield Wall(away, x, name, end, x, high)
            if name != "building":
                rough = drive.uniform(-0.06, 0.06, (24, 2))
                yield Box(end, x + side * 3, "vegetation", size=0.8 + 0.6 * tall, rough=rough)
                yield Box((away + end) / 2, x + side * 2, "vegetation", int(2 * back), size=1 + tall, rough=-rough)
            elif high > before:
                yield Wall(away, x, name, away, x + side * 14, high)
            away, before = end, high


_TURNED = {"motorcycle": 1, "bicycle": 1, "vegetation": 0}
"""What stands at the edge of a road from the side, or as a tree, never as a bush."""


def _at_the_edge(street: Street, drive: np.random.Generator) -> Iterator[Box]:
    """Yield what stands at the edges of the road: poles and what hangs on them, trees, parked cars."""
    for side, edge, _, _, parked in street.sides():
        x, away = edge + side * (0.7 + PARKING * parked), 4 + 8 * drive.random()
        while away < LONG - 30:
            pick, which, size, step = drive.random(4).tolist()
            name = _one(street.style.edge, pick)
            if name in {"traffic sign", "traffic light"}:
                yield Box(away, x, "pole", size=0.45)
                yield Box(away, x, name, int(len(KINDS[name]) * which), up=2.1)
            else:
                turned = int(len(KINDS[name]) * which) if name not in _TURNED else _TURNED[name]
                rough = drive.uniform(-0.06, 0.06, (24, 2)) if name == "vegetation" else 0
                yield Box(away, x, name, turned, size=0.8 + 0.4 * size, rough=rough)
            away += 6 + 10 * step
        for place in np.flatnonzero(drive.random(int(LONG / 6.5)) < 0.6 * parked).tolist():
            yield Box(5 + 6.5 * place, edge + 0.6 * side, "car", 1)


def _traffic(street: Street, frame: np.random.Generator) -> Iterator[Box]:
    """Yield vehicles on the road, and who rides them; the first is near."""
    style = street.style
    for i in range(frame.integers(style.vehicles[0], style.vehicles[1] + 1)):
        pick, lane, weave, depth, size = frame.random(5).tolist()
        name = _one(style.traffic, pick)
        x = _between(street.edges, 0.25 if lane < 0.5 else 0.75) + style.weave * (2 * weave - 1)
        away = 1 / (0.02 + 0.1 * depth) if i else 8 + 6 * depth
        away = _in_sight(street.view, x, away + 5 * (name in {"truck", "bus"}))
        yield Box(away, x, name, int(name in {"car", "bus"} and abs(x) > 2), size=0.94 + 0.12 * size)
        if name in {"motorcycle", "bicycle"}:
            yield Box(away, x, "rider", up=0.52)


def _people(street: Street, frame: np.random.Generator) -> Iterator[Box]:
    """Yield who walks: most beside the road, some across; the first is near."""
    for i in range(frame.integers(street.style.people[0], street.style.people[1] + 1)):
        where, side, place, depth, size = frame.random(5).tolist()
        beside = street.edges[side < 0.5], street.facades[side < 0.5]
        x = _between(beside if where < 0.75 else street.edges, 0.2 + 0.7 * place)
        away = _in_sight(street.view, x, 1 / (0.04 + 0.13 * depth) if i else 6 + 5 * depth)
        yield Box(away, x, "person", int(20 * size) % 2, size=0.86 + 0.2 * size)


def _in_sight(view: View, x: float, away: float) -> float:
    """Return how far away a thing must be to stand inside of the frame, at least `away`."""
    return max(away, abs(x) * view.focal / (0.4 * view.width))
