"""Times that requests state."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from google.protobuf import timestamp_pb2

from headrace_servicekit.resource_names import invalid

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


class Span(NamedTuple):
    """From start inclusive to end exclusive."""

    start: datetime
    end: datetime


def span_of(message: Any, field: str, now: datetime, *, unset: timedelta = HOUR) -> Span:
    """Return the time that a range states. message: with `start_time` and `end_time`. unset: how long before the end
    one without a begin begins.

    Raises InvalidArgument for a time that is none, and for a range that ends before it begins.
    """
    end = time_of(message.end_time, f"{field}.end_time") if message.HasField("end_time") else now
    if message.HasField("start_time"):
        start = time_of(message.start_time, f"{field}.start_time")
    else:
        start = earlier(end, unset)
    if start >= end:
        raise invalid(field, f"begins at {start.isoformat()}, which is not before its end, {end.isoformat()}")
    return Span(start, end)


def earlier(time: datetime, by: timedelta) -> datetime:
    """Return the time that is so long before one; the first of all where there is none."""
    return max(time, _FIRST + by) - by


def later(time: datetime, by: timedelta) -> datetime:
    """Return the time that is so long after one; the last of all where there is none."""
    return min(time, _LAST - by) + by


def time_of(stamp: timestamp_pb2.Timestamp, field: str) -> datetime:
    """Return the time that a stamp says. Raises InvalidArgument that names `field`."""
    try:
        return stamp.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise invalid(field, "is no time between the years 1 and 9999") from None
