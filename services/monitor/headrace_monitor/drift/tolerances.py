"""Tolerances of models in PostgreSQL. Every method raises Unavailable while it cannot be reached."""

from __future__ import annotations

from headrace_servicekit.errors import ResourceExhausted
from headrace_servicekit.postgres.connections import Connections
from headrace_servicekit.postgres.sql import load_queries

from headrace_monitor.drift.decisions.tolerances import MAX_RULES, ToleranceRule

_SQL = load_queries("headrace_monitor.drift")


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
