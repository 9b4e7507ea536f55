"""Accuracy by latency by size, as an SVG: nothing but text, so that it needs no library and no network to look at."""

from __future__ import annotations

import html
import math
from collections.abc import Collection, Sequence

from headrace_forge.optimisation.choice import Candidate

_WIDTH, _HEIGHT, _LEFT, _TOP, _RIGHT, _BOTTOM = 760, 440, 70, 46, 170, 52


def picture(title: str, candidates: Sequence[Candidate], front: Collection[str], chosen: str | None) -> str:
    """Return the SVG: latency of one batch to the right, accuracy upwards, a circle's area by the size of the file.

    front: names of what nothing beats; chosen: the name of the winner.
    """
    shown = [(one, _latency(one), one.quality.accuracy) for one in candidates if one.quality and one.speeds]
    body = [_text(_LEFT, 24, title, size=15)]
    if shown:
        x = _axis([latency for _, latency, _ in shown], _LEFT, _WIDTH - _RIGHT)
        y = _axis([accuracy for _, _, accuracy in shown], _HEIGHT - _BOTTOM, _TOP)
        largest = max(one.size_bytes for one, _, _ in shown) or 1
        body += _frame(x, y)
        for at, (one, latency, accuracy) in enumerate(shown):
            body += _circle(at, one, x.at(latency), y.at(accuracy), largest, one.name in front, one.name == chosen)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif">\n'
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>\n' + "\n".join(body) + "\n</svg>\n"
    )


class _Axis:
    """A scale from values to places."""

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        self.low, self.high, self.start, self.end = low, high, start, end

    def at(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self) -> list[float]:
        return [self.low + (self.high - self.low) * part / 4 for part in range(5)]


def _axis(values: Sequence[float], start: float, end: float) -> _Axis:
    low, high = min(values), max(values)
    margin = (high - low) * 0.12 or max(abs(high) * 0.05, 1e-6)
    return _Axis(low - margin, high + margin, start, end)


def _latency(candidate: Candidate) -> float:
    """Return the median of the smallest batch, in milliseconds."""
    assert candidate.speeds
    return candidate.speeds[min(candidate.speeds)].p50_ms


def _frame(x: _Axis, y: _Axis) -> list[str]:
    parts = []
    for tick in x.ticks():
        place = x.at(tick)
        parts.append(f'<path d="M{place:.1f} {_TOP}V{_HEIGHT - _BOTTOM}" stroke="#e5e7eb"/>')
        parts.append(_text(place, _HEIGHT - _BOTTOM + 18, f"{tick:.3g}", anchor="middle"))
    for tick in y.ticks():
        place = y.at(tick)
        parts.append(f'<path d="M{_LEFT} {place:.1f}H{_WIDTH - _RIGHT}" stroke="#e5e7eb"/>')
        parts.append(_text(_LEFT - 8, place + 4, f"{tick:.4g}", anchor="end"))
    parts.append(_text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 12, "median latency, ms", anchor="middle"))
    parts.append(_text(14, _TOP - 8, "accuracy"))
    return parts


def _circle(at: int, one: Candidate, x: float, y: float, largest: int, on_front: bool, is_chosen: bool) -> list[str]:
    radius = 4 + 16 * math.sqrt(one.size_bytes / largest)
    colour = "#15803d" if is_chosen else "#2563eb" if on_front else "#9ca3af"
    title = f"{one.name}: {one.size_bytes:,} bytes, {one.speedup:.2f} x"
    line = _TOP + 16 + at * 20
    return [
        f'<g><title>{html.escape(title)}</title><circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" '
        f'fill="{colour}" fill-opacity="0.35" stroke="{colour}"/>{_text(x, y + 4, str(at + 1), anchor="middle")}</g>',
        _text(_WIDTH - _RIGHT + 16, line, f"{at + 1}  {one.name}", colour=colour),
    ]


def _text(x: float, y: float, text: str, *, anchor: str = "start", size: int = 12, colour: str = "#111827") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{colour}"'
    return f"<text {place}>{html.escape(text)}</text>"
