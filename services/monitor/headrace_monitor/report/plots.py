"""Plots as SVG. Pure: values in, markup out; every text is escaped, colours are classes of the page's style."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

WIDTH, HEIGHT = 560, 220
# Of a plot over the whole page.
WIDE = 1120
_LABEL_CHARS = 12
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 8, 10, 26


@dataclass(frozen=True, slots=True)
class Series:
    """One thing that is drawn. style: class of its colour, `c0` to `c7`. values: None where there is nothing."""

    name: str
    style: str
    values: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Axis:
    """labels: of the places along the x axis, all of them; as many are written as have room. unit: of values."""

    labels: tuple[str, ...]
    unit: str = ""


def stacked(title: str, axis: Axis, series: Sequence[Series]) -> Markup:
    """Return bars with a part for each series, one above the other."""
    totals = [sum(_size(one.values[at]) for one in series) for at in range(len(axis.labels))]
    top = nice_ceiling(max(totals, default=0))
    frame = _Frame(axis, top)
    bars = []
    for at in range(len(axis.labels)):
        below = 0.0
        for one in series:
            value = _size(one.values[at])
            if value <= 0:
                continue
            y, height = frame.y(below + value), frame.y(below) - frame.y(below + value)
            bars.append(
                f'<rect class="{one.style}" x="{frame.x(at) + frame.step * 0.08:.1f}" y="{y:.1f}" '
                f'width="{frame.step * 0.84:.1f}" height="{height:.1f}">{_tip(axis.labels[at], one.name, value, axis)}'
                "</rect>"
            )
            below += value
    return _svg(title, frame, bars)


def lines(title: str, axis: Axis, series: Sequence[Series]) -> Markup:
    """Return a line for each series, broken where it has no value; as wide as the page."""
    top = nice_ceiling(max((_size(value) for one in series for value in one.values), default=0))
    frame = _Frame(axis, top, width=WIDE)
    drawn = []
    for one in series:
        for run in _runs(one.values):
            points = [(frame.x(at) + frame.step / 2, frame.y(value)) for at, value in run]
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
            drawn.append(f'<polyline class="line {one.style}" points="{path}"/>')
            drawn += [
                f'<circle class="{one.style}" cx="{x:.1f}" cy="{y:.1f}" r="2.6">'
                f"{_tip(axis.labels[at], one.name, value, axis)}</circle>"
                for (x, y), (at, value) in zip(points, run, strict=True)
            ]
    return _svg(title, frame, drawn)


def paired(title: str, axis: Axis, first: Series, second: Series) -> Markup:
    """Return two bars at each place, beside each other."""
    top = nice_ceiling(max((_size(value) for one in (first, second) for value in one.values), default=0))
    frame = _Frame(axis, top, height=160)
    bars = []
    for at, label in enumerate(axis.labels):
        for place, one in enumerate((first, second)):
            value = _size(one.values[at])
            x = frame.x(at) + frame.step * (0.1 + 0.4 * place)
            bars.append(
                f'<rect class="{one.style}" x="{x:.1f}" y="{frame.y(value):.1f}" width="{frame.step * 0.38:.1f}" '
                f'height="{frame.y(0) - frame.y(value):.1f}">{_tip(label, one.name, value, axis)}</rect>'
            )
    return _svg(title, frame, bars)


def nice_ceiling(value: float) -> float:
    """Return the least of 1, 2, 2.5, 5 times a power of ten that is not below the value; 1 for nothing.

    >>> nice_ceiling(1.3), nice_ceiling(230), nice_ceiling(0)
    (2.0, 250.0, 1.0)
    """
    if not (value > 0 and math.isfinite(value)):
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(
        (factor * power for factor in (1.0, 2.0, 2.5, 5.0) if factor * power >= value * (1 - 1e-12)), 10 * power
    )


def short(value: float) -> str:
    """Return a number in few characters.

    >>> short(1234567), short(0.25), short(12000)
    ('1.23M', '0.25', '12k')
    """
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


class _Frame:
    """Where values lie on the page."""

    def __init__(self, axis: Axis, top: float, *, width: int = WIDTH, height: int = HEIGHT) -> None:
        self.axis, self.top, self.width, self.height = axis, top, width, height
        self.step = (width - _LEFT - _RIGHT) / max(len(axis.labels), 1)

    def x(self, at: int) -> float:
        return _LEFT + at * self.step

    def y(self, value: float) -> float:
        room = self.height - _TOP - _BOTTOM
        return _TOP + room * (1 - min(max(value / self.top, 0), 1))

    def drawn(self) -> list[str]:
        """Return the grid and the words beside it."""
        parts = []
        for part in (0, 0.25, 0.5, 0.75, 1):
            value, y = self.top * part, self.y(self.top * part)
            parts.append(f'<line class="grid" x1="{_LEFT}" x2="{self.width - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
            words = escape(short(value) + self.axis.unit)
            parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{words}</text>')
        widest = min(max(map(len, self.axis.labels), default=1), _LABEL_CHARS)
        every = max(math.ceil((widest * 7 + 14) / self.step), 1)
        for at in range(0, len(self.axis.labels), every):
            x, y = self.x(at) + self.step / 2, self.height - 8
            parts.append(f'<text x="{x:.1f}" y="{y}" text-anchor="middle">{escape(_cut(self.axis.labels[at]))}</text>')
        return parts


def _svg(title: str, frame: _Frame, drawn: Sequence[str]) -> Markup:
    inside = "".join([*frame.drawn(), *drawn])
    return Markup(
        f'<svg role="img" aria-label="{escape(title)}" viewBox="0 0 {frame.width} {frame.height}">'
        f"<title>{escape(title)}</title>{inside}</svg>"
    )


def _tip(label: str, name: str, value: float, axis: Axis) -> str:
    return f"<title>{escape(label)}, {escape(name)}: {escape(short(value) + axis.unit)}</title>"


def _size(value: float | None) -> float:
    """Return how high a bar is: what is no number has none."""
    return value if value is not None and math.isfinite(value) and value > 0 else 0.0


def _cut(label: str) -> str:
    return label if len(label) <= _LABEL_CHARS else label[: _LABEL_CHARS - 1] + "…"


def _runs(values: Sequence[float | None]) -> list[list[tuple[int, float]]]:
    """Return the stretches without gaps."""
    runs: list[list[tuple[int, float]]] = [[]]
    for at, value in enumerate(values):
        if value is None or not math.isfinite(value):
            runs.append([])
        else:
            runs[-1].append((at, value))
    return [run for run in runs if run]
