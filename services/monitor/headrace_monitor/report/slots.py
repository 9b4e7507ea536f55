"""Stretches that a report's time is parted into. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from headrace_monitor.times import Span, later

MOST = 48
_SIZES = tuple(timedelta(minutes=minutes) for minutes in (1, 2, 5, 10, 15, 30, 60, 120, 180, 240, 360, 720, 1440))
# Counters older than this may be there by the hour only.
_BY_MINUTE = timedelta(days=1)


def slots_of(span: Span, now: datetime) -> tuple[Span, ...]:
    """Return at most MOST whole stretches of like length that cover a time, the first on a round time.

    >>> start = datetime(2031, 2, 3, 12, 7, tzinfo=UTC)
    >>> slots = slots_of(Span(start, start + timedelta(hours=2)), start)
    >>> len(slots), slots[0].start.minute, slots[0].end.minute
    (25, 5, 10)
    """
    length = span.end - span.start
    least = timedelta(hours=1) if span.start < now - _BY_MINUTE else _SIZES[0]
    fit = (size for size in _SIZES if size >= least and length / size <= MOST - 1)
    size = next(fit, timedelta(days=-(-length // (timedelta(days=1) * (MOST - 1)))))
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    start = epoch + (max(span.start, epoch) - epoch) // size * size
    count = -(-(span.end - start) // size)
    return tuple(Span(start + at * size, later(start, (at + 1) * size)) for at in range(count))
