"""When a schedule creates a job, and what it skips. Pure.

A time is decided on once: `last_time` is the latest one that was, and only later ones follow. Of several that have
passed, the latest one is for the job, and the ones before it are skipped.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from headrace_scorer.decisions import cron
from headrace_scorer.decisions.specs import Spec

# A clock that is set back by less simply waits until it is past what it has decided on.
LARGEST_STEP_BACK = timedelta(hours=2)
# Of times that have passed at once; what is older is only counted from there.
_MAX_PASSED = 1000


@dataclass(frozen=True, slots=True)
class Schedule:
    """A job that is created again and again.

    start_within: how late a job may still begin. last_time: the latest time that was decided on. last_job: the latest
    job that was created.
    """

    id: str
    model: str
    cron: str
    zone: str
    spec: Spec
    client: str
    start_within: timedelta = timedelta(hours=1)
    paused: bool = False
    last_time: datetime | None = None
    last_job: int | None = None
    created: int = 0
    skipped: int = 0

    @property
    def name(self) -> str:
        """The resource name."""
        return f"models/{self.model}/scoringSchedules/{self.id}"

    def request_id(self, time: datetime) -> str:
        """Return the request id of the job for a time: the same in every replica, so that the job is created once."""
        return f"scoringSchedules/{self.id}/{time:%Y-%m-%dT%H:%M}Z"


@dataclass(frozen=True, slots=True)
class Skipped:
    """Times that no job was created for. count: of them. first, last: of them."""

    reason: str
    count: int
    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True)
class Due:
    """What has to be done now. time: that a job is to be created for, None for none. schedule: as it is afterwards."""

    schedule: Schedule
    time: datetime | None = None
    skipped: tuple[Skipped, ...] = ()


def next_time(schedule: Schedule, now: datetime) -> datetime | None:
    """Return when a schedule comes next; None while it is paused."""
    if schedule.paused:
        return None
    return cron.after(schedule.cron, schedule.zone, max(now, schedule.last_time or now))


def due(schedule: Schedule, now: datetime, *, busy: bool) -> Due | None:
    """Return what has to be done at a time; None for nothing. busy: the job created last is not over.

    A schedule without `last_time` begins now: nothing before counts.
    """
    if schedule.last_time is None:
        return Due(replace(schedule, last_time=now))
    if schedule.last_time > now + LARGEST_STEP_BACK:
        message = "the clock was set back: times are counted from now on again"
        return Due(replace(schedule, last_time=now), skipped=(Skipped(message, 0, now, now),))
    passed = _passed(schedule, now)
    if not passed:
        return None
    *missed, time = passed
    after = replace(schedule, last_time=time)
    if schedule.paused:
        return Due(after)
    skipped = [Skipped("no job was created: the scorer was down", len(missed), missed[0], missed[-1])] if missed else []
    if busy:
        skipped.append(Skipped(f"the job before, {schedule.last_job}, was not over", 1, time, time))
    elif now - time > schedule.start_within:
        skipped.append(Skipped("the scorer was down for longer than the job may begin late", 1, time, time))
    count = sum(one.count for one in skipped)
    after = replace(after, skipped=schedule.skipped + count)
    creates = not busy and now - time <= schedule.start_within
    return Due(after, time if creates else None, tuple(skipped))


def _passed(schedule: Schedule, now: datetime) -> list[datetime]:
    assert schedule.last_time is not None
    times: list[datetime] = []
    following = cron.after(schedule.cron, schedule.zone, schedule.last_time)
    while following <= now:
        times.append(following)
        if len(times) > _MAX_PASSED:  # away for long: begin close to now
            times = [times[0]]
            following = now - timedelta(hours=1)
        following = cron.after(schedule.cron, schedule.zone, following)
    return times
