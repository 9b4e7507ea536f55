"""The heads of a service's history, stored every so often in the bucket that its settings name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import structlog

from headrace_servicekit.loops import periodic
from headrace_servicekit.postgres.connections import Connections
from headrace_servicekit.postgres.history import History, keep_heads
from headrace_servicekit.postgres.kept_heads import HeadKeeper
from headrace_servicekit.runtime import Runtime
from headrace_servicekit.settings import S3Settings

log = structlog.get_logger()


def heads_of(history: History) -> Callable[[S3Settings], AbstractAsyncContextManager[HeadKeeper | None]]:
    """Return what opens the heads of a history by a service's settings; None where they name no store."""

    @asynccontextmanager
    async def opened(settings: S3Settings) -> AsyncIterator[HeadKeeper | None]:
        if not settings.s3_endpoint:
            yield None
            return
        # Here, as the libraries of S3 take half a second and 23 MB, which a service without a store saves.
        from headrace_servicekit.postgres import heads_in_s3
        from headrace_servicekit.s3 import Place

        async with heads_in_s3.opened(Place.of(settings), f"history-heads/{history.of}/") as heads:
            yield heads

    return opened


async def start_storing(
    runtime: Runtime[Any], history: History, connections: Connections, there: asyncio.Event
) -> None:
    """Store heads every so often, once the schema is there; not where the settings name no store."""
    keeper = await runtime.enter(heads_of(history)(runtime.settings))
    if keeper is None:
        return

    async def run() -> None:
        await there.wait()
        every_s = runtime.settings.history_heads_every_s
        await periodic("store heads", lambda: store(history, connections, keeper), every_s=every_s)

    runtime.loop("store heads", run)


async def store(history: History, connections: Connections, keeper: HeadKeeper) -> None:
    """Store the heads of now; log an error where lines that were stored are gone."""
    broken = await keep_heads(history, connections, keeper)
    if broken:
        log.error("lines of a history are gone", history=history.of, lines=len(broken), first=broken[0].subject)
