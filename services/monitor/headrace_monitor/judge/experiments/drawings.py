"""Plots of an experiment as SVG. Pure: every text is escaped, colours are classes of the page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 720, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 12, 12, 26
_ROW = 26
# Early intervals are as wide as the world: a plot shows so many times what is known at the end.
_ROOM = 3.0
_WIDEST = 1e100


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with its ends; None where nothing can be said."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Course:
    """Of one variant over time. style: class of its colour, `c0` to `c7`."""

    name: str
    style: str
    points: tuple[Interval, ...]


def courses(title: str, times: Sequence[str], drawn: Sequence[Course]) -> str:
    """Return a line for each variant within the band of its intervals, and zero."""
    reach = _reach([one.points for one in drawn])
    step = (WIDTH - _LEFT - _RIGHT) / max(len(times) - 1, 1)

    def x(at: int) -> float:
        return _LEFT + at * step

    def y(value: float) -> float:
        inside = min(max(value, -reach), reach)
        return _TOP + (HEIGHT - _TOP - _BOTTOM) * (1 - (inside + reach) / (2 * reach))

    parts = []
    for value in (-reach, -reach / 2, 0.0, reach / 2, reach):
        style = "zero" if value == 0 else "grid"
        parts.append(
            f'<line class="{style}" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>'
        )
        parts.append(f'<text x="{_LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{_percent(value)}</text>')
    for at in (0, len(times) - 1) if len(times) > 1 else (0,):
        anchor = "end" if at else "start"
        parts.append(f'<text x="{x(at):.1f}" y="{HEIGHT - 6}" text-anchor="{anchor}">{escape(times[at])}</text>')
    for one in drawn:
        for run in _runs([(p.low, p.high) for p in one.points]):
            around = [(x(at), y(high)) for at, (_, high) in run] + [(x(at), y(low)) for at, (low, _) in reversed(run)]
            parts.append(f'<polygon class="band {one.style}" points="{_path(around)}"/>')
        for run in _runs([(p.value, p.value) for p in one.points]):
            line = [(x(at), y(value)) for at, (value, _) in run]
            parts.append(f'<polyline class="line {one.style}" points="{_path(line)}"/>')
            parts += [
                f'<circle class="{one.style}" cx="{x(at):.1f}" cy="{y(value):.1f}" r="2.4">'
                f"<title>{escape(times[at])}, {escape(one.name)}: {_words(one.points[at])}</title></circle>"
                for at, (value, _) in run
            ]
    return _svg(title, HEIGHT, parts)


def forest(title: str, rows: Sequence[tuple[str, str, Interval]]) -> str:
    """Return one row for each variant: its name, its interval, its value. rows: name, style and interval."""
    reach = _reach([[interval for *_, interval in rows]])
    height = len(rows) * _ROW + 24
    left, right = 150, 190

    def x(value: float) -> float:
        inside = min(max(value, -reach), reach)
        return left + (WIDTH - left - right) * (inside + reach) / (2 * reach)

    parts = [f'<line class="zero" x1="{x(0):.1f}" x2="{x(0):.1f}" y1="0" y2="{height - 20}"/>']
    parts += [
        f'<text x="{x(value):.1f}" y="{height - 6}" text-anchor="middle">{_percent(value)}</text>'
        for value in (-reach, 0.0, reach)
    ]
    for at, (name, style, interval) in enumerate(rows):
        y = at * _ROW + 14
        parts.append(f'<text x="{left - 12}" y="{y + 4}" text-anchor="end">{escape(name)}</text>')
        if interval.low is not None and interval.high is not None:
            ends = f'x1="{x(interval.low):.1f}" x2="{x(interval.high):.1f}" y1="{y}" y2="{y}"'
            parts.append(f'<line class="line {style}" {ends}/>')
        if interval.value is not None:
            parts.append(f'<circle class="{style}" cx="{x(interval.value):.1f}" cy="{y}" r="5"/>')
        parts.append(f'<text x="{WIDTH - right + 12}" y="{y + 4}">{_words(interval)}</text>')
    return _svg(title, height, parts)


def _reach(series: Sequence[Sequence[Interval]]) -> float:
    """Return how far the axis goes to both sides of zero: everything, as far as it is not much wider than the end."""
    furthest = _furthest([point for points in series for point in points])
    reach = min(1.15 * furthest, _ROOM * (_furthest([points[-1] for points in series if points]) or furthest))
    return reach if 0 < reach < _WIDEST else 1.0


def _furthest(points: Sequence[Interval]) -> float:
    known = [abs(value) for point in points for value in (point.low, point.high, point.value) if value is not None]
    return max(filter(math.isfinite, known), default=0.0)


def _runs(pairs: Sequence[tuple[float | None, float | None]]) -> list[list[tuple[int, tuple[float, float]]]]:
    """Return the stretches in which both are known."""
    runs: list[list[tuple[int, tuple[float, float]]]] = [[]]
    for at, (low, high) in enumerate(pairs):
        if low is None or high is None:
            runs.append([])
        else:
            runs[-1].append((at, (low, high)))
    return [run for run in runs if run]


def _words(one: Interval) -> str:
    if one.value is None:
        return "nothing to say yet"
    if one.low is None or one.high is None:
        return _percent(one.value)
    return f"{_percent(one.value)} ({_percent(one.low)} to {_percent(one.high)})"


def _percent(value: float) -> str:
    size = 100 * value
    if not math.isfinite(size):
        return "beyond all bounds"
    short = f"{size:+.3g}"
    return f"{size:+,.0f} %" if "e+" in short and abs(size) < 1e6 else f"{short} %" if size else "0"


def _path(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _svg(title: str, height: int, parts: Sequence[str]) -> str:
    inside = "".join(parts)
    return (
        f'<svg role="img" aria-label="{escape(title)}" viewBox="0 0 {WIDTH} {height}"><title>{escape(title)}</title>'
        f"{inside}</svg>"
    )
