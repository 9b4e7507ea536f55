"""Outcomes in PostgreSQL. The SQL is in `queries.sql`, the rules are in `decisions/merge.py`."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from headrace_servicekit.postgres.connections import Connections
from headrace_servicekit.postgres.sql import load_queries

from headrace_monitor.record.outcomes.decisions.merge import (
    EntityKey,
    MergeResult,
    Outcome,
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

SQL = load_queries("headrace_monitor.record.outcomes")


class PostgresOutcomes:
    """Implements OutcomeStore. A request is one transaction; several replicas may work on one database."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def record(self, model: str, reported: Sequence[ReportedOutcome], client: str, now: datetime) -> list[Result]:
        of_predictions, of_entities = placed(reported, client, now)
        reach = max((one.reach for one in reported), default=timedelta(0))
        async with self._connections.transaction() as connection:
            merged = await write_outcomes(connection, model, without_places(of_predictions), now)
            entities = without_places(of_entities)
            merged_entities = await _write_entities(connection, model, entities, client, now, reach)
        return results_of(of_predictions, of_entities, merged, merged_entities)

    async def of_prediction(
        self, model: str, prediction_id: UUID
    ) -> list[tuple[OutcomeKey, RecordedOutcome, list[RecordedOutcome]]]:
        rows = await self._connections.repeatable(
            lambda connection: connection.fetch(SQL["outcomes_of"], model, prediction_id, MAX_LISTED)
        )
        return [
            (OutcomeKey(prediction_id, row["row_number"], row["kind"]), _record(row), _replaced(row["replaced"]))
            for row in rows
        ]

    async def values_of(self, model: str, prediction_ids: Sequence[str]) -> ValuesByRow:
        rows = await self._connections.repeatable(
            lambda connection: connection.fetch(SQL["outcomes_among"], model, prediction_ids)
        )
        found: dict[tuple[str, int], dict[str, float | str]] = defaultdict(dict)
        for row in rows:
            value = row["number"] if row["text"] is None else row["text"]
            found[row["prediction_id"], row["row_number"]][row["kind"]] = value
        return found

    async def any_between(self, model: str, first: UUID, end: UUID) -> bool:
        return await self._connections.repeatable(
            lambda connection: connection.fetchval(SQL["any_outcomes"], model, first, end)
        )

    async def expire(self, before: datetime, first_kept: UUID) -> int:
        async with self._connections.transaction() as connection:
            removed = await connection.execute(SQL["expire_outcomes"], first_kept, EXPIRE_ROWS)
            entities = await connection.execute(SQL["expire_entity_outcomes"], before, EXPIRE_ROWS)
        return int(removed.split()[-1]) + int(entities.split()[-1])

    async def waiting(self) -> tuple[int, int]:
        row = await self._connections.repeatable(lambda connection: connection.fetchrow(SQL["waiting"]))
        return row["arrivals"], row["entities"]


async def write_outcomes(
    connection: Any, model: str, reported: Mapping[OutcomeKey, Sequence[RecordedOutcome]], now: datetime
) -> dict[OutcomeKey, MergeResult]:
    """Merge outcomes of predictions, inside a transaction; new and corrected ones are queued to be joined."""
    merged = {key: merge(None, reported[key]) for key in sorted(reported)}
    if not merged:
        return merged
    inserted = await connection.fetch(SQL["insert_outcomes"], model, *_columns(merged))
    new = {OutcomeKey(row["prediction_id"], row["row_number"], row["kind"]) for row in inserted}
    known = [key for key in merged if key not in new]
    if known:
        locked = await connection.fetch(SQL["lock_outcomes"], model, *_keys(known))
        for row in locked:
            key = OutcomeKey(row["prediction_id"], row["row_number"], row["kind"])
            merged[key] = merge(_record(row), reported[key])
        await connection.execute(SQL["update_outcomes"], model, *_columns({key: merged[key] for key in known}))
    arrived = [key for key in merged if merged[key].changed]
    await connection.execute(SQL["insert_arrivals"], model, *_keys(arrived), [key in new for key in arrived], now)
    return merged


async def _write_entities(
    connection: Any,
    model: str,
    reported: Mapping[EntityKey, Sequence[RecordedOutcome]],
    client: str,
    now: datetime,
    reach: timedelta,
) -> dict[EntityKey, MergeResult]:
    """Merge outcomes of entities, inside a transaction; what is new or corrected waits for its prediction."""
    merged = {key: merge(None, reported[key]) for key in sorted(reported)}
    if not merged:
        return merged
    inserted = await connection.fetch(
        SQL["insert_entity_outcomes"], model, *_entity_columns(merged), now, client, reach
    )
    new = {EntityKey(row["entity_id"], row["row_number"], row["kind"], row["observe_time"]) for row in inserted}
    known = [key for key in merged if key not in new]
    if known:
        anew = {}
        for row in await connection.fetch(SQL["lock_entity_outcomes"], model, *_entity_keys(known)):
            key = EntityKey(row["entity_id"], row["row_number"], row["kind"], row["observe_time"])
            merged[key] = merge(_record(row), reported[key])
            if merged[key].changed or row["state"] == "given_up":
                anew[key] = merged[key]
        await connection.execute(SQL["update_entity_outcomes"], model, *_entity_columns(anew), now, client, reach)
    return merged


def _keys(keys: Sequence[OutcomeKey]) -> tuple[list[Any], ...]:
    return [key.prediction_id for key in keys], [key.row for key in keys], [key.kind for key in keys]


def _entity_keys(keys: Iterable[EntityKey]) -> tuple[list[Any], ...]:
    listed = list(keys)
    return (
        [key.entity_id for key in listed],
        [key.row for key in listed],
        [key.kind for key in listed],
        [key.observe_time for key in listed],
    )


def _columns(merged: Mapping[OutcomeKey, MergeResult]) -> tuple[list[Any], ...]:
    records = [one.kept for one in merged.values()]
    return (
        *_keys(list(merged)),
        *_values(records),
        [record.outcome.observe_time for record in records],
        [record.record_time for record in records],
        [record.client for record in records],
        [_replaced_text(one.replaced) for one in merged.values()],
    )


def _entity_columns(merged: Mapping[EntityKey, MergeResult]) -> tuple[list[Any], ...]:
    return *_entity_keys(merged), *_values([one.kept for one in merged.values()])


def _values(records: Sequence[RecordedOutcome]) -> tuple[list[Any], list[Any]]:
    values = [record.outcome.value for record in records]
    return (
        [None if isinstance(value, str) else value for value in values],
        [value if isinstance(value, str) else None for value in values],
    )


def _record(row: Any) -> RecordedOutcome:
    value = row["number"] if row["text"] is None else row["text"]
    return RecordedOutcome(Outcome(row["observe_time"], value), row["client"], row["record_time"])


def _replaced_text(records: Sequence[RecordedOutcome]) -> str:
    if not records:
        return "[]"
    return json.dumps(
        [
            [
                record.outcome.value,
                record.outcome.observe_time.isoformat(),
                record.client,
                record.record_time.isoformat(),
            ]
            for record in records
        ]
    )


def _replaced(text: str) -> list[RecordedOutcome]:
    return [
        RecordedOutcome(
            Outcome(datetime.fromisoformat(observed), value if isinstance(value, str) else float(value)),
            client,
            datetime.fromisoformat(recorded),
        )
        for value, observed, client, recorded in json.loads(text)
    ]
