"""Decides when a delivery is tried again."""

from __future__ import annotations

from datetime import timedelta

LONGEST_PAUSE = timedelta(hours=1)


def pause(attempts: int, *, first: timedelta, draw: float) -> timedelta:
    """Return how long to wait after so many attempts: twice as long each time, and anything from half of that on, so
    that many that failed together do not come back together.

    draw: uniform in [0, 1).
    """
    doubled = min(first * 2 ** min(attempts - 1, 30), max(LONGEST_PAUSE, first))
    return doubled * (0.5 + 0.5 * draw)


def asked_pause(header: str | None) -> timedelta:
    """Return how long a receiver asks to be left alone (Retry-After in seconds), within bounds; none otherwise."""
    if header is None or not header.isascii() or not header.isdigit() or len(header) > 9:
        return timedelta()
    return min(timedelta(seconds=int(header)), LONGEST_PAUSE)
