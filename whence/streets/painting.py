"""Pictures of drawn streets: colours, textures, light, and details that a mask does not show.

Only 8-bit Pillow operations and elementwise + − × ÷ are used, so that every machine draws the same bytes.
"""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from whence.base.errors import InputError
from whence.roads.classes import Scene
from whence.streets.sketches import FLAT, KINDS, PATTERNS, PLACE, ROLES, UNIT, Drawing, Face, Field, Pattern, on
from whence.streets.styles import COLOURS, Style, known

Corners = list[tuple[int, int]]
SHARP = 2
"""How many times larger than the picture its polygons are painted, for smooth edges."""


class Palette(NamedTuple):
    """COLOURS of a class as numbers, 0 to 255."""

    strength: float
    coats: list[list[int]]
    accents: list[list[int]]


def _levels(colours: str) -> list[list[int]]:
    return [list(bytes.fromhex(colour)) for colour in colours.split()]


def _palette(text: str) -> Palette:
    strength, _, colours = text.partition(" ")
    coats, _, accents = colours.partition("/")
    return Palette(float(strength), _levels(coats), _levels(accents))


_PALETTES = {style: {name: _palette(text) for name, text in each.items()} for style, each in COLOURS.items()}
MINE, SECOND = (np.array([role[i] for role in ROLES.values()], np.float32)[:, None] for i in (0, 1))
ADDED = np.array(_levels(" ".join(role[2] for role in ROLES.values())), np.float32)


def paint(scene: Scene, style: str, rng: np.random.Generator) -> Image.Image:
    """Return a street as a picture, RGB, width × height; colours, light and what a mask does not show from `rng`.

    Raises InputError for a style that is not in STYLES, and for a class that has no colours in it.
    """
    look = known(style)
    if strange := {name for name, _ in scene.parts} - COLOURS[style].keys():
        raise InputError(
            f"{style} has no colours for {', '.join(sorted(strange))}, only for {', '.join(COLOURS[style])}"
        )
    horizon = max((y for name, corners in scene.parts if name == "sky" for _, y in corners), default=scene.height // 2)
    # The fourth channel is the strength of the texture.
    canvas = Image.new("RGBX", (SHARP * scene.width, SHARP * scene.height))
    faces = [_face(name, corners, scene.width) for name, corners in scene.parts]
    drawings = [
        _drawing(name, face, look.focal * scene.width, look, rng)
        for (name, _), face in zip(scene.parts, faces, strict=True)
    ]
    flat = on(SHARP * np.array(faces), [each.points for each in drawings]) if faces else []
    pen, start = ImageDraw.Draw(canvas), 0
    for (_, corners), inks, drawing in zip(scene.parts, _inks(scene, style, horizon, rng), drawings, strict=True):
        outline = [SHARP * value for corner in corners for value in corner]
        for role, first, last in drawing.strokes:
            pen.polygon(flat[start + 2 * first : start + 2 * last] or outline, fill=inks[role])
        start += 2 * len(drawing.points)
    return _develop(canvas.reduce(SHARP), horizon, look, rng)


PLAIN = Drawing(UNIT, [(0, 0, 0)])
"""Nothing but the outline."""


def _face(name: str, corners: Corners, width: int) -> Face:
    """Return what a polygon's details are painted on: its bounds, mirrored in the left half, or its corners."""
    if name in KINDS:
        across, down = [x for x, _ in corners], [y for _, y in corners]
        start, end, top, foot = min(across), max(across), min(down), max(down)
        if start + end < width:
            start, end = end, start
        return (start, top), (end, top), (end, foot), (start, foot)
    return (corners[0], corners[1], corners[2], corners[3]) if len(corners) == 4 else FLAT


def _drawing(name: str, face: Face, focal: float, look: Style, rng: np.random.Generator) -> Drawing:
    """Return what is painted on a face, in the more detail the larger it is; focal length in pixels."""
    wide, tall = (abs(face[2][i] - face[0][i]) for i in (0, 1))
    if name in KINDS and wide < 5 * tall:
        kind = min(KINDS[name], key=lambda each: abs(each.width * tall - each.height * wide))
        return kind.drawing._replace(strokes=kind.drawing.strokes[: 3 + int(tall / 5)])
    if name in PATTERNS and face != FLAT:
        return _covered(PATTERNS[name], face, focal, look, rng)
    return PLAIN


def _covered(patterns: Sequence[Pattern], face: Face, focal: float, look: Style, rng: np.random.Generator) -> Drawing:
    """Return the patterns of a face."""
    near, far, wide = (
        1e-6 + abs(face[i][0] - face[j][0]) + abs(face[i][1] - face[j][1]) for i, j in ((0, 3), (1, 2), (0, 1))
    )
    # In lengths of an edge: what runs away from the camera is longer than it looks.
    long = max(wide / near, focal * abs(1 / far - 1 / near))
    if min(near, wide) < 8:
        return PLAIN
    points, strokes, start = [PLAIN.points], list(PLAIN.strokes), len(PLAIN.points)
    for (roles, often, rows, along, down, chance), lot in zip(
        patterns, rng.random(len(patterns)).tolist(), strict=True
    ):
        if lot >= (look.marked if chance is None else chance):
            continue
        columns = min(1 + int(often * long), 1 + int(wide / 10), 10)
        grid = _grid(columns, min(rows, 1 + int(near / 10)), along, down)
        inked = [PLACE[role] for role in roles.split()]
        picks = rng.integers(len(inked), size=len(grid) // 4).tolist() if len(inked) > 1 else [0] * (len(grid) // 4)
        strokes += [(inked[pick], start + 4 * i, start + 4 * i + 4) for i, pick in enumerate(picks)]
        points.append(grid)
        start += len(grid)
    return Drawing(np.concatenate(points), strokes)


@cache
def _grid(columns: int, rows: int, along: tuple[float, float], down: tuple[float, float]) -> Field:
    """Return the corners (columns × rows × 4, 2) of a patch in every cell; between rows there is space."""
    free = 0.22 if rows > 1 else 0
    u = np.repeat(np.arange(columns), rows)[:, None] + np.take(along, [0, 1, 1, 0])
    v = np.tile(np.arange(rows), columns)[:, None] + np.take((free, 1 - free), [0, 0, 1, 1])
    return np.stack([u / columns, down[0] + (down[1] - down[0]) * v / rows], 2).reshape(-1, 2)


def _inks(scene: Scene, style: str, horizon: int, rng: np.random.Generator) -> list[list[int]]:
    """Return what Pillow paints with, for every part and role: red, green, blue, strength of texture, lowest first."""
    palettes = [_PALETTES[style][name] for name, _ in scene.parts]
    picks = rng.random((2, len(palettes))).tolist()
    coat = [each.coats[int(len(each.coats) * pick)] for each, pick in zip(palettes, picks[0], strict=True)]
    accent = [each.accents[int(len(each.accents) * pick)] for each, pick in zip(palettes, picks[1], strict=True)]
    varied = rng.uniform(-14, 14, (len(palettes), 1)) + rng.uniform(-5, 5, (len(palettes), 3))
    own = np.array(coat, np.float32).reshape(-1, 3) + varied.astype(np.float32)
    colours = own[:, None] * MINE + np.array(accent, np.float32).reshape(-1, 1, 3) * SECOND + ADDED
    reach = [
        max(abs(y - horizon) for _, y in corners) if name != "sky" else scene.height for name, corners in scene.parts
    ]
    pale = np.clip(1 - np.array(reach, np.float32)[:, None, None] / max(scene.height - horizon, 1), 0, 1)
    colour, share = known(style).haze
    # The sixth power: near things are clear.
    pale = pale * pale * pale
    colours += np.float32(share) * pale * pale * (np.array(_levels(colour), np.float32) - colours)
    inks = np.empty((*colours.shape[:2], 4), np.uint8)
    inks[..., :3] = np.clip(colours, 0, 255)
    inks[..., 3] = np.array([each.strength for each in palettes])[:, None]
    packed: list[list[int]] = inks.view("<u4")[..., 0].tolist()
    return packed


def _develop(canvas: Image.Image, horizon: int, look: Style, rng: np.random.Generator) -> Image.Image:
    """Return colours and strengths of texture as a picture, in the light of the style."""
    pixels = np.stack([np.asarray(band, np.float32) for band in canvas.split()])
    _, height, width = pixels.shape
    rows = np.arange(height, dtype=np.float32)[:, None] - horizon
    # The sky is deeper above, the ground darker below.
    light = np.where(
        rows < 0, rows * np.float32(22 / max(horizon, 1)), rows * np.float32(-16 / max(height - horizon, 1))
    )
    exposure, warm, flat = rng.uniform(-1, 1, 3).tolist()
    contrast = look.light[0] * (1 + 0.12 * flat)
    tint = np.array(look.light[1:]) * (1 + 0.14 * exposure) * (1 + 0.05 * warm, 1, 1 - 0.05 * warm) * contrast
    lit = pixels[:3] + (light + pixels[3] * _grain(rng, width, height))
    lit = lit * tint.astype(np.float32)[:, None, None] + np.float32(118 * (1 - contrast))
    return Image.merge("RGB", [Image.fromarray(band) for band in np.clip(lit, 0, 255).astype(np.uint8)])


def _grain(rng: np.random.Generator, width: int, height: int) -> NDArray[np.float32]:
    """Return value noise of three scales, (height, width), about -0.5 to 0.5."""
    total = np.frombuffer(rng.bytes(width * height), np.uint8).reshape(height, width) * np.float32(0.2 / 255)
    for cell, share in ((24, 0.35), (6, 0.45)):
        columns, rows = width // cell + 2, height // cell + 2
        noise = Image.frombytes("L", (columns, rows), rng.bytes(columns * rows))
        total += np.float32(share / 255) * np.asarray(noise.resize((width, height), Image.Resampling.BILINEAR))
    return total - np.float32(0.5)
