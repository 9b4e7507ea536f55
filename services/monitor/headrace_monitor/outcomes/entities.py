"""An entity's outcome is about the entity's last prediction before it became true, if that was recent enough. Pure."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from headrace_monitor.outcomes.facts import EntityKey

MAX_PAUSE = timedelta(minutes=10)
MIN_PAUSE = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Delays:
    """settle: after that nearly every prediction is in the log. give_up: after that none will come any more."""

    settle: timedelta
    give_up: timedelta


@dataclass(frozen=True, slots=True)
class Waiting:
    """An entity's outcome whose prediction is not known yet. reach: how old the prediction may be."""

    key: EntityKey
    record_time: datetime
    reach: timedelta

    @property
    def earliest(self) -> datetime:
        """Return when its prediction may have been made at the earliest."""
        return self.key.observe_time - self.reach

    def settled_at(self, delays: Delays) -> datetime:
        """Return from when on the log is taken to be complete up to `observe_time`."""
        return self.key.observe_time + delays.settle


@dataclass(frozen=True, slots=True, order=True)
class Candidate:
    """A prediction of the entity. At one instant the id decides, so that every replica finds the same one."""

    answer_time: datetime
    prediction_id: UUID


class Verdict(enum.Enum):
    """What becomes of an outcome that waits."""

    JOIN = "join"
    WAIT = "wait"
    GIVE_UP = "give_up"


def fits(waiting: Waiting, candidate: Candidate) -> bool:
    """Return whether a prediction may be the one that the outcome is about."""
    return waiting.earliest <= candidate.answer_time <= waiting.key.observe_time


def judge(waiting: Waiting, found: Candidate | None, now: datetime, delays: Delays) -> Verdict:
    """Decide. A prediction that was found is not taken before a later one would be in the log too."""
    if now < waiting.settled_at(delays):
        return Verdict.WAIT
    if found is not None:
        return Verdict.JOIN
    last_chance = max(waiting.key.observe_time, waiting.record_time) + delays.give_up
    return Verdict.GIVE_UP if now >= last_chance else Verdict.WAIT


def next_try(waiting: Waiting, now: datetime, delays: Delays) -> datetime:
    """Return when to look again: when the log is complete, and then ever less often."""
    return max(waiting.settled_at(delays), now + pause(now - waiting.record_time))


def pause(age: timedelta) -> timedelta:
    """Return for how long to leave alone what has waited for so long: half as long again."""
    return min(max(age / 2, MIN_PAUSE), MAX_PAUSE)
