"""Times of a cron expression in a time zone. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

MAX_CHARS = 128


class Unfit(ValueError):
    """An expression or a time zone says no times; the message says why."""


def check(expression: str, zone: str) -> None:
    """Raise Unfit unless the expression and the zone say times."""
    if len(expression) > MAX_CHARS:
        raise Unfit(f"has more than {MAX_CHARS} characters")
    if len(expression.split()) != 5:
        raise Unfit("needs five fields: minute, hour, day of month, month, day of week, such as '0 2 * * *'")
    after(expression, zone, datetime(2000, 1, 1, tzinfo=UTC))


def after(expression: str, zone: str, moment: datetime) -> datetime:
    """Return the first time of a cron expression after a moment, in UTC. Raises Unfit.

    Times that a clock change skips are due right after it; times that it repeats are due once.
    """
    asked, local_zone = moment, _zone(zone)
    while True:
        try:
            following = next(CronSim(expression, asked.astimezone(local_zone))).astimezone(UTC)
        except (CronSimError, StopIteration, OverflowError) as error:
            raise Unfit(str(error) or "has no times at all") from None
        if following > moment:
            return following
        # For a moment in the second occurrence of a repeated hour (end of DST) CronSim returns a time in the first.
        asked += timedelta(minutes=1)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        raise Unfit(f"'{name}' is no time zone of the IANA database, such as Europe/Berlin") from None
