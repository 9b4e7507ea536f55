"""Times between the API's messages and ours."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from headrace_servicekit.resource_names import invalid


def time_of(message: Any, name: str, within: str = "") -> datetime | None:
    """Return a time of a message, None when it is unset. within: the message, as fields are named below it.

    Raises InvalidArgument.
    """
    if not message.HasField(name):
        return None
    try:
        return getattr(message, name).ToDatetime(UTC)
    except (ValueError, OverflowError):
        raise invalid(f"{within}{name}", "is not a time between the years 1 and 9999") from None


def span_of(message: Any, now: datetime, usual: timedelta, within: str = "") -> tuple[datetime, datetime]:
    """Return `start_time` and `end_time` of a message; where they are unset, `usual` before the end, which is now.

    Raises InvalidArgument.
    """
    start, end = time_of(message, "start_time", within), time_of(message, "end_time", within) or now
    try:
        return start or end - usual, end
    except OverflowError:
        raise invalid(f"{within}end_time", "is before everything that can be known") from None


def timestamp(time: datetime) -> Timestamp:
    """Return a time as the API has it."""
    made = Timestamp()
    made.FromDatetime(time)
    return made


def duration(seconds: float) -> Duration:
    """Return a duration as the API has it."""
    made = Duration()
    made.FromNanoseconds(round(seconds * 1e9))
    return made
