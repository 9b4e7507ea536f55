"""Bars as SVG: shares of one, shares of a whole, evidence towards either verdict."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

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


def interval(low: float, at: float, high: float, scale: tuple[float, float], label: str) -> Markup:
    """Return an interval around a value. scale: the ends of what it is drawn on; zero is marked where it is inside."""
    first, last = scale
    size = (last - first) or 1.0

    def x(value: float) -> float:
        return round(100 * min(1.0, max(0.0, (value - first) / size)), 2)

    zero = Markup('<rect class="axis" x="{}" width="0.4" height="8"/>').format(x(0.0)) if first < 0 < last else ""
    return Markup(
        '<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" role="img" aria-label="{}">'
        '<rect class="track" width="100" height="8"/>{}<rect class="fill" x="{}" y="2" width="{}" height="4"/>'
        '<rect class="axis" x="{}" width="1" height="8"/></svg>'
    ).format(label, zero, x(low), round(x(high) - x(low), 2), x(at))


def scales(intervals: Iterable[tuple[str, float, float]]) -> dict[str, tuple[float, float]]:
    """Return the ends that all intervals of a name have room between."""
    found: dict[str, tuple[float, float]] = {}
    for name, low, high in intervals:
        if math.isfinite(low) and math.isfinite(high):
            first, last = found.get(name, (low, high))
            found[name] = min(first, low), max(last, high)
    return found


def strip(parts: Sequence[tuple[str, str]], label: str) -> Markup:
    """Return one piece for each moment, in the colour of how it was. parts: title and severity."""
    width = 100 / max(1, len(parts))
    drawn = Markup("").join(
        Markup('<rect class="fill {}" x="{}" width="{}" height="8"><title>{}</title></rect>').format(
            {"none": "good", "low": "wait", "medium": "wait", "high": "bad"}.get(severity, "two"),
            round(at * width, 2),
            round(0.9 * width, 2),
            title,
        )
        for at, (title, severity) in enumerate(parts)
    )
    return Markup(
        '<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>'
    ).format(label, drawn)


def _part(value: float, needed: float) -> float:
    return min(1.0, max(0.0, value / needed)) if needed > 0 and math.isfinite(value) else 0.0
