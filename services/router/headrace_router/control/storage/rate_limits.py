"""Rate limits in PostgreSQL."""

from __future__ import annotations

from typing import Any

from headrace_servicekit.errors import ResourceExhausted
from headrace_servicekit.identity import Identity, model_not_found
from headrace_servicekit.postgres.connections import Connections
from headrace_servicekit.postgres.sql import load_queries

from headrace_router.control.decisions.rate_limits import EVERY_MODEL, MAX_RATE_LIMITS, RateLimit
from headrace_router.outage import Outage

_SQL = load_queries("headrace_router.control.storage.sql")


class RateLimitStore:
    """Rate limits by name. Every call raises Unavailable while the database is away."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def all(self) -> list[RateLimit]:
        """Return all rate limits, by name."""
        rows = await self._connections.repeatable(lambda connection: connection.fetch(_SQL["rate_limits"]))
        return [_rate_limit(row) for row in rows]

    async def put(self, limit: RateLimit, caller: Identity, *, validate_only: bool = False) -> None:
        """Make a rate limit, or replace the one of its name that the caller may see."""
        async with self._connections.transaction(validate_only=validate_only) as connection:
            await lock(connection, _SQL["rate_limit"], limit.name, caller)
            if await connection.fetchval(_SQL["count_other_rate_limits"], limit.name) >= MAX_RATE_LIMITS:
                raise ResourceExhausted(
                    f"there are {MAX_RATE_LIMITS} rate limits: delete one first",
                    reason="TOO_MANY_RATE_LIMITS",
                    retry_after_s=60.0,
                )
            await connection.execute(_SQL["put_rate_limit"], *columns_of(limit))

    async def delete(self, name: str, caller: Identity) -> None:
        """Remove a rate limit that the caller may see."""
        async with self._connections.transaction() as connection:
            await lock(connection, _SQL["rate_limit"], name, caller)
            await connection.execute(_SQL["delete_rate_limit"], name)


def columns_of(limit: RateLimit) -> tuple[Any, ...]:
    """Return the row of a rate limit."""
    of = limit.name, limit.client, limit.model, limit.requests_per_second
    return *of, limit.burst, limit.shadow_mode, int(limit.outage)


def sees(caller: Identity, model: str) -> bool:
    """Return whether a caller may see what is set for a model: what is for all models is for who sees all."""
    return caller.models is None if model == EVERY_MODEL else caller.sees(model)


async def lock(connection: Any, query: str, name: str, caller: Identity) -> None:
    """Keep a limit from others while it is changed. Raises NotFound for one that the caller may not see."""
    row = await connection.fetchrow(query, name)
    if row is not None and not sees(caller, row["model"]):
        raise model_not_found(row["model"])


def _rate_limit(row: Any) -> RateLimit:
    return RateLimit(
        *(row["name"], row["client"], row["model"], row["requests_per_second"]),
        *(row["burst"], row["shadow_mode"], Outage(row["outage"])),
    )
