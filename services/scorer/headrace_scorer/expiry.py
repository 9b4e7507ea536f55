"""Forgetting jobs that have been over for long: their rows in the database, never their results."""

from __future__ import annotations

from datetime import timedelta

import structlog
from headrace_servicekit.postgres.connections import Connections
from headrace_servicekit.postgres.sql import load_queries

_QUERIES = load_queries("headrace_scorer.sql")

log = structlog.get_logger()

EXPIRE_EVERY_S = 600.0
# At once: each has as many rows as shards.
_JOBS = 10


class Expiry:
    """keep: how long a job is kept after its end. Every replica may forget: none waits for another one."""

    def __init__(self, connections: Connections, keep: timedelta) -> None:
        self._connections, self._keep = connections, keep

    async def step(self) -> None:
        """Forget what is old, by the database's clock. Raises Unavailable."""
        forgotten = _JOBS
        while forgotten == _JOBS:
            async with self._connections.transaction() as connection:
                forgotten = await connection.fetchval(_QUERIES["expire_jobs"], self._keep, _JOBS)
            if forgotten:
                log.info("jobs are forgotten", jobs=forgotten, over_for_d=self._keep.days)
