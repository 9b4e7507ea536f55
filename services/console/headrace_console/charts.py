"""Pictures as SVG, drawn here: they need no script, print, and follow the page's colours by their classes.

A chart has a few hundred points at most, which is what a page of a model shows; nobody zooms. Sizes are attributes, not
styles, which the content policy forbids.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeGuard

from markupsafe import Markup

from headrace_console.figures import number

WIDTH, HEIGHT = 640, 160
_LEFT, _RIGHT, _TOP, _BOTTOM = 84, 44, 10, 28
_MOST_DAYS_WITH_HOURS = 5
# Six of them fit below a chart, of longer ones four.
_SHORT_FORM = len("%H:%M")
# Of a span, left of it; its title has all of the name.
_NAME_CHARS = 24


@dataclass(frozen=True, slots=True)
class Line:
    """Values by time on the x axis; None is a gap. low, high: bounds of a band around it."""

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
) -> Markup:
    """Return lines over the same times, which a script writes in the reader's zone.

    rule: a level that is drawn across. zero: whether the axis begins there. unit: of the values, behind each.
    """
    values = [v for line in drawn for of in (line.values, line.low, line.high) for v in of if _is_number(v)]
    values += [rule] if rule is not None else []
    if not values:
        return Markup('<p class="empty">Nothing to draw yet.</p>')
    low, high = min(values), max(values)
    low = min(0.0, low) if zero else low
    high = high if high > low else low + 1.0
    count = max(len(times), 1)

    def x(at: int) -> float:
        inside = WIDTH - _LEFT - _RIGHT
        return round(_LEFT + inside * (at / (count - 1) if count > 1 else 0.5), 1)

    def y(value: float) -> float:
        return round(_TOP + (HEIGHT - _TOP - _BOTTOM) * (high - value) / (high - low), 1)

    parts = [_axis(low, high, y, unit), _times(times, x)]
    if rule is not None:
        parts.append(
            Markup('<line class="rule" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(
                _LEFT, WIDTH - _RIGHT, y(rule), y(rule)
            )
        )
    for line in drawn:
        band = [
            (x(at), y(lo), y(hi))
            for at, (lo, hi) in enumerate(zip(line.low, line.high, strict=False))
            if _is_number(lo) and _is_number(hi)
        ]
        if band:
            edge = [f"{px},{top}" for px, _, top in band] + [f"{px},{bottom}" for px, bottom, _ in reversed(band)]
            parts.append(Markup('<polygon class="band {}" points="{}"/>').format(line.kind, " ".join(edge)))
        for run in _runs(line.values):
            points = " ".join(f"{x(at)},{y(value)}" for at, value in run)
            parts.append(Markup('<polyline class="line {}" points="{}"/>').format(line.kind, points))
        for at, value in enumerate(line.values):
            if _is_number(value):
                parts.append(
                    Markup('<circle class="dot {}" cx="{}" cy="{}" r="2.5"><title>{} {}: {}</title></circle>').format(
                        line.kind,
                        x(at),
                        y(value),
                        line.name,
                        f"{times[at]:%Y-%m-%d %H:%M:%S} UTC" if at < len(times) else "",
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
    step = (WIDTH - _LEFT - _RIGHT) / len(pairs)

    def y(value: float) -> float:
        return round(_TOP + (HEIGHT - _TOP - _BOTTOM) * (1 - value / high), 1)

    def x(at: int) -> float:
        return round(_LEFT + step * (at + 0.5), 1)

    parts = [_axis(0.0, high, y, " %"), _places([name for name, _, _ in pairs], x)]
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
    return value is not None and math.isfinite(value)


def _runs(values: Sequence[float | None]) -> list[list[tuple[int, float]]]:
    runs: list[list[tuple[int, float]]] = [[]]
    for at, value in enumerate(values):
        if value is not None and math.isfinite(value):
            runs[-1].append((at, value))
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if len(run) > 1]


def _axis(low: float, high: float, y: Callable[[float], float], unit: str) -> Markup:
    line = Markup('<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/><text x="{}" y="{}" text-anchor="end">{}</text>')
    return Markup("").join(
        line.format(_LEFT, WIDTH - _RIGHT, y(value), y(value), _LEFT - 6, y(value) + 4, f"{number(value, 3)}{unit}")
        for value in ticks(low, high)
    )


def ticks(low: float, high: float) -> list[float]:
    """Return three to seven round numbers within bounds, zero among them where it is.

    >>> ticks(-43.4, 48.1), ticks(0.0, 2.87), ticks(0.0, 99.9)
    ([-40.0, -20.0, 0.0, 20.0, 40.0], [0.0, 1.0, 2.0], [0.0, 20.0, 40.0, 60.0, 80.0])
    """
    power = 10.0 ** math.floor(math.log10(high - low))
    for part in (5, 2, 1, 0.5, 0.2):
        step = power * part
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first >= 2:
            return [at * step for at in range(first, last + 1)]
    return [low, high]


def _places(places: Sequence[str], x: Callable[[int], float]) -> Markup:
    if not places:
        return Markup("")
    step = max(1, math.ceil(len(places) / 6))
    return Markup("").join(
        Markup('<text x="{}" y="{}" text-anchor="middle">{}</text>').format(x(at), HEIGHT - 6, places[at])
        for at in range(0, len(places), step)
    )


def _times(times: Sequence[datetime], x: Callable[[int], float]) -> Markup:
    if not times:
        return Markup("")
    form = form_of(times)
    most = 6 if len(form) <= _SHORT_FORM else 4
    label = Markup(
        '<text x="{}" y="{}" text-anchor="middle" data-time="{}Z" data-form="{}">{}<title>{} UTC</title></text>'
    )
    drawn = Markup('<text class="zone" x="2" y="{}">UTC</text>').format(HEIGHT - 6)
    for at in range(0, len(times), max(1, math.ceil(len(times) / most))):
        utc = times[at].astimezone(UTC)
        told = f"{utc:%Y-%m-%d %H:%M:%S}"
        drawn += label.format(x(at), HEIGHT - 6, told.replace(" ", "T"), form, utc.strftime(form), told)
    return drawn


def form_of(times: Sequence[datetime]) -> str:
    """Return how times beside each other are written, so that they differ and are short.

    >>> noon = datetime(2026, 11, 29, 12, tzinfo=UTC)
    >>> form_of([noon, noon + timedelta(seconds=15)]), form_of([noon, noon + timedelta(days=9)])
    ('%H:%M:%S', '%m-%d')
    """
    apart = max(times) - min(times)
    if apart > timedelta(days=_MOST_DAYS_WITH_HOURS):
        return "%m-%d"
    if apart >= timedelta(days=1):
        return "%d. %H:%M"
    return "%H:%M" if apart >= timedelta(minutes=10) else "%H:%M:%S"


def reliability(groups: Sequence[tuple[float, float, float, float]], *, label: str) -> Markup:
    """Return what was observed over what was expected: (expected share, observed share, low, high) of each group.

    Where scores are probabilities the points lie on the diagonal.
    """
    if not groups:
        return Markup('<p class="empty">Nothing to draw yet.</p>')
    side, left, top = 240, 44, 8

    def x(share: float) -> float:
        return round(left + side * min(1.0, max(0.0, share)), 1)

    def y(share: float) -> float:
        return round(top + side * (1 - min(1.0, max(0.0, share))), 1)

    text = Markup('<text x="{}" y="{}" text-anchor="{}">{}</text>')
    parts = [
        Markup('<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(x(0), x(1), y(share), y(share))
        + text.format(left - 6, y(share) + 4, "end", f"{share:.0%}")
        + text.format(x(share), top + side + 16, "middle", f"{share:.0%}")
        for share in (0.0, 0.5, 1.0)
    ]
    parts.append(Markup('<line class="rule" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(x(0), x(1), y(0), y(1)))
    for expected, observed, low, high in groups:
        told = f"expected {expected:.3g}, observed {observed:.3g} ({low:.3g} to {high:.3g})"
        parts.append(
            Markup(
                '<g><title>{}</title><line class="line" x1="{}" x2="{}" y1="{}" y2="{}"/>'
                '<circle class="dot" cx="{}" cy="{}" r="3.5"/></g>'
            ).format(told, x(expected), x(expected), y(low), y(high), x(expected), y(observed))
        )
    return Markup('<svg class="chart square" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        left + side + 20, top + side + 24, label, Markup("").join(parts)
    )
