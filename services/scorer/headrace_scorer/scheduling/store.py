"""Schedules in PostgreSQL: every change is conditional on the revision that it was decided from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from headrace_servicekit.errors import Aborted, NotFound
from headrace_servicekit.fair_share import Pool
from headrace_servicekit.identity import Identity
from headrace_servicekit.postgres.connections import Connections, Transactions
from headrace_servicekit.postgres.sql import load_queries
from pydantic import TypeAdapter

from headrace_scorer.decisions.schedules import Schedule

_QUERIES = load_queries("headrace_scorer.scheduling.sql")
_SCHEDULE = TypeAdapter(Schedule)
_POOL = Pool("scoring schedules", 1000, "TOO_MANY_SCHEDULES", retry_after_s=60.0)
_TRIES = 20

Decide = Callable[[Schedule, datetime], Schedule]
"""What becomes of a schedule at a time, by the database's clock."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What became of a time, or of several. time: the first of them. job: None for times that were skipped."""

    time: datetime
    job: int | None
    skipped: int
    reason: str
    create_time: datetime | None = None


class ScheduleStore:
    """Every method raises Unavailable while the database cannot be reached."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def put(self, wanted: Schedule, decide: Decide, caller: Identity) -> Schedule:
        """Keep a new schedule, or what `decide` makes of the one of its name. Raises ResourceExhausted."""
        async with self._connections.transaction() as connection:
            row = await connection.fetchrow(_QUERIES["schedule"], wanted.model, wanted.id)
            if row is None:
                used, of_client = await connection.fetchrow(_QUERIES["count"], caller.client)
                _POOL.admit(used, of_client, caller)
                now = await connection.fetchval(_QUERIES["now"])
                new = replace(wanted, last_time=now)
                if await connection.fetchval(_QUERIES["insert"], new.model, new.id, _json(new)) is not None:
                    return new
        return await self.change(wanted.model, wanted.id, decide)

    async def change(self, model: str, id_: str, decide: Decide) -> Schedule:
        """Decide on a schedule as it is. Raises NotFound, reason SCHEDULE_NOT_FOUND."""
        for attempt in range(1, _TRIES + 1):
            try:
                async with self._connections.transaction() as connection:
                    row = await connection.fetchrow(_QUERIES["schedule"], model, id_)
                    before = _existing(row, model, id_)
                    after = decide(before, row["read_time"])
                    if after != before:
                        await _update(connection, after, row["revision"])
                    return after
            except Aborted as error:
                if error.reason != "SCHEDULE_CHANGED" or attempt == _TRIES:
                    raise
        raise AssertionError("unreachable")

    async def decided(
        self, before: Schedule, revision: int, after: Schedule, decisions: Sequence[Decision], by: Transactions
    ) -> None:
        """Store decisions on due times. Raises Aborted if the schedule changed meanwhile or leadership was lost."""
        async with by.transaction() as connection:
            await _update(connection, after, revision)
            now = await connection.fetchval(_QUERIES["now"])
            for one in decisions:
                values = (now, one.time, one.job, one.skipped, one.reason)
                await connection.execute(_QUERIES["insert_decision"], before.model, before.id, *values)
            await connection.execute(_QUERIES["forget_decisions"], before.model, before.id)

    async def schedule(self, model: str, id_: str) -> tuple[Schedule, datetime]:
        """Return a schedule, and the database's time. Raises NotFound, reason SCHEDULE_NOT_FOUND."""
        found = await self._fetch("schedule", model, id_)
        return _existing(found[0] if found else None, model, id_), found[0]["read_time"]

    async def schedules(self, model: str = "") -> list[tuple[Schedule, int]]:
        """Return schedules with their revisions, by name. model: empty for every one."""
        return [(_schedule(row), row["revision"]) for row in await self._fetch("schedules", model)]

    async def decisions(self, schedule: Schedule, limit: int) -> list[Decision]:
        """Return the latest decisions of a schedule, newest first."""
        return [
            Decision(row["time"], row["job"], row["skipped"], row["reason"], row["create_time"])
            for row in await self._fetch("decisions", schedule.model, schedule.id, limit)
        ]

    async def delete(self, model: str, id_: str) -> None:
        """Remove a schedule; one that is not there is gone already."""
        async with self._connections.transaction() as connection:
            await connection.execute(_QUERIES["delete"], model, id_)

    async def now(self) -> datetime:
        """Return the time by the database's clock."""
        return (await self._fetch("now"))[0][0]

    async def _fetch(self, query: str, *arguments: Any) -> list[Any]:
        return await self._connections.repeatable(lambda connection: connection.fetch(_QUERIES[query], *arguments))


async def _update(connection: Any, schedule: Schedule, revision: int) -> None:
    if await connection.fetchval(_QUERIES["update"], schedule.model, schedule.id, revision, _json(schedule)) is None:
        raise Aborted(f"{schedule.name} changed meanwhile", reason="SCHEDULE_CHANGED")


def _json(schedule: Schedule) -> str:
    return _SCHEDULE.dump_json(schedule).decode()


def _existing(row: Any, model: str, id_: str) -> Schedule:
    if row is None:
        raise NotFound(f"'{model}' has no scoring schedule '{id_}'", reason="SCHEDULE_NOT_FOUND")
    return _schedule(row)


def _schedule(row: Any) -> Schedule:
    return _SCHEDULE.validate_json(row["document"])
