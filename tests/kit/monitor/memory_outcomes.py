"""Outcomes in memory, for tests of what uses them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from headrace_monitor.record.outcomes.decisions.merge import (
    MAX_REPLACED,
    EntityKey,
    OutcomeKey,
    RecordedOutcome,
    ReportedOutcome,
    Result,
    merge,
)
from headrace_monitor.record.outcomes.store import (
    EXPIRE_ROWS,
    MAX_LISTED,
    ValuesByRow,
    placed,
    results_of,
    without_places,
)


class MemoryOutcomes:
    """Implements OutcomeStore. Nothing joins what it holds with a log, so everything keeps waiting."""

    def __init__(self) -> None:
        self._outcomes: dict[str, dict[OutcomeKey, tuple[RecordedOutcome, list[RecordedOutcome]]]] = defaultdict(dict)
        self._entities: dict[str, dict[EntityKey, RecordedOutcome]] = defaultdict(dict)
        self._arrivals = 0

    async def record(self, model: str, reported: Sequence[ReportedOutcome], client: str, now: datetime) -> list[Result]:
        of_predictions, of_entities = placed(reported, client, now)
        outcomes, entities = self._outcomes[model], self._entities[model]
        merged = {}
        for key, records in without_places(of_predictions).items():
            before, replaced = outcomes.get(key, (None, []))
            merged[key] = merge(before, records)
            outcomes[key] = merged[key].kept, [*merged[key].replaced, *replaced][:MAX_REPLACED]
            self._arrivals += merged[key].changed
        merged_entities = {}
        for key, records in without_places(of_entities).items():
            merged_entities[key] = merge(entities.get(key), records)
            if merged_entities[key].changed:
                entities[key] = merged_entities[key].kept
        return results_of(of_predictions, of_entities, merged, merged_entities)

    async def of_prediction(
        self, model: str, prediction_id: UUID
    ) -> list[tuple[OutcomeKey, RecordedOutcome, list[RecordedOutcome]]]:
        found = [(key, *one) for key, one in self._outcomes[model].items() if key.prediction_id == prediction_id]
        return sorted(found, key=lambda one: (one[0].kind, one[0].row))[:MAX_LISTED]

    async def values_of(self, model: str, prediction_ids: Sequence[str]) -> ValuesByRow:
        wanted, found = set(prediction_ids), defaultdict[tuple[str, int], dict[str, float | str]](dict)
        for key, (record, _) in self._outcomes[model].items():
            if str(key.prediction_id) in wanted:
                found[str(key.prediction_id), key.row][key.kind] = record.outcome.value
        return found

    async def any_between(self, model: str, first: UUID, end: UUID) -> bool:
        return any(first <= key.prediction_id < end for key in self._outcomes[model])

    async def expire(self, before: datetime, first_kept: UUID) -> int:
        old = [(one, key) for one in self._outcomes.values() for key in one if key.prediction_id < first_kept]
        late = [(one, key) for one in self._entities.values() for key in one if key.observe_time < before]
        for one, key in old[:EXPIRE_ROWS]:
            del one[key]
        for one, key in late[:EXPIRE_ROWS]:
            del one[key]
        return len(old[:EXPIRE_ROWS]) + len(late[:EXPIRE_ROWS])

    async def waiting(self) -> tuple[int, int]:
        return self._arrivals, sum(map(len, self._entities.values()))
