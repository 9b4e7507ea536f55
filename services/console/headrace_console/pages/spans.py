"""Times that a page is about, as its address says."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

HOURS = (24, 1, 168, 720)


def hours_of(query: Mapping[str, str]) -> int:
    """Return how many of the last hours an address asks for."""
    return next((one for one in HOURS if str(one) == query.get("hours")), HOURS[0])


def span_of(query: Mapping[str, str], now: datetime) -> tuple[datetime, datetime]:
    """Return the time from `start` to `end`, each in ISO 8601; without them the last `hours`.

    >>> start, end = span_of({"start": "2031-02-03T00:00:00+00:00"}, datetime(2031, 2, 3, 12, tzinfo=UTC))
    >>> (end - start).total_seconds() / 3600
    12.0
    """
    end = time_of(query.get("end", "")) or now
    return time_of(query.get("start", "")) or end - timedelta(hours=hours_of(query)), end


def time_of(text: str) -> datetime | None:
    """Return a time in ISO 8601, in UTC without a zone; None for what is none."""
    try:
        time = datetime.fromisoformat(text)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
