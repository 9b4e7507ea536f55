"""Routes that are written for experiments: what was before is stored until the experiment runs with the new shares."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from headrace_servicekit.coordination.claims import WorkClaims
from headrace_servicekit.errors import Unavailable
from headrace_servicekit.postgres.connections import Connections
from headrace_servicekit.postgres.sql import load_queries

_QUERIES = load_queries("headrace_rollout.sql")

# Longer than a start takes: its calls have deadlines.
LEASE = timedelta(seconds=60)
_CHANGES = WorkClaims("route_changes", {"experiment": "text"}, due="true", order="experiment", lease=LEASE)


class RouteChanges:
    """Every method raises Unavailable while the database cannot be reached."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def begin(self, experiment: str, before: str) -> int:
        """Store a route before it is written for an experiment; return the claim, which ends by itself.

        Raises Unavailable, reason ROUTE_CHANGING, while another start of the experiment is at it or is being undone.
        """
        async with self._connections.transaction() as connection:
            claim = await connection.fetchval(_QUERIES["begin_route_change"], experiment, before, LEASE)
        if claim is None:
            raise Unavailable(
                f"the route is being written for {experiment} by an earlier call: try again when that has ended",
                reason="ROUTE_CHANGING",
                retry_after_s=2.0,
            )
        return claim

    async def end(self, experiment: str, claim: int) -> None:
        """Forget what was before: the experiment runs with what was written."""
        await self._execute("end_route_change", experiment, claim)

    async def undo(self, experiment: str, claim: int) -> None:
        """Have the route be given back at once."""
        await self._execute("undo_route_change", experiment, claim)

    async def work_off(self, restore: Callable[[str, str], Awaitable[object]]) -> None:
        """Have the routes of starts that ended without success be given back: `restore` takes an experiment and the
        route before. What fails is due again after a pause. Raises the first failure.
        """

        async def restored(rows: list[Any]) -> None:
            for row in rows:
                await restore(row["experiment"], row["before"])
                await self.end(row["experiment"], row["claims"])

        await _CHANGES.work_off(self._connections, restored, limit=1)

    async def _execute(self, query: str, *arguments: Any) -> None:
        async with self._connections.transaction() as connection:
            await connection.execute(_QUERIES[query], *arguments)
