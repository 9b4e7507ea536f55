"""The monitor put together: what `__main__` runs, and tests run in their own process."""

from __future__ import annotations

import asyncio

from headrace_servicekit.postgres.connections import Address, Connections
from headrace_servicekit.runtime import Runtime

from headrace_monitor.settings import MonitorSettings
from headrace_monitor.storage import schema

PREPARE_RETRY_S = 0.5


async def start(runtime: Runtime[MonitorSettings]) -> None:
    """Build the service on PostgreSQL, S3 and the registry. None has to be up: calls are UNAVAILABLE until they are."""
    settings = runtime.settings
    address = Address(settings.database_url, settings.database_passfile)
    connections = await runtime.enter(Connections(address, owner="monitor", size=settings.database_connections))

    there = asyncio.Event()

    async def prepare() -> None:
        # Not in the health check, which gives up after a second: migrations may take longer.
        while not await schema.prepared(connections):
            await runtime.clock.sleep(PREPARE_RETRY_S)
        there.set()
        await asyncio.Event().wait()

    runtime.loop("prepare", prepare)
    runtime.check("postgres", lambda: schema.check(connections))
    runtime.server()
