"""Durations as people write them: a number and a unit, such as 5ms, 30s, 15m, 1h or 90d."""

from __future__ import annotations

import re
from datetime import timedelta

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", re.ASCII)
_UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def parse_duration(text: str) -> timedelta | None:
    """Return the duration that a text says; None for one that says none, or one beyond all reason."""
    match = _DURATION.fullmatch(text)
    if match is None:
        return None
    try:
        return timedelta(milliseconds=float(match[1]) * _UNITS_MS[match[2]])
    except OverflowError:
        return None


def duration_text(duration: timedelta) -> str:
    """Return a duration as `parse_duration` reads it, in the largest unit that leaves it whole."""
    milliseconds = duration / timedelta(milliseconds=1)
    whole = [unit for unit, size in _UNITS_MS.items() if milliseconds and milliseconds % size == 0]
    unit = whole[-1] if whole else "ms" if milliseconds else "s"
    return f"{milliseconds / _UNITS_MS[unit]:.10g}{unit}"
