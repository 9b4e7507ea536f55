"""Plots for the document, as SVG: lines over a logarithmic axis of rows."""

from collections.abc import Mapping, Sequence

import numpy as np

from tests.statistics import drift_rates, naive

_ROWS = (50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000)
_WIDTH, _HEIGHT, _LEFT, _TOP = 420, 260, 48, 34
_COLOURS = ("#1b6ca8", "#5aa9e6", "#c1440e", "#e8a33d")


def alarms_by_rows(rng: np.random.Generator, runs: int = 100) -> str:
    """How often windows alarm, by their rows: left a shift that is harmless, right one that is not."""
    panels = []
    for place, (title, sigmas) in enumerate({"shift of .1 sd, tolerated": 0.1, "shift of .5 sd": 0.5}.items()):
        lines: dict[str, list[float]] = {"Headrace PSI": [], "Headrace KS": [], "naive PSI": [], "naive KS": []}
        for n in _ROWS:
            pairs = [(rng.normal(size=n), rng.normal(sigmas, 1, n)) for _ in range(runs)]
            found = [(*drift_rates.alarms(*pair), naive.psi_alarms(*pair), naive.ks_alarms(*pair)) for pair in pairs]
            for line, rate in zip(lines.values(), np.mean(found, axis=0), strict=True):
                line.append(float(rate))
        panels.append(_panel(title, lines, x=place * (_WIDTH + 20)))
    size = f'width="{2 * _WIDTH + 44}" height="{_HEIGHT + 60}"'
    style = "<style>text{font:12px sans-serif;fill:#222}</style>"
    white = '<rect width="100%" height="100%" fill="#fff"/>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{style}{white}{"".join(panels)}</svg>\n'


def _panel(title: str, lines: Mapping[str, Sequence[float]], *, x: int) -> str:
    right, bottom = _WIDTH - 12, _HEIGHT - 8

    def across(rows: float) -> float:
        return _LEFT + (right - _LEFT) * np.log(rows / _ROWS[0]) / np.log(_ROWS[-1] / _ROWS[0])

    def down(share: float) -> float:
        return bottom - (bottom - _TOP) * share

    parts = [f'<text x="{_LEFT}" y="20" font-weight="bold">{title}</text>']
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = down(share)
        parts.append(f'<line x1="{_LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{share:.0%}</text>')
    parts += [
        f'<text x="{across(rows):.1f}" y="{bottom + 18}" text-anchor="middle">{rows:,}</text>'
        for rows in (50, 500, 5_000, 20_000)
    ]
    parts.append(f'<text x="{(_LEFT + right) / 2}" y="{bottom + 36}" text-anchor="middle">rows on either side</text>')
    for place, ((name, shares), colour) in enumerate(zip(lines.items(), _COLOURS, strict=True)):
        points = " ".join(f"{across(n):.1f},{down(s):.1f}" for n, s in zip(_ROWS, shares, strict=True))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        legend = _LEFT + place * 94
        parts.append(f'<path d="M{legend} {bottom + 50}h14" stroke="{colour}" stroke-width="3"/>')
        parts.append(f'<text x="{legend + 18}" y="{bottom + 54}" font-size="11">{name}</text>')
    return f'<g transform="translate({x},0)">{"".join(parts)}</g>'
