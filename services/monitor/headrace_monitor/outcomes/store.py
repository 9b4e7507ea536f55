"""Outcomes in PostgreSQL. SQL is in `queries.sql`, what is decided in `facts`; here are rows and transactions."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from headrace_servicekit.postgres.connections import Connections
from headrace_servicekit.postgres.sql import load_queries

from headrace_monitor.outcomes.facts import EntityKey, Fact, Folded, Key, Record, Result, Told, fold

SQL = load_queries("headrace_monitor.outcomes")

# What ListOutcomes shows of one prediction: rows times kinds.
MAX_LISTED = 1000
FORGET_ROWS = 5000

K = TypeVar("K", Key, EntityKey)


class OutcomeStore:
    """All that is told. A request is one transaction: what it answers is durable, or it raises Unavailable."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def record(self, model: str, told: Sequence[Told], client: str, now: datetime) -> list[Result]:
        """Take in outcomes; return what became of each."""
        about_predictions = [(place, one) for place, one in enumerate(told) if isinstance(one.key, Key)]
        about_entities = [(place, one) for place, one in enumerate(told) if isinstance(one.key, EntityKey)]
        results = [Result.REJECTED] * len(told)
        async with self._connections.transaction() as connection:
            records: dict[Key, list[tuple[int, Record]]] = defaultdict(list)
            for place, one in about_predictions:
                assert isinstance(one.key, Key)
                records[one.key].append((place, Record(one.fact, client, now)))
            _note(results, records, await write_outcomes(connection, model, _plain(records), now))
            if about_entities:
                await _write_entities(connection, model, about_entities, client, now, results)
        return results

    async def of_prediction(self, model: str, prediction_id: UUID) -> list[tuple[Key, Record, list[Record]]]:
        """Return what is recorded of a prediction, and what that corrected."""
        rows = await self._connections.repeatable(
            lambda connection: connection.fetch(SQL["outcomes_of"], model, prediction_id, MAX_LISTED)
        )
        return [
            (Key(prediction_id, row["row_number"], row["kind"]), _record(row), _replaced(row["replaced"]))
            for row in rows
        ]

    async def among(self, model: str, prediction_ids: Sequence[str]) -> list[Any]:
        """Return the facts about predictions of the log: prediction_id, row_number, kind, number, text."""
        return await self._connections.repeatable(
            lambda connection: connection.fetch(SQL["outcomes_among"], model, prediction_ids)
        )

    async def any_between(self, model: str, first: UUID, end: UUID) -> bool:
        """Return whether anything is known of predictions with ids from `first` on and before `end`."""
        return await self._connections.repeatable(
            lambda connection: connection.fetchval(SQL["any_outcomes"], model, first, end)
        )

    async def forget(self, before: datetime, first_kept: UUID) -> int:
        """Remove a step of what is about predictions that are not kept any more; return how much it was."""
        async with self._connections.transaction() as connection:
            removed = await connection.execute(SQL["forget_outcomes"], first_kept, FORGET_ROWS)
            entities = await connection.execute(SQL["forget_entity_outcomes"], before, FORGET_ROWS)
        return int(removed.split()[-1]) + int(entities.split()[-1])

    async def waiting(self) -> tuple[int, int]:
        """Return how many facts wait for their predictions in the log, and how many entities' do."""
        row = await self._connections.repeatable(lambda connection: connection.fetchrow(SQL["waiting"]))
        return row["arrivals"], row["entities"]


async def write_outcomes(
    connection: Any, model: str, told: Mapping[Key, Sequence[Record]], now: datetime
) -> dict[Key, Folded]:
    """Take in facts about predictions, inside a transaction; what is new or corrected is queued to meet the log."""
    folded = {key: fold(None, told[key]) for key in sorted(told)}
    if not folded:
        return folded
    inserted = await connection.fetch(SQL["insert_outcomes"], model, *_columns(folded))
    new = {Key(row["prediction_id"], row["row_number"], row["kind"]) for row in inserted}
    known = [key for key in folded if key not in new]
    if known:
        locked = await connection.fetch(SQL["lock_outcomes"], model, *_keys(known))
        for row in locked:
            key = Key(row["prediction_id"], row["row_number"], row["kind"])
            folded[key] = fold(_record(row), told[key])
        await connection.execute(SQL["update_outcomes"], model, *_columns({key: folded[key] for key in known}))
    arrived = [key for key in folded if folded[key].changed]
    await connection.execute(SQL["insert_arrivals"], model, *_keys(arrived), [key in new for key in arrived], now)
    return folded


async def _write_entities(
    connection: Any, model: str, told: Sequence[tuple[int, Told]], client: str, now: datetime, results: list[Result]
) -> None:
    records: dict[EntityKey, list[tuple[int, Record]]] = defaultdict(list)
    for place, one in told:
        assert isinstance(one.key, EntityKey)
        records[one.key].append((place, Record(one.fact, client, now)))
    reach = max(one.reach for _, one in told)
    folded = {key: fold(None, [record for _, record in records[key]]) for key in sorted(records)}
    inserted = await connection.fetch(
        SQL["insert_entity_outcomes"], model, *_entity_columns(folded), now, client, reach
    )
    new = {EntityKey(row["entity_id"], row["row_number"], row["kind"], row["observe_time"]) for row in inserted}
    known = [key for key in folded if key not in new]
    if known:
        anew = {}
        for row in await connection.fetch(SQL["lock_entity_outcomes"], model, *_entity_keys(known)):
            key = EntityKey(row["entity_id"], row["row_number"], row["kind"], row["observe_time"])
            folded[key] = fold(_record(row), [record for _, record in records[key]])
            if folded[key].changed or row["state"] == "given_up":
                anew[key] = folded[key]
        await connection.execute(SQL["update_entity_outcomes"], model, *_entity_columns(anew), now, client, reach)
    _note(results, records, folded)
    for place, _ in told:
        if results[place] is Result.RECORDED:
            results[place] = Result.WAITING


def _plain(records: Mapping[K, Sequence[tuple[int, Record]]]) -> dict[K, list[Record]]:
    return {key: [record for _, record in told] for key, told in records.items()}


def _note(results: list[Result], records: Mapping[K, Sequence[tuple[int, Record]]], folded: Mapping[K, Folded]) -> None:
    """Put the results of each key's facts where their outcomes stood in the request."""
    for key, told in records.items():
        for (place, _), result in zip(told, folded[key].results, strict=True):
            results[place] = result


def _keys(keys: Sequence[Key]) -> tuple[list[Any], ...]:
    return [key.prediction_id for key in keys], [key.row for key in keys], [key.kind for key in keys]


def _entity_keys(keys: Iterable[EntityKey]) -> tuple[list[Any], ...]:
    listed = list(keys)
    return (
        [key.entity_id for key in listed],
        [key.row for key in listed],
        [key.kind for key in listed],
        [key.observe_time for key in listed],
    )


def _columns(folded: Mapping[Key, Folded]) -> tuple[list[Any], ...]:
    kept = [one.kept for one in folded.values()]
    return (
        *_keys(list(folded)),
        *_values(kept),
        [record.fact.observe_time for record in kept],
        [record.record_time for record in kept],
        [record.client for record in kept],
        [_replaced_text(one.replaced) for one in folded.values()],
    )


def _entity_columns(folded: Mapping[EntityKey, Folded]) -> tuple[list[Any], ...]:
    return *_entity_keys(folded), *_values([one.kept for one in folded.values()])


def _values(records: Sequence[Record]) -> tuple[list[Any], list[Any]]:
    values = [record.fact.value for record in records]
    return (
        [None if isinstance(value, str) else value for value in values],
        [value if isinstance(value, str) else None for value in values],
    )


def _record(row: Any) -> Record:
    value = row["number"] if row["text"] is None else row["text"]
    return Record(Fact(row["observe_time"], value), row["client"], row["record_time"])


def _replaced_text(records: Sequence[Record]) -> str:
    if not records:
        return "[]"
    return json.dumps(
        [
            [record.fact.value, record.fact.observe_time.isoformat(), record.client, record.record_time.isoformat()]
            for record in records
        ]
    )


def _replaced(text: str) -> list[Record]:
    return [
        Record(
            Fact(datetime.fromisoformat(observed), value if isinstance(value, str) else float(value)),
            client,
            datetime.fromisoformat(recorded),
        )
        for value, observed, client, recorded in json.loads(text)
    ]
