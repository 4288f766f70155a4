"""Charts as SVG that stands in a page: colours are the page's, so that they suit light and dark; points can be read.

What a script needs for that, the scales, stands in data attributes; without one the chart is whole all the same.
"""

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

import numpy as np
from markupsafe import Markup
from numpy.typing import ArrayLike, NDArray

WIDTH, HEIGHT = 380, 290
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 12, 44
COLOURS = 10
DASHES = ("", "6 3", "2 3", "8 3 2 3")
MOST_POINTS = 160
"""Points of a line that are drawn: more cannot be seen."""


class Line(NamedTuple):
    """One run's line: x and y (n,), and where there is one the interval of y."""

    name: str
    x: ArrayLike
    y: ArrayLike
    place: int
    """Among all runs: what colour and dash it has."""
    ends: tuple[ArrayLike, ArrayLike] | None = None
    dots: bool = False
    steps: bool = False


class Axis(NamedTuple):
    """What an axis says, and from where to where it goes; None: as far as the lines do."""

    label: str
    low: float | None = None
    high: float | None = None
    log: bool = False


def chart(
    title: str, lines: Sequence[Line], x: Axis, y: Axis, across: Iterable[str] = (), small: bool = False
) -> Markup:
    """Return an SVG of some lines; `across` draws in grey the diagonal ("rising") or a level ("0.5")."""
    width, height = (250, 200) if small else (WIDTH, HEIGHT)
    scales = (_Scale(x, [line.x for line in lines], LEFT, width - RIGHT), _scale_y(y, lines, height))
    parts = [_axes(scales, x, y, width, height)]
    parts += [_across(kind, scales) for kind in across]
    parts += [_line(line, scales) for line in lines]
    frame = " ".join(f'data-{name}="{scale.told()}"' for name, scale in zip("xy", scales, strict=True))
    head = f'<svg class="chart" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}" {frame}>'
    return Markup(f"{head}{''.join(parts)}</svg>")


def interval(value: float, low: float | None, high: float | None, start: float, stop: float) -> Markup:
    """Return a dot with its interval on a line from `start` to `stop`, to stand in a table."""
    known = [each for each in (value, low, high) if each is not None and math.isfinite(each)]
    place = [4 + 112 * (min(max(each, start), stop) - start) / (stop - start) for each in known]
    bar = f'<line class="bar" x1="{place[1]:.1f}" x2="{place[2]:.1f}" y1="8" y2="8"/>' if len(place) == 3 else ""
    rest = f'<line class="rest" x1="4" x2="116" y1="8" y2="8"/>{bar}<circle cx="{place[0]:.1f}" cy="8" r="3.5"/>'
    return Markup(f'<svg class="dot" viewBox="0 0 120 16" aria-hidden="true">{rest}</svg>')


class _Scale:
    """From values to pixels."""

    def __init__(self, axis: Axis, values: list[ArrayLike], start: float, stop: float) -> None:
        known = np.concatenate([np.asarray(part, float).ravel() for part in values] or [np.zeros(0)])
        known = known[np.isfinite(known) & ((known > 0) | (not axis.log))]
        low, high = (float(known.min()), float(known.max())) if len(known) else (0.1, 1.0)
        room = 0.0 if axis.log else 0.04 * (high - low)
        self.low, self.high = (
            told if told is not None else end for told, end in ((axis.low, low - room), (axis.high, high + room))
        )
        if self.high <= self.low:
            self.low, self.high = (self.low / 2, self.low * 2) if axis.log else (self.low - 0.5, self.low + 0.5)
        self.log, self.start, self.stop = axis.log, start, stop

    def __call__(self, value: ArrayLike) -> NDArray[np.float64]:
        """Return the place of each value, kept within the axis."""
        at, low, high = (self._turned(each) for each in (np.clip(value, self.low, self.high), self.low, self.high))
        return np.asarray(self.start + (at - low) / (high - low) * (self.stop - self.start))

    def _turned(self, value: ArrayLike) -> NDArray[np.float64]:
        return np.asarray(np.log10(value) if self.log else value, float)

    def ticks(self) -> list[float]:
        """Return round numbers within the axis, some five of them; a short logarithmic one as a linear one."""
        if self.log:
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            digits = (1, 2, 5) if self.high > 5 * self.low else range(1, 10)
            found = [digit * 10.0**power for power in powers for digit in digits]
            found = [tick for tick in found if self.low * 0.999 <= tick <= self.high * 1.001]
            if len(found) > 1:
                return found
        span = (self.high - self.low) / 5
        power = 10.0 ** math.floor(math.log10(span))
        step = power * next(digit for digit in (1, 2, 5, 10) if digit * power >= span * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        return [k * step for k in range(first, math.floor(self.high / step + 1e-9) + 1)]

    def told(self) -> str:
        """Return all of it, for a script."""
        return f"{self.low:.6g} {self.high:.6g} {self.start:g} {self.stop:g} {'log' if self.log else 'linear'}"


def _scale_y(y: Axis, lines: Sequence[Line], height: float) -> _Scale:
    values = [part for line in lines for part in (line.y, *(line.ends or ()))]
    return _Scale(y, values, height - BOTTOM, TOP)


def _axes(scales: tuple[_Scale, _Scale], x: Axis, y: Axis, width: float, height: float) -> str:
    right, bottom = width - RIGHT, height - BOTTOM
    parts = []
    for tick in scales[0].ticks():
        at = float(scales[0](tick))
        parts.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{bottom}"/>')
        parts.append(f'<text class="tick" x="{at:.1f}" y="{bottom + 15}" text-anchor="middle">{tick:.4g}</text>')
    for tick in scales[1].ticks():
        at = float(scales[1](tick))
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{tick:.4g}</text>')
    middle = (LEFT + right) / 2, (TOP + bottom) / 2
    parts.append(
        f'<text class="label" x="{middle[0]:.0f}" y="{height - 8}" text-anchor="middle">{escape(x.label)}</text>'
    )
    turned = f'transform="rotate(-90 13 {middle[1]:.0f})"'
    parts.append(
        f'<text class="label" x="13" y="{middle[1]:.0f}" text-anchor="middle" {turned}>{escape(y.label)}</text>'
    )
    return "".join(parts)


def _across(kind: str, scales: tuple[_Scale, _Scale]) -> str:
    x, y = scales
    ends = (y.low, y.high) if kind == "rising" else (float(kind), float(kind))
    places = f'x1="{x.start:g}" y1="{float(y(ends[0])):.1f}" x2="{x.stop:g}" y2="{float(y(ends[1])):.1f}"'
    return f'<line class="across" {places}/>'


def _line(line: Line, scales: tuple[_Scale, _Scale]) -> str:
    x, y = (np.asarray(part, float).ravel() for part in (line.x, line.y))
    known = np.isfinite(x) & np.isfinite(y)
    some = np.flatnonzero(known)
    some = (
        some[np.unique(np.linspace(0, len(some) - 1, min(MOST_POINTS, len(some))).astype(int))] if len(some) else some
    )
    at, up = scales[0](x[some]), scales[1](y[some])
    band = ""
    if line.ends is not None and len(some):
        low, high = (scales[1](np.asarray(end, float).ravel()[some]) for end in line.ends)
        outline = _path([*at, *at[::-1]], [*high, *low[::-1]])
        band = f'<path class="band" d="{outline}Z"/>'
    dash = DASHES[line.place // COLOURS % len(DASHES)]
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    drawn = f'<path class="line"{dashed} d="{_stepped(at, up) if line.steps else _path(at, up)}"/>'
    dots = (
        "".join(f'<circle cx="{a:.1f}" cy="{b:.1f}" r="2.5"/>' for a, b in zip(at, up, strict=True))
        if line.dots
        else ""
    )
    name = escape(line.name, quote=True)
    return f'<g class="run c{line.place % COLOURS}" data-run="{name}">{band}{drawn}{dots}</g>'


def _path(x: Iterable[float], y: Iterable[float]) -> str:
    return "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True))


def _stepped(x: Sequence[float] | NDArray[np.float64], y: Sequence[float] | NDArray[np.float64]) -> str:
    """Return a path that goes up or down first, then along: between two points of recall the later precision holds."""
    turns = [
        (a, b)
        for k, (a, b) in enumerate(zip(x, y, strict=True))
        for a, b in ([(x[k - 1], b), (a, b)] if k else [(a, b)])
    ]
    return _path(*zip(*turns, strict=True)) if turns else ""
