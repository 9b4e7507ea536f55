"""What a store of outcomes does. `postgres` and `memory` keep the same promises: tests/contract/outcome_store."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol, TypeVar
from uuid import UUID

from headrace_monitor.record.outcomes.decisions.merge import (
    EntityKey,
    MergeResult,
    OutcomeKey,
    RecordedOutcome,
    ReportedOutcome,
    Result,
)

# Outcomes that ListOutcomes returns of one prediction: rows times kinds.
MAX_LISTED = 1000
EXPIRE_ROWS = 5000

K = TypeVar("K", OutcomeKey, EntityKey)
# Outcomes that were reported together under one key, with their places in the request.
Placed = Mapping[K, Sequence[tuple[int, RecordedOutcome]]]
# Values by prediction id (as text, as the log has it) and row, then by kind.
ValuesByRow = Mapping[tuple[str, int], Mapping[str, float | str]]


class OutcomeStore(Protocol):
    """Stores outcomes by model. Every method raises Unavailable while the store is away."""

    async def record(self, model: str, reported: Sequence[ReportedOutcome], client: str, now: datetime) -> list[Result]:
        """Record outcomes, all or none; return the result of each."""
        ...

    async def of_prediction(
        self, model: str, prediction_id: UUID
    ) -> list[tuple[OutcomeKey, RecordedOutcome, list[RecordedOutcome]]]:
        """Return the recorded outcomes of a prediction by kind and row, each with those that it corrected."""
        ...

    async def values_of(self, model: str, prediction_ids: Sequence[str]) -> ValuesByRow:
        """Return the values recorded for predictions."""
        ...

    async def any_between(self, model: str, first: UUID, end: UUID) -> bool:
        """Return whether there are outcomes of predictions with ids from `first` on and before `end`."""
        ...

    async def expire(self, before: datetime, first_kept: UUID) -> int:
        """Delete some outcomes of predictions before `first_kept`, and of entities before a time; return how many."""
        ...

    async def waiting(self) -> tuple[int, int]:
        """Return how many outcomes of predictions, and of entities, are still to be joined with the log."""
        ...


def placed(
    reported: Sequence[ReportedOutcome], client: str, now: datetime
) -> tuple[Placed[OutcomeKey], Placed[EntityKey]]:
    """Group reported outcomes by key: those of predictions, and those of entities."""
    of_predictions: dict[OutcomeKey, list[tuple[int, RecordedOutcome]]] = defaultdict(list)
    of_entities: dict[EntityKey, list[tuple[int, RecordedOutcome]]] = defaultdict(list)
    for place, one in enumerate(reported):
        record = place, RecordedOutcome(one.outcome, client, now)
        if isinstance(one.key, OutcomeKey):
            of_predictions[one.key].append(record)
        else:
            of_entities[one.key].append(record)
    return of_predictions, of_entities


def without_places(outcomes: Placed[K]) -> dict[K, list[RecordedOutcome]]:
    """Return outcomes by key."""
    return {key: [record for _, record in records] for key, records in outcomes.items()}


def results_of(
    of_predictions: Placed[OutcomeKey],
    of_entities: Placed[EntityKey],
    merged: Mapping[OutcomeKey, MergeResult],
    merged_entities: Mapping[EntityKey, MergeResult],
) -> list[Result]:
    """Return the result of each reported outcome in the order of the request. New ones of entities are waiting."""
    found: dict[int, Result] = {}
    for key, records in of_predictions.items():
        found |= zip((place for place, _ in records), merged[key].results, strict=True)
    for key, records in of_entities.items():
        results = (Result.WAITING if one is Result.RECORDED else one for one in merged_entities[key].results)
        found |= zip((place for place, _ in records), results, strict=True)
    return [found[place] for place in range(len(found))]
