"""Outcomes as a picture (SVG): demand with what each policy had ready, and the requests that broke the objective."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from headrace_scaling.simulation.run import Outcome

_COLOURS = ("#1b6ca8", "#c1440e", "#5aa9e6", "#e8a33d", "#6a994e", "#7b2d8b")
_WIDTH, _LEFT, _RIGHT = 900, 70, 20
_TALL, _LOW = 260, 120


def draw(title: str, outcomes: Sequence[Outcome], per_replica: float) -> str:
    """Return an SVG. per_replica: requests/s that a replica serves, so that replicas and demand share an axis."""
    first = outcomes[0].series
    most = max(float(first.demand.max()), *(float(one.series.ready.max()) * per_replica for one in outcomes), 1.0)
    broken = [one.series.broken / one.series.step_s for one in outcomes]
    worst = max(1.0, *(float(values.max()) for values in broken))
    hours = outcomes[0].seconds / 3600.0
    parts = [f'<text x="{_LEFT}" y="22" font-weight="bold">{escape(title)}</text>']
    parts += _axes(40, _TALL, most, hours, "requests/s, and what is ready for")
    parts.append(_line(first.demand, 40, _TALL, most, "#999", fill=True))
    low = 40 + _TALL + 50
    parts += _axes(low, _LOW, worst, hours, "requests/s late or shed")
    for index, (one, values) in enumerate(zip(outcomes, broken, strict=True)):
        colour = _COLOURS[index % len(_COLOURS)]
        parts.append(_line(one.series.ready * per_replica, 40, _TALL, most, colour))
        parts.append(_line(values, low, _LOW, worst, colour))
        legend = low + _LOW + 44 + 18 * index
        words = f"{one.name}: {one.violations:.2%} late or shed, {one.replica_hours:,.1f} replica-hours"
        parts.append(f'<path d="M{_LEFT} {legend - 4}h20" stroke="{colour}" stroke-width="3"/>')
        parts.append(f'<text x="{_LEFT + 28}" y="{legend}">{escape(words)}</text>')
    height = low + _LOW + 50 + 18 * len(outcomes)
    style = "<style>text{font:12px sans-serif;fill:#222}</style>"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}">{style}'
        f'<rect width="100%" height="100%" fill="#fff"/>{"".join(parts)}</svg>\n'
    )


def _axes(top: int, tall: int, most: float, hours: float, words: str) -> list[str]:
    parts = [f'<text x="{_LEFT}" y="{top - 5}" font-size="11">{words}</text>']
    for share in (0.0, 0.5, 1.0):
        y = top + tall * (1.0 - share)
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{most * share:,.0f}</text>')
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        x = _LEFT + (_WIDTH - _LEFT - _RIGHT) * share
        parts.append(f'<text x="{x:.1f}" y="{top + tall + 16}" text-anchor="middle">{hours * share:.3g} h</text>')
    return parts


def _line(values: NDArray[np.float64], top: int, tall: int, most: float, colour: str, *, fill: bool = False) -> str:
    across = (_WIDTH - _LEFT - _RIGHT) / max(1, len(values) - 1)
    points = [f"{_LEFT + across * i:.1f},{top + tall * (1.0 - value / most):.1f}" for i, value in enumerate(values)]
    if fill:
        end = _LEFT + across * (len(values) - 1)
        corners = f"{_LEFT},{top + tall} {' '.join(points)} {end:.1f},{top + tall}"
        return f'<polygon points="{corners}" fill="#e4e4e4"/>'
    return f'<polyline points="{" ".join(points)}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
