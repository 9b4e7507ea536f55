"""Scheduled drift evaluations in PostgreSQL. The SQL is in `queries.sql`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from headrace.monitor.v1 import monitor_pb2
from headrace_servicekit.errors import ResourceExhausted
from headrace_servicekit.postgres.connections import Connections
from headrace_servicekit.postgres.sql import load_queries

from headrace_monitor.alert.observations import Observations
from headrace_monitor.judge.drift import convert
from headrace_monitor.judge.drift.decisions.evaluation import DriftEvaluation, observations
from headrace_monitor.judge.drift.decisions.tolerances import MAX_RULES, ToleranceRule
from headrace_monitor.judge.drift.store import MAX_PAGE_BYTES, MIN_CALM_ROWS, DueWindow, Page

_SQL = load_queries("headrace_monitor.judge.drift")


class PostgresEvaluations:
    """Implements EvaluationStore."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def due(self, seconds: int, ended_by: datetime, ended_after: datetime, *, limit: int) -> list[DueWindow]:
        rows = await self._fetch("due", seconds, ended_by, ended_after, limit)
        return [DueWindow(*row) for row in rows]

    async def add(self, evaluation: DriftEvaluation) -> bool:
        report = convert.drift(evaluation).SerializeToString()
        place = (evaluation.model, evaluation.version, evaluation.reference, evaluation.start, evaluation.end)
        found = (int(evaluation.severity), len(evaluation.alarms), evaluation.rows, report)
        async with self._connections.transaction() as connection:
            if await connection.fetchval(_SQL["add"], *place, *found) is None:
                return False
            await Observations.put(connection, observations(evaluation))
        return True

    async def page(self, model: str, version: str, below: int | None, size: int) -> Page:
        rows = await self._fetch("page", model, version, below, MAX_PAGE_BYTES, size)
        if not rows:
            return [], False
        ((more,),) = await self._fetch("any_before", model, version, rows[-1]["number"])
        return [(row["number"], monitor_pb2.Drift.FromString(row["report"])) for row in rows], more

    async def last_without_alarm(
        self, model: str, version: str, reference: int, before: datetime
    ) -> tuple[datetime, datetime] | None:
        rows = await self._fetch("last_without_alarm", model, version, reference, before, MIN_CALM_ROWS)
        return (rows[0]["start_time"], rows[0]["end_time"]) if rows else None

    async def expire(self, before: datetime) -> None:
        await self._fetch("expire", before)

    async def _fetch(self, query: str, *arguments: Any) -> list[Any]:
        return await self._connections.repeatable(lambda connection: connection.fetch(_SQL[query], *arguments))


_SQL = load_queries("headrace_monitor.judge.drift")


class DriftTolerances:
    """What is tolerated, by model."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def of(self, model: str) -> list[ToleranceRule]:
        """Return what was set for a model."""
        rows = await self._connections.repeatable(lambda connection: connection.fetch(_SQL["tolerances"], model))
        return [ToleranceRule(row["column_name"], row["test"], row["tolerance"]) for row in rows]

    async def put(self, model: str, column: str, test: str, tolerance: float | None) -> None:
        """Set what is tolerated; None for the default. Raises ResourceExhausted."""
        async with self._connections.transaction() as connection:
            if tolerance is None:
                await connection.execute(_SQL["remove_tolerance"], model, column, test)
            elif not await connection.fetchval(_SQL["put_tolerance"], model, column, test, tolerance, MAX_RULES):
                raise ResourceExhausted(
                    f"models/{model} has {MAX_RULES:,} tolerances; unset one first, or set one for all columns",
                    reason="TOO_MANY_TOLERANCES",
                )
