"""The load curves as SVG: what is offered on the x axis, what is waited on the y axis, which grows tenfold by line."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from benchmarks.measures.curve import Curve
from benchmarks.measures.figures import Figures

_WIDTH, _HEIGHT = 760, 440
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 20, 50, 60
_LOWEST_MS = 0.1
_COLOURS = ("#1f6feb", "#d1580a", "#2e7d32")
_STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#444}.axis{stroke:#bbb}.grid{stroke:#e4e4e4}"
    "polyline,circle{fill:none;stroke-width:2}.p99{stroke-dasharray:6 4}"
)


def svg(curves: Sequence[Curve]) -> str:
    """Return the picture: for each system p50 as a line, p99 dashed, and a ring where it no longer kept up."""
    loads = [point.offered for one in curves for point in one.points]
    waits = [point.p99_ms for one in curves for point in one.points if math.isfinite(point.p99_ms)]
    most_load = _round_up(max(loads, default=1.0))
    most_ms = 10 ** math.ceil(math.log10(max([*waits, 1.0])))

    def x(load: float) -> float:
        return _LEFT + load / most_load * (_WIDTH - _LEFT - _RIGHT)

    def y(ms: float) -> float:
        share = math.log10(max(ms, _LOWEST_MS) / _LOWEST_MS) / math.log10(most_ms / _LOWEST_MS)
        return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)

    def line(points: Sequence[Figures], kind: str, colour: str) -> str:
        places = " ".join(
            f"{x(point.offered):.1f},{y(point.p50_ms if kind == 'p50' else point.p99_ms):.1f}"
            for point in points
            if math.isfinite(point.p99_ms)
        )
        return f'<polyline class="{kind}" stroke="{colour}" points="{places}"/>'

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">',
        "<title>Latency against offered load</title>",
        f"<style>{_STYLE}</style>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
    ]
    ms = _LOWEST_MS
    while ms <= most_ms * 1.001:
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(ms):.1f}" y2="{y(ms):.1f}"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y(ms) + 4:.1f}" text-anchor="end">{ms:g}</text>')
        ms *= 10
    for step in range(6):
        load = most_load * step / 5
        parts.append(f'<text x="{x(load):.1f}" y="{_HEIGHT - _BOTTOM + 20}" text-anchor="middle">{load:,.0f}</text>')
    parts.append(f'<text x="{_LEFT}" y="{_HEIGHT - 12}">requests offered per second</text>')
    parts.append(f'<text x="{_LEFT - 50}" y="{_TOP - 14}">ms, p50 (line) and p99 (dashed)</text>')
    for number, one in enumerate(curves):
        colour = _COLOURS[number % len(_COLOURS)]
        parts += [line(one.points, "p50", colour), line(one.points, "p99", colour)]
        parts += [
            f'<circle cx="{x(point.offered):.1f}" cy="{y(point.p99_ms):.1f}" r="5" stroke="{colour}">'
            f"<title>{point.requests_per_s:,.0f} of {point.offered:,.0f} answered in time</title></circle>"
            for point in one.points
            if math.isfinite(point.p99_ms) and not kept_up(point)
        ]
        parts.append(
            f'<text x="{_WIDTH - _RIGHT - 220}" y="{_TOP - 30 + 18 * number}" style="fill:{colour}">'
            f"{escape(one.title)}</text>"
        )
    return "\n".join([*parts, "</svg>"]) + "\n"


def kept_up(point: Figures) -> bool:
    """Whether nearly all that was offered was answered rightly in time."""
    return point.requests_per_s >= 0.97 * point.offered


def _round_up(value: float) -> float:
    """Return the next number of one digit and a half, so that a fifth of it reads well."""
    unit = 10 ** math.floor(math.log10(value)) / 2
    return math.ceil(value / unit) * unit
