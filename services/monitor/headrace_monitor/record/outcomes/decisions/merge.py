"""Merge reported outcomes with recorded ones. Pure.

The latest outcome of a kind and row counts. Outcomes have a total order, by `observe_time` and then by value, so the
result depends neither on the order of arrival nor on repetition.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

# Corrections kept per outcome.
MAX_REPLACED = 10


class Result(enum.Enum):
    """Result of reporting one outcome."""

    RECORDED = "recorded"
    REPEATED = "repeated"
    OUTDATED = "outdated"
    REJECTED = "rejected"
    WAITING = "waiting"


@dataclass(frozen=True, slots=True)
class Outcome:
    """An observed outcome, such as a label. value: a number, or the name of a class."""

    observe_time: datetime
    value: float | str

    @property
    def order(self) -> tuple[datetime, bool, float | str]:
        """Sorts outcomes: at one instant numbers come before names, so that any two can be compared."""
        return self.observe_time, isinstance(self.value, str), self.value


@dataclass(frozen=True, slots=True, order=True)
class OutcomeKey:
    """Identifies an outcome of a model: prediction, row, kind."""

    prediction_id: UUID
    row: int
    kind: str


@dataclass(frozen=True, slots=True, order=True)
class EntityKey:
    """Identifies an outcome of an entity; its time decides which prediction it belongs to."""

    entity_id: str
    row: int
    kind: str
    observe_time: datetime


@dataclass(frozen=True, slots=True)
class ReportedOutcome:
    """One outcome of a request. reach: for an entity, how old the prediction may be."""

    key: OutcomeKey | EntityKey
    outcome: Outcome
    reach: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class RecordedOutcome:
    """An outcome with the client that reported it, and when."""

    outcome: Outcome
    client: str
    record_time: datetime


@dataclass(frozen=True, slots=True)
class MergeResult:
    """Result of a merge. results: one for each reported outcome. replaced: corrected outcomes, the latest first.

    changed: whether the value differs from the recorded one.
    """

    kept: RecordedOutcome
    results: tuple[Result, ...]
    replaced: tuple[RecordedOutcome, ...]
    changed: bool


def merge(recorded: RecordedOutcome | None, reported: Sequence[RecordedOutcome]) -> MergeResult:
    """Merge the outcomes of one key in a report, as if each had arrived alone, in the order of their times."""
    latest, replaced = recorded, []
    results = [Result.REPEATED] * len(reported)
    for place in sorted(range(len(reported)), key=lambda index: reported[index].outcome.order):
        results[place], after = _decide(latest, reported[place])
        if latest is not None and after.outcome.value != latest.outcome.value:
            replaced.insert(0, latest)
        latest = after
    assert latest is not None, "reported is not empty"
    before = None if recorded is None else recorded.outcome.value
    return MergeResult(latest, tuple(results), tuple(replaced[:MAX_REPLACED]), changed=latest.outcome.value != before)


def _decide(recorded: RecordedOutcome | None, reported: RecordedOutcome) -> tuple[Result, RecordedOutcome]:
    """Return the result of one outcome, and what is recorded afterwards."""
    if recorded is None:
        return Result.RECORDED, reported
    later = reported.outcome.order > recorded.outcome.order
    if reported.outcome.value == recorded.outcome.value:
        # Known, but now of a later time: an outcome in between no longer corrects it, whichever came first.
        outcome = reported.outcome if later else recorded.outcome
        return Result.REPEATED, RecordedOutcome(outcome, recorded.client, recorded.record_time)
    return (Result.RECORDED, reported) if later else (Result.OUTDATED, recorded)
