"""Ten kinds of drawn scene, 80×80 RGB: they stand in for photographs where no real data are at hand.

Only 8-bit Pillow operations and elementwise + − × ÷ are used, so that every machine draws the same bytes.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from whence.drawings import FIXED_COLOURS, KINDS, OUTLINES, PLACES, TEXTURE, Kind, Outline, Place

Field = NDArray[np.float32]
"""Values of pixels, 0 to 255 and beyond: planes (3, 80, 80) while a scene is composed, (32, 32, 3) in the end."""

SIDE = 80
"""Width and height of a scene, in pixels."""

PIXELS = 32
"""Width and height of the images that are made from scenes."""
ROWS, COLUMNS = np.arange(SIDE, dtype=np.float32)[:, None], np.arange(SIDE, dtype=np.float32)[None]
FRAME = np.clip(np.arange(-1, PIXELS + 1), 0, PIXELS - 1)
"""Indexes that repeat the first and the last row or column once."""


class Tile(NamedTuple):
    """The place of a drawn image: image `i` of its cell does not depend on how many the cell holds."""

    split: str
    category: str
    domain: str
    i: int


def draw(category: str, rng: np.random.Generator) -> Image.Image:
    """Return a scene of one of the ten categories, RGB, 80×80, with its pose, colours, texture and light from `rng`."""
    kind = KINDS[category]
    roles = _roles(OUTLINES[category][rng.integers(len(kind.drawings))], kind.tilt, rng)
    place = PLACES[kind.places[rng.integers(len(kind.places))]]
    coarse, fine, fur = _grain(rng)
    colours = _backdrop(place, coarse, fine, rng)
    inside = roles > 0
    fur *= np.take(TEXTURE, roles) * np.float32(rng.uniform(0.2, 0.5))
    np.copyto(colours, np.take(_colours(kind, rng), roles, 1) + fur, where=inside)
    colours += _form(inside, rng)
    return Image.fromarray(_light(colours, rng))


def _roles(outline: Outline, tilt: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return the drawing in a random pose, uint8 (80, 80): an index in `ROLES` per pixel."""
    size, wide, tall, turn, bend_x, bend_y, right, down = rng.uniform(-1, 1, 8).tolist()
    flip = 1 if rng.random() < 0.5 else -1
    x = flip * (1 + 0.1 * wide) * (outline.x + 0.12 * bend_x * outline.y * outline.y)
    y = (1 + 0.1 * tall) * (outline.y + 0.12 * bend_y * outline.x * outline.x)
    # The rational form of a rotation needs no sine, whose last digit differs between machines.
    half = turn * tilt
    cosine, sine = (1 - half * half) / (1 + half * half), 2 * half / (1 + half * half)
    scale = (0.87 + 0.2 * size) * SIDE / 2
    across = SIDE / 2 * (1 + 0.18 * right) + scale * (cosine * x - sine * y)
    along = SIDE / 2 * (1 + 0.1 * down) + scale * (sine * x + cosine * y)
    corners = np.rint(np.stack([across, along], 1)).ravel().tolist()
    canvas = Image.new("L", (SIDE, SIDE))
    pen = ImageDraw.Draw(canvas)
    for role, share in outline.parts:
        pen.polygon(corners[share], fill=role)
    return np.asarray(canvas)


def _grain(rng: np.random.Generator) -> Field:
    """Return three fields of value noise summed over three scales, float32 (3, 80, 80), -128 to 127."""
    half = SIDE // 2
    total = np.zeros((3, half, half), np.float32)
    for cells, share in ((5, 0.5), (16, 0.45), (half, 0.4)):
        total += np.float32(share) * _noise(rng, cells, cells, half)
    pixels = np.clip(total + 128, 0, 255).astype(np.uint8).reshape(3 * half, half)
    return _enlarge(Image.fromarray(pixels), SIDE)


def _noise(rng: np.random.Generator, columns: int, rows: int, side: int) -> Field:
    """Return three smooth random fields, float32 (3, side, side), -128 to 127, each of columns × rows values."""
    return _enlarge(Image.frombytes("L", (columns, 3 * rows), rng.bytes(columns * rows * 3)), side)


def _enlarge(stack: Image.Image, side: int) -> Field:
    """Return three fields that stand one above the other, 8-bit, as float32 (3, side, side), -128 to 127."""
    large = stack.resize((side, 3 * side), Image.Resampling.BILINEAR)
    return np.asarray(large, np.float32).reshape(3, side, side) - np.float32(128)


def _pick(colours: str, rng: np.random.Generator) -> Field:
    """Return one of the colours of a palette, shifted a little at random, float32 (3, 1), 0 to 255."""
    names = colours.split()
    colour = bytes.fromhex(names[rng.integers(len(names))])
    return (np.frombuffer(colour, np.uint8) + rng.uniform(-14, 14, 3)).astype(np.float32)[:, None]


def _backdrop(place: Place, coarse: Field, fine: Field, rng: np.random.Generator) -> Field:
    """Return what stands behind the object, float32 (3, 80, 80), about 0 to 255."""
    low, high = place.horizon
    edge = np.float32(SIDE * rng.uniform(low, high)) + coarse[:1] * np.float32(place.ragged / 40)
    upper, lower = _pick(place.upper, rng)[..., None], _pick(place.lower, rng)[..., None]
    above, below = place.rough
    # The sky pales and the ground darkens away from the horizon; waves and asphalt repeat the grain at a finer pitch.
    haze = (ROWS - edge) * np.float32(0.22)
    streaks = np.take(coarse, np.arange(SIDE) * place.streaks % SIDE, 0) * np.float32(0.3 * below)
    ground = streaks + fine * np.float32(0.4 * below) - haze
    colours = np.where(edge < ROWS, lower + ground, upper + haze + fine * np.float32(0.5 * above))
    mottle = coarse * np.float32(0.08)
    colours[0] += mottle
    colours[2] -= mottle
    return colours


def _colours(kind: Kind, rng: np.random.Generator) -> Field:
    """Return the colour of every role, float32 (3, roles)."""
    coat = _pick(kind.coats, rng)
    varied = [coat, coat, 0.55 * coat + 0.45 * 240, 0.62 * coat, _pick(kind.accents, rng)]
    return np.concatenate([*varied, FIXED_COLOURS], 1, dtype=np.float32)


def _form(inside: NDArray[np.bool_], rng: np.random.Generator) -> Field:
    """Return light and shade of a rounded object lit from one side, and its soft shadow, float32 (80, 80)."""
    mask = Image.fromarray(inside.view(np.uint8) * np.uint8(255))
    soft = np.asarray(mask.reduce(8).resize((SIDE, SIDE), Image.Resampling.BILINEAR), np.float32)
    across, strength = int(rng.integers(-6, 7)), np.float32(rng.uniform(0.1, 0.4))
    shadow = _shift(soft, 5, across)
    return np.where(inside, strength * (_shift(soft, -5, -across) - shadow), np.float32(-0.15) * shadow)


def _shift(field: Field, down: int, right: int) -> Field:
    """Return a field (80, 80) moved by whole pixels, its edges repeated."""
    steps = np.arange(SIDE)
    rows, columns = (np.clip(steps - by, 0, SIDE - 1) for by in (down, right))
    return np.take(np.take(field, rows, 0), columns, 1)


def _light(colours: Field, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return the scene under a random lamp, uint8 (80, 80, 3): exposure, tint, contrast and a fall-off to one side."""
    exposure, warm, across, along, flat = rng.uniform(-1, 1, 5).astype(np.float32)
    contrast = 1 + np.float32(0.25) * flat
    side = across * (COLUMNS / SIDE - 0.5) + along * (ROWS / SIDE - 0.5)
    lamp = 1 + np.float32(0.22) * exposure + np.float32(0.2) * side
    tint = np.array([1 + 0.06 * warm, 1, 1 - 0.09 * warm], np.float32)
    lit = colours * (contrast * lamp) * tint[:, None, None] + 115 * (1 - contrast)
    return np.ascontiguousarray(np.clip(lit, 0, 255).astype(np.uint8).transpose(1, 2, 0))


def shrink(scene: Image.Image, filter_: Image.Resampling, box: tuple[int, int, int, int] | None = None) -> Field:
    """Return a scene or the part of it inside (left, top, right, bottom), float32 (32, 32, 3), 0 to 255."""
    return np.asarray(scene.resize((PIXELS, PIXELS), filter_, box), np.float32)


def develop(pixels: Field, blur: float, noise: float, rng: np.random.Generator) -> Image.Image:
    """Return pixels as 32×32 RGB; a `blur` of 1 is the 3×3 binomial filter, below 0 sharpens; `noise` is in levels."""
    framed = np.take(np.take(pixels, FRAME, 0), FRAME, 1)
    across = framed[:, :-2] + 2 * framed[:, 1:-1] + framed[:, 2:]
    soft = (across[:-2] + 2 * across[1:-1] + across[2:]) / 16
    speckle = np.frombuffer(rng.bytes(pixels.size), np.uint8).reshape(pixels.shape) - np.float32(127.5)
    mixed = pixels + np.float32(blur) * (soft - pixels) + np.float32(noise / 128) * speckle
    return Image.fromarray(np.clip(mixed + np.float32(0.5), 0, 255).astype(np.uint8))


def snapshot(scene: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Return a scene the way of CIFAR-10, 32×32 RGB: an antialiased reduction, seldom quite in focus."""
    pixels = shrink(scene, Image.Resampling.LANCZOS)
    return develop(pixels, rng.uniform(0, 0.6), rng.uniform(0, 4), rng)
