"""Bars as SVG: shares of one, shares of a whole, evidence towards either verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from headrace_console.figures import percent


def bar(share: float, kind: str = "", label: str = "") -> Markup:
    """Return a share of one as a filled bar. label: what a screen reader says."""
    width = round(100 * min(1.0, max(0.0, share if math.isfinite(share) else 0.0)), 1)
    return Markup(
        '<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" role="img" aria-label="{}">'
        '<rect class="track" width="100" height="8"/><rect class="fill {}" width="{}" height="8"/></svg>'
    ).format(label or f"{width:g} %", kind, width)


def stacked(parts: Sequence[tuple[str, float]], label: str) -> Markup:
    """Return shares of a whole side by side."""
    total = sum(value for _, value in parts) or 1.0
    drawn, at = Markup(""), 0.0
    for number, (name, value) in enumerate(parts):
        width = 100 * value / total
        drawn += Markup('<rect class="part p{}" x="{}" width="{}" height="8"><title>{}: {}</title></rect>').format(
            number % 6, round(at, 2), round(width, 2), name, percent(value / total)
        )
        at += width
    return Markup(
        '<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>'
    ).format(label, drawn)


def evidence(worse: float, worse_needed: float, fine: float, fine_needed: float) -> Markup:
    """Return what fills towards either verdict: to the left "worse", to the right "not worse"."""
    left, right = 50 * _part(worse, worse_needed), 50 * _part(fine, fine_needed)
    said = f"{_part(worse, worse_needed):.0%} of what says worse, {_part(fine, fine_needed):.0%} of what says not worse"
    return Markup(
        '<svg class="bar evidence" viewBox="0 0 100 8" preserveAspectRatio="none" role="img" aria-label="{}">'
        '<rect class="track" width="100" height="8"/><rect class="fill bad" x="{}" width="{}" height="8"/>'
        '<rect class="fill good" x="50" width="{}" height="8"/>'
        '<rect class="axis" x="49.7" width="0.6" height="8"/></svg>'
    ).format(said, round(50 - left, 2), round(left, 2), round(right, 2))


def _part(value: float, needed: float) -> float:
    return min(1.0, max(0.0, value / needed)) if needed > 0 and math.isfinite(value) else 0.0
