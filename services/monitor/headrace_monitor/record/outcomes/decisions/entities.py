"""Match an entity's outcome with the entity's last prediction before it, if that was recent enough. Pure."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from headrace_monitor.record.outcomes.decisions.merge import EntityKey

MAX_PAUSE = timedelta(minutes=10)
MIN_PAUSE = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Delays:
    """settle: after it nearly every prediction is in the log. give_up: after it none will come any more."""

    settle: timedelta
    give_up: timedelta


@dataclass(frozen=True, slots=True)
class PendingOutcome:
    """An entity's outcome that has no prediction yet. reach: how old the prediction may be."""

    key: EntityKey
    record_time: datetime
    reach: timedelta

    @property
    def earliest(self) -> datetime:
        """Return the earliest time of its prediction."""
        return self.key.observe_time - self.reach

    def settled_at(self, delays: Delays) -> datetime:
        """Return when the log counts as complete up to `observe_time`."""
        return self.key.observe_time + delays.settle


@dataclass(frozen=True, slots=True, order=True)
class Candidate:
    """A prediction of the entity. At one instant the id decides, so that every replica finds the same one."""

    answer_time: datetime
    prediction_id: UUID


class Verdict(enum.Enum):
    """What to do with a pending outcome."""

    JOIN = "join"
    WAIT = "wait"
    GIVE_UP = "give_up"


def fits(waiting: PendingOutcome, candidate: Candidate) -> bool:
    """Return whether a prediction may be the one that the outcome is about."""
    return waiting.earliest <= candidate.answer_time <= waiting.key.observe_time


def judge(waiting: PendingOutcome, found: Candidate | None, now: datetime, delays: Delays) -> Verdict:
    """Decide what to do. A match is taken only once a later prediction would be in the log too."""
    if now < waiting.settled_at(delays):
        return Verdict.WAIT
    if found is not None:
        return Verdict.JOIN
    last_chance = max(waiting.key.observe_time, waiting.record_time) + delays.give_up
    return Verdict.GIVE_UP if now >= last_chance else Verdict.WAIT


def next_try(waiting: PendingOutcome, now: datetime, delays: Delays) -> datetime:
    """Return when to search again: when the log is complete, and then at growing intervals."""
    return max(waiting.settled_at(delays), now + pause(now - waiting.record_time))


def pause(age: timedelta) -> timedelta:
    """Return the pause before the next search: half the age, within bounds."""
    return min(max(age / 2, MIN_PAUSE), MAX_PAUSE)
