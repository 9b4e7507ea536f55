"""Parts of a time that traffic is shown by."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from headrace_servicekit.times import DAY, HOUR, Span, later

_SIZES = tuple(timedelta(minutes=minutes) for minutes in (1, 2, 5, 10, 15, 30, 60, 120, 180, 240, 360, 720, 1440))


def buckets_of(span: Span, now: datetime, *, minutes: timedelta, limit: int) -> tuple[Span, ...]:
    """Return at most `limit` buckets of equal length that cover a time, the first at a round time.

    minutes: how long counters are retained by the minute; older ones are there by the hour only.

    >>> start = datetime(2031, 2, 3, 12, 7, tzinfo=UTC)
    >>> buckets = buckets_of(Span(start, start + timedelta(hours=2)), start, minutes=DAY, limit=48)
    >>> len(buckets), buckets[0].start.minute, buckets[0].end.minute
    (25, 5, 10)
    """
    length = span.end - span.start
    least = HOUR if span.start < now - minutes else _SIZES[0]
    fit = (size for size in _SIZES if size >= least and length / size <= limit - 1)
    size = next(fit, timedelta(days=-(-length // (DAY * (limit - 1)))))
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    start = epoch + (max(span.start, epoch) - epoch) // size * size
    # A time that ends before 1970 has one bucket, with nothing in it.
    count = max(1, -(-(span.end - start) // size))
    return tuple(Span(start + at * size, later(start, (at + 1) * size)) for at in range(count))


def occupied(filled: Sequence[bool]) -> slice:
    """Return which buckets lie between the first and the last that have something.

    >>> [0, 7, 0, 5, 0][occupied([False, True, False, True, False])]
    [7, 0, 5]
    """
    there = [at for at, has in enumerate(filled) if has]
    return slice(there[0], there[-1] + 1) if there else slice(0)
