"""Outcomes in PostgreSQL. The SQL is in `queries.sql`, the rules are in `decisions/merging.py`."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from headrace_servicekit.postgres.connections import Connections
from headrace_servicekit.postgres.sql import load_queries

from headrace_monitor.outcomes.decisions.merging import (
    EntityKey,
    MergeResult,
    Outcome,
    OutcomeKey,
    RecordedOutcome,
    ReportedOutcome,
    Result,
    merge,
)

SQL = load_queries("headrace_monitor.outcomes")

# What ListOutcomes shows of one prediction: rows times kinds.
MAX_LISTED = 1000
EXPIRE_ROWS = 5000

K = TypeVar("K", OutcomeKey, EntityKey)


class OutcomeStore:
    """Stores outcomes. A request is one transaction: either all of it is durable, or it raises Unavailable."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def record(self, model: str, reported: Sequence[ReportedOutcome], client: str, now: datetime) -> list[Result]:
        """Record outcomes; return the result of each."""
        about_predictions = [(place, one) for place, one in enumerate(reported) if isinstance(one.key, OutcomeKey)]
        about_entities = [(place, one) for place, one in enumerate(reported) if isinstance(one.key, EntityKey)]
        results = [Result.REJECTED] * len(reported)
        async with self._connections.transaction() as connection:
            records: dict[OutcomeKey, list[tuple[int, RecordedOutcome]]] = defaultdict(list)
            for place, one in about_predictions:
                assert isinstance(one.key, OutcomeKey)
                records[one.key].append((place, RecordedOutcome(one.outcome, client, now)))
            _note(results, records, await write_outcomes(connection, model, _plain(records), now))
            if about_entities:
                await _write_entities(connection, model, about_entities, client, now, results)
        return results

    async def of_prediction(
        self, model: str, prediction_id: UUID
    ) -> list[tuple[OutcomeKey, RecordedOutcome, list[RecordedOutcome]]]:
        """Return the recorded outcomes of a prediction, each with those that it corrected."""
        rows = await self._connections.repeatable(
            lambda connection: connection.fetch(SQL["outcomes_of"], model, prediction_id, MAX_LISTED)
        )
        return [
            (OutcomeKey(prediction_id, row["row_number"], row["kind"]), _record(row), _replaced(row["replaced"]))
            for row in rows
        ]

    async def among(self, model: str, prediction_ids: Sequence[str]) -> list[Any]:
        """Return the outcomes about predictions of the log: prediction_id, row_number, kind, number, text."""
        return await self._connections.repeatable(
            lambda connection: connection.fetch(SQL["outcomes_among"], model, prediction_ids)
        )

    async def any_between(self, model: str, first: UUID, end: UUID) -> bool:
        """Return whether anything is known of predictions with ids from `first` on and before `end`."""
        return await self._connections.repeatable(
            lambda connection: connection.fetchval(SQL["any_outcomes"], model, first, end)
        )

    async def expire(self, before: datetime, first_kept: UUID) -> int:
        """Delete some outcomes of predictions that are not kept any more; return how many."""
        async with self._connections.transaction() as connection:
            removed = await connection.execute(SQL["expire_outcomes"], first_kept, EXPIRE_ROWS)
            entities = await connection.execute(SQL["expire_entity_outcomes"], before, EXPIRE_ROWS)
        return int(removed.split()[-1]) + int(entities.split()[-1])

    async def waiting(self) -> tuple[int, int]:
        """Return how many outcomes wait for their predictions in the log, and how many entities' do."""
        row = await self._connections.repeatable(lambda connection: connection.fetchrow(SQL["waiting"]))
        return row["arrivals"], row["entities"]


async def write_outcomes(
    connection: Any, model: str, reported: Mapping[OutcomeKey, Sequence[RecordedOutcome]], now: datetime
) -> dict[OutcomeKey, MergeResult]:
    """Take in outcomes about predictions, inside a transaction; what is new or corrected is queued to meet the log."""
    folded = {key: merge(None, reported[key]) for key in sorted(reported)}
    if not folded:
        return folded
    inserted = await connection.fetch(SQL["insert_outcomes"], model, *_columns(folded))
    new = {OutcomeKey(row["prediction_id"], row["row_number"], row["kind"]) for row in inserted}
    known = [key for key in folded if key not in new]
    if known:
        locked = await connection.fetch(SQL["lock_outcomes"], model, *_keys(known))
        for row in locked:
            key = OutcomeKey(row["prediction_id"], row["row_number"], row["kind"])
            folded[key] = merge(_record(row), reported[key])
        await connection.execute(SQL["update_outcomes"], model, *_columns({key: folded[key] for key in known}))
    arrived = [key for key in folded if folded[key].changed]
    await connection.execute(SQL["insert_arrivals"], model, *_keys(arrived), [key in new for key in arrived], now)
    return folded


async def _write_entities(
    connection: Any,
    model: str,
    reported: Sequence[tuple[int, ReportedOutcome]],
    client: str,
    now: datetime,
    results: list[Result],
) -> None:
    records: dict[EntityKey, list[tuple[int, RecordedOutcome]]] = defaultdict(list)
    for place, one in reported:
        assert isinstance(one.key, EntityKey)
        records[one.key].append((place, RecordedOutcome(one.outcome, client, now)))
    reach = max(one.reach for _, one in reported)
    folded = {key: merge(None, [record for _, record in records[key]]) for key in sorted(records)}
    inserted = await connection.fetch(
        SQL["insert_entity_outcomes"], model, *_entity_columns(folded), now, client, reach
    )
    new = {EntityKey(row["entity_id"], row["row_number"], row["kind"], row["observe_time"]) for row in inserted}
    known = [key for key in folded if key not in new]
    if known:
        anew = {}
        for row in await connection.fetch(SQL["lock_entity_outcomes"], model, *_entity_keys(known)):
            key = EntityKey(row["entity_id"], row["row_number"], row["kind"], row["observe_time"])
            folded[key] = merge(_record(row), [record for _, record in records[key]])
            if folded[key].changed or row["state"] == "given_up":
                anew[key] = folded[key]
        await connection.execute(SQL["update_entity_outcomes"], model, *_entity_columns(anew), now, client, reach)
    _note(results, records, folded)
    for place, _ in reported:
        if results[place] is Result.RECORDED:
            results[place] = Result.WAITING


def _plain(records: Mapping[K, Sequence[tuple[int, RecordedOutcome]]]) -> dict[K, list[RecordedOutcome]]:
    return {key: [record for _, record in reported] for key, reported in records.items()}


def _note(
    results: list[Result], records: Mapping[K, Sequence[tuple[int, RecordedOutcome]]], folded: Mapping[K, MergeResult]
) -> None:
    """Put the results of each key's outcomes where their outcomes stood in the request."""
    for key, reported in records.items():
        for (place, _), result in zip(reported, folded[key].results, strict=True):
            results[place] = result


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


def _columns(folded: Mapping[OutcomeKey, MergeResult]) -> tuple[list[Any], ...]:
    kept = [one.kept for one in folded.values()]
    return (
        *_keys(list(folded)),
        *_values(kept),
        [record.outcome.observe_time for record in kept],
        [record.record_time for record in kept],
        [record.client for record in kept],
        [_replaced_text(one.replaced) for one in folded.values()],
    )


def _entity_columns(folded: Mapping[EntityKey, MergeResult]) -> tuple[list[Any], ...]:
    return *_entity_keys(folded), *_values([one.kept for one in folded.values()])


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
