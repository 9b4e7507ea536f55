"""SVG charts rendered on the server: they need no script, print, and follow the page's colours by their classes.

A chart has a few hundred points at most and does not zoom. Sizes are attributes, not styles, which the content policy
forbids.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeGuard

from markupsafe import Markup

from headrace_console.axes import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, level_axis, place_axis, time_axis
from headrace_console.figures import number

# Of a square chart.
_SIDE = 240
_NO_TIME = datetime(1970, 1, 1, tzinfo=UTC)
# Of a span, left of it; its title has all of the name.
_NAME_CHARS = 24
_MOST_DOTS = 64
# Room for a number of two digits.
_MARKS_APART = 24
# Larger and smaller magnitudes are no measurements, and would overflow the arithmetic of an axis.
_MOST, _LEAST = 1e300, 1e-12


@dataclass(frozen=True, slots=True)
class Line:
    """Values by time on the x axis; None is a gap. low, high: bounds of a band around it; infinite ones: the edge."""

    name: str
    values: Sequence[float | None]
    low: Sequence[float | None] = ()
    high: Sequence[float | None] = ()
    kind: str = "one"


def lines(
    drawn: Sequence[Line],
    times: Sequence[datetime],
    *,
    label: str,
    rule: float | None = None,
    zero: bool = True,
    unit: str = "",
    marks: Sequence[tuple[datetime, str]] = (),
) -> Markup:
    """Return lines over the same times, which a script writes in the reader's zone.

    rule: a level that is drawn across. zero: whether the axis begins there. unit: of the values, behind each. marks:
    what happened when, numbered from 1.
    """
    values = [v for line in drawn for of in (line.values, line.low, line.high) for v in of if _is_number(v)]
    values += [rule] if rule is not None else []
    if not values:
        return Markup('<p class="empty">Nothing to draw yet.</p>')
    low, high = min(values), max(values)
    low = min(0.0, low) if zero else low
    if high - low < max(1 / _MOST, _LEAST * max(abs(low), abs(high))):  # as good as level: no axis divides less
        high = low + max(1.0, abs(low))
    first, apart = (min(times), max(times) - min(times)) if times else (_NO_TIME, timedelta())

    def x(time: datetime) -> float:
        inside = WIDTH - LEFT - RIGHT
        return round(LEFT + inside * ((time - first) / apart if apart else 0.5), 1)

    def y(value: float) -> float:
        return round(TOP + (HEIGHT - TOP - BOTTOM) * (high - value) / (high - low), 1)

    parts = [level_axis(low, high, y, unit), time_axis(times, x)]
    if rule is not None:
        parts.append(
            Markup('<line class="rule" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(LEFT, WIDTH - RIGHT, y(rule), y(rule))
        )
    parts += _marks([(x(min(max(time, first), first + apart)), text) for time, text in marks])
    for line in drawn:
        band = [
            (x(time), y(max(lo, low)), y(min(hi, high)))
            for time, lo, hi in zip(times, line.low, line.high, strict=False)
            if _is_bound(lo) and _is_bound(hi)
        ]
        if band:
            edge = [f"{px},{top}" for px, _, top in band] + [f"{px},{bottom}" for px, bottom, _ in reversed(band)]
            parts.append(Markup('<polygon class="band {}" points="{}"/>').format(line.kind, " ".join(edge)))
        for run in _runs(line.values):
            points = " ".join(f"{x(times[at])},{y(value)}" for at, value in run)
            parts.append(Markup('<polyline class="line {}" points="{}"/>').format(line.kind, points))
        for at, (time, value) in enumerate(zip(times, line.values, strict=True)):
            # Of many points those that no line leads to; without the others a page is a tenth as large.
            if _is_number(value) and (len(times) <= _MOST_DOTS or _is_alone(line.values, at)):
                parts.append(
                    Markup('<circle class="dot {}" cx="{}" cy="{}" r="2.5"><title>{} {}: {}</title></circle>').format(
                        line.kind,
                        x(time),
                        y(value),
                        line.name,
                        f"{time:%Y-%m-%d %H:%M:%S} UTC",
                        f"{number(value)}{unit}",
                    )
                )
    return Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        WIDTH, HEIGHT, label, Markup("").join(parts)
    )


def columns(pairs: Sequence[tuple[str, float, float]], *, label: str) -> Markup:
    """Return two distributions side by side: name of the bin, share in the reference, share now."""
    if not pairs:
        return Markup('<p class="empty">Nothing to draw yet.</p>')
    pairs = [(name, 100 * before, 100 * after) for name, before, after in pairs]
    high = max(max(before, after) for _, before, after in pairs) or 1.0
    step = (WIDTH - LEFT - RIGHT) / len(pairs)

    def y(value: float) -> float:
        return round(TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / high), 1)

    def x(at: int) -> float:
        return round(LEFT + step * (at + 0.5), 1)

    parts = [level_axis(0.0, high, y, " %"), place_axis([name for name, _, _ in pairs], x)]
    width = round(max(1.0, step * 0.38), 1)
    for at, (name, before, after) in enumerate(pairs):
        for offset, value, kind, when in ((-width, before, "two", "reference"), (0.0, after, "one", "now")):
            parts.append(
                Markup(
                    '<rect class="column {}" x="{}" y="{}" width="{}" height="{}"><title>{}, {}: {}</title></rect>'
                ).format(
                    kind,
                    round(x(at) + offset, 1),
                    y(value),
                    width,
                    round(y(0) - y(value), 1),
                    name,
                    when,
                    f"{number(value, 3)} %",
                )
            )
    return Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        WIDTH, HEIGHT, label, Markup("").join(parts)
    )


def waterfall(spans: Sequence[tuple[str, float, float, str]], total: float, *, label: str) -> Markup:
    """Return spans below each other over one axis: name, begin, length, kind; in the unit of total."""
    whole, row = total if total > 0 else 1.0, 22
    height = row * len(spans) + 4
    inside = WIDTH - 170
    parts = []
    for at, (name, begin, length, kind) in enumerate(spans):
        left = 160 + inside * min(1.0, max(0.0, begin / whole))
        width = max(1.5, inside * min(1.0, max(0.0, length / whole)))
        middle = row * at + 15
        parts.append(
            Markup(
                '<text x="152" y="{}" text-anchor="end">{}</text><rect class="fill {}" x="{}" y="{}" width="{}"'
                ' height="12" rx="2"><title>{}</title></rect>'
            ).format(
                middle,
                name if len(name) <= _NAME_CHARS else f"{name[: _NAME_CHARS - 1]}…",
                kind,
                round(left, 1),
                row * at + 5,
                round(min(width, WIDTH - left), 1),
                f"{name}: from {number(begin)} for {number(length)} ms",
            )
        )
    return Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        WIDTH, height, label, Markup("").join(parts)
    )


def _is_number(value: float | None) -> TypeGuard[float]:
    return value is not None and abs(value) < _MOST


def _marks(marks: Sequence[tuple[float, str]]) -> list[Markup]:
    """Return vertical lines with their numbers, from 1; marks that are too close for two numbers are one line."""
    groups: list[tuple[float, list[str]]] = []
    for at, (place, text) in enumerate(marks, 1):
        if not groups or place - groups[-1][0] > _MARKS_APART:
            groups.append((place, []))
        groups[-1][1].append(f"{at}: {text}")
    found, begin = [], 1
    for place, texts in groups:
        end = begin + len(texts) - 1
        found.append(
            Markup(
                '<g class="mark"><title>{0}</title><line x1="{1}" x2="{1}" y1="{2}" y2="{3}"/>'
                '<text x="{1}" y="{2}" text-anchor="middle">{4}</text></g>'
            ).format("\n".join(texts), place, TOP, HEIGHT - BOTTOM, f"{begin}" if begin == end else f"{begin}–{end}")
        )
        begin = end + 1
    return found


def _is_alone(values: Sequence[float | None], at: int) -> bool:
    return not any(map(_is_number, (*values[max(0, at - 1) : at], *values[at + 1 : at + 2])))


def _is_bound(value: float | None) -> TypeGuard[float]:
    return value is not None and not math.isnan(value)


def _runs(values: Sequence[float | None]) -> list[list[tuple[int, float]]]:
    runs: list[list[tuple[int, float]]] = [[]]
    for at, value in enumerate(values):
        if _is_number(value):
            runs[-1].append((at, value))
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if len(run) > 1]


def reliability(groups: Sequence[tuple[float, float, float, float]], *, label: str) -> Markup:
    """Return what was observed over what was expected: (expected share, observed share, low, high) of each group.

    Where scores are probabilities the points lie on the diagonal.
    """
    at, frame = _square(0.0, 1.0, lambda share: f"{share:.0%}")
    points = Markup("").join(
        Markup(
            '<g><title>{}</title><line class="line" x1="{}" x2="{}" y1="{}" y2="{}"/>'
            '<circle class="dot" cx="{}" cy="{}" r="3.5"/></g>'
        ).format(
            f"expected {expected:.3g}, observed {observed:.3g} ({low:.3g} to {high:.3g})",
            *(at(expected), at(expected), _SIDE - at(low), _SIDE - at(high), at(expected), _SIDE - at(observed)),
        )
        for expected, observed, low, high in groups
    )
    return _of_square(frame + points, label) if groups else Markup('<p class="empty">Nothing to draw yet.</p>')


def scatter(points: Sequence[tuple[float, float]], *, label: str) -> Markup:
    """Return pairs of numbers as points: the first to the right, the second upwards; equal ones lie on the diagonal."""
    known = [pair for pair in points if all(map(_is_number, pair))]
    if not known:
        return Markup('<p class="empty">Nothing to draw yet.</p>')
    low, high = min(map(min, known)), max(map(max, known))
    at, frame = _square(low, high if high > low else low + 1.0, lambda value: number(value, 3))
    dots = Markup("").join(
        Markup('<circle class="dot" cx="{}" cy="{}" r="2"><title>{}</title></circle>').format(
            at(x), _SIDE - at(y), f"{number(x)}, {number(y)}"
        )
        for x, y in known
    )
    return _of_square(frame + dots, label)


def _square(low: float, high: float, form: Callable[[float], str]) -> tuple[Callable[[float], float], Markup]:
    """Return where values lie on both axes of a square, and its lines."""

    def at(value: float) -> float:
        return round(_SIDE * min(1.0, max(0.0, (value - low) / (high - low))), 1)

    text = Markup('<text x="{}" y="{}" text-anchor="{}">{}</text>')
    line = Markup('<line class="grid" x1="0" x2="{0}" y1="{1}" y2="{1}"/>')
    parts = [
        line.format(_SIDE, _SIDE - at(value))
        + text.format(-6, _SIDE - at(value) + 4, "end", form(value))
        + text.format(at(value), _SIDE + 16, "middle", form(value))
        for value in (low, (low + high) / 2, high)
    ]
    parts.append(Markup('<line class="rule" x1="0" x2="{}" y1="{}" y2="0"/>').format(_SIDE, _SIDE))
    return at, Markup("").join(parts)


def _of_square(drawn: Markup, label: str) -> Markup:
    return Markup('<svg class="chart square" viewBox="-44 -8 {} {}" role="img" aria-label="{}">{}</svg>').format(
        _SIDE + 64, _SIDE + 32, label, drawn
    )
