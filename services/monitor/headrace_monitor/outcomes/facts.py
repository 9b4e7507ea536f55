"""What is told of predictions, and what is kept of it: pure.

Of the facts of one kind about one row the latest is kept. Facts have a total order, by `observe_time` and then by
value, so what is kept depends on what was told and neither on the order of arrival nor on repetition.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

# Corrections that are remembered of one fact.
MAX_REPLACED = 10


class Result(enum.Enum):
    """What became of one outcome."""

    RECORDED = "recorded"
    REPEATED = "repeated"
    OUTDATED = "outdated"
    REJECTED = "rejected"
    WAITING = "waiting"


@dataclass(frozen=True, slots=True)
class Fact:
    """value: a number, or the name of a class."""

    observe_time: datetime
    value: float | str

    @property
    def order(self) -> tuple[datetime, bool, float | str]:
        """Sorts facts: at one instant numbers come before names, so that any two can be compared."""
        return self.observe_time, isinstance(self.value, str), self.value


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """Which fact of which row of which prediction of a model."""

    prediction_id: UUID
    row: int
    kind: str


@dataclass(frozen=True, slots=True, order=True)
class EntityKey:
    """Which fact of which entity of a model; its time tells which prediction it is about."""

    entity_id: str
    row: int
    kind: str
    observe_time: datetime


@dataclass(frozen=True, slots=True)
class Told:
    """One outcome of a request. reach: of an entity's, how old its prediction may be."""

    key: Key | EntityKey
    fact: Fact
    reach: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class Record:
    """A fact with who told it and when."""

    fact: Fact
    client: str
    record_time: datetime


@dataclass(frozen=True, slots=True)
class Folded:
    """results: one per told fact, in the order of telling. replaced: what corrections put aside, the latest first.
    changed: whether the value differs from what was recorded.
    """

    kept: Record
    results: tuple[Result, ...]
    replaced: tuple[Record, ...]
    changed: bool


def fold(recorded: Record | None, told: Sequence[Record]) -> Folded:
    """Take in facts of one key that were told together, as if each had come by itself in the order of its time."""
    kept, replaced = recorded, []
    results = [Result.REPEATED] * len(told)
    for place in sorted(range(len(told)), key=lambda index: told[index].fact.order):
        results[place], after = _decide(kept, told[place])
        if kept is not None and after.fact.value != kept.fact.value:
            replaced.insert(0, kept)
        kept = after
    assert kept is not None, "told is not empty"
    before = None if recorded is None else recorded.fact.value
    return Folded(kept, tuple(results), tuple(replaced[:MAX_REPLACED]), changed=kept.fact.value != before)


def _decide(recorded: Record | None, told: Record) -> tuple[Result, Record]:
    """Return what became of one fact, and what is recorded afterwards."""
    if recorded is None:
        return Result.RECORDED, told
    later = told.fact.order > recorded.fact.order
    if told.fact.value == recorded.fact.value:
        # Known, but now of a later time: a fact in between no longer corrects it, whichever of them came first.
        fact = told.fact if later else recorded.fact
        return Result.REPEATED, Record(fact, recorded.client, recorded.record_time)
    return (Result.RECORDED, told) if later else (Result.OUTDATED, recorded)
