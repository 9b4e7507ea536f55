"""Axes of charts: round numbers, names of places, and times in the reader's zone."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from markupsafe import Markup

from headrace_console.figures import number

WIDTH, HEIGHT = 640, 160
LEFT, RIGHT, TOP, BOTTOM = 84, 44, 10, 28
_MOST_DAYS_WITH_HOURS = 5
# Six of them fit below a chart, of longer ones four.
_SHORT_FORM = len("%H:%M")


def level_axis(low: float, high: float, y: Callable[[float], float], unit: str) -> Markup:
    """Return the lines of round levels, each with its number."""
    line = Markup('<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/><text x="{}" y="{}" text-anchor="end">{}</text>')
    return Markup("").join(
        line.format(LEFT, WIDTH - RIGHT, y(value), y(value), LEFT - 6, y(value) + 4, f"{number(value, 3)}{unit}")
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


def place_axis(places: Sequence[str], x: Callable[[int], float]) -> Markup:
    """Return the names of some places below a chart."""
    if not places:
        return Markup("")
    step = max(1, math.ceil(len(places) / 6))
    return Markup("").join(
        Markup('<text x="{}" y="{}" text-anchor="middle">{}</text>').format(x(at), HEIGHT - 6, places[at])
        for at in range(0, len(places), step)
    )


def time_axis(times: Sequence[datetime], x: Callable[[datetime], float]) -> Markup:
    """Return moments below a chart, as far apart as they are; in UTC until a script has read them."""
    if not times:
        return Markup("")
    form, first, apart = form_of(times), min(times), max(times) - min(times)
    label = Markup(
        '<text x="{}" y="{}" text-anchor="middle" data-time="{}Z" data-form="{}">{}<title>{} UTC</title></text>'
    )
    drawn = Markup('<text class="zone" x="2" y="{}">UTC</text>').format(HEIGHT - 6)
    last = (6 if len(form) <= _SHORT_FORM else 4) - 1 if apart else 0
    for at in range(last + 1):
        utc = (first + apart * (at / (last or 1))).astimezone(UTC)
        message = f"{utc:%Y-%m-%d %H:%M:%S}"
        drawn += label.format(x(utc), HEIGHT - 6, message.replace(" ", "T"), form, utc.strftime(form), message)
    return drawn


def form_of(times: Sequence[datetime]) -> str:
    """Return the shortest time format in which adjacent times differ.

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
