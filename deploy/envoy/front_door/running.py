"""Runs Envoy until a stop signal; restarts it at once when it crashes or stays unready."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import structlog

from front_door.process import Envoy

log = structlog.get_logger()


class ReadinessPolling(NamedTuple):
    """An Envoy that was ready and then fails so many looks in a row is replaced: a minute, longer than a start takes.

    at_start: as long as it never was ready, when we end instead, for it may be the configuration.

    Looks are counted, not seconds: after a pause of the whole machine it has as long as ever.
    """

    every_s: float = 5.0
    failed: int = 12
    at_start: int = 36


LOOKS = ReadinessPolling()


class End(NamedTuple):
    """How Envoy ended, without a stop. code: its exit code; negative is the signal that ended it.

    replaced: we ended it, for it was not ready any more.
    """

    code: int
    was_ready: bool
    replaced: bool = False


def comes_back(end: End) -> bool:
    """Return whether it is started again as it was: it worked, and crashed or was replaced.

    All else is for our supervisor.
    """
    return end.was_ready and (end.replaced or end.code < 0)


def stop_signals() -> asyncio.Event:
    """Return the event that SIGTERM and SIGINT set."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    return stopping


async def run_envoy(
    start: Callable[[], Awaitable[Envoy]], stopping: asyncio.Event, looks: ReadinessPolling = LOOKS, **fields: Any
) -> int:
    """Return our exit code: 0 after a stop, 1 when Envoy ended and does not come back. fields: logged with "ready"."""
    while True:
        envoy = await start()
        try:
            end = await _life(envoy, stopping, looks, fields)
        finally:
            envoy.kill()
        if end is None:
            return 0
        again = comes_back(end)
        log.error("Envoy ended", exit_code=end.code, started_again=again)
        if not again:
            return 1


async def _life(envoy: Envoy, stopping: asyncio.Event, looks: ReadinessPolling, fields: dict[str, Any]) -> End | None:
    """Return how it ended, None when it was stopped."""
    ended = asyncio.ensure_future(envoy.wait())
    asked = asyncio.ensure_future(stopping.wait())
    ready = asyncio.ensure_future(_report_ready(envoy, fields))
    files = asyncio.ensure_future(envoy.watch_files())
    unready = asyncio.ensure_future(_until_unready(envoy, ready, looks))
    try:
        await asyncio.wait({ended, asked, unready}, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            return End(ended.result(), ready.done())
        # Calls in flight finish in either case: a draining Envoy serves its open connections.
        await envoy.drain_and_stop()
        code = await ended
        return None if asked.done() else End(code, ready.done(), replaced=True)
    finally:
        for task in (ended, asked, ready, unready, files):
            task.cancel()


async def _until_unready(envoy: Envoy, ready: asyncio.Future[None], looks: ReadinessPolling) -> None:
    """Return when it has failed every look for a while."""
    failed = 0
    while failed < (looks.failed if ready.done() else looks.at_start):
        await asyncio.sleep(looks.every_s)
        failed = 0 if await envoy.is_ready() else failed + 1
    log.error("Envoy is not ready any more" if ready.done() else "Envoy does not get ready", failed_looks=failed)


async def _report_ready(envoy: Envoy, fields: dict[str, Any]) -> None:
    await envoy.wait_until_ready()
    log.info("Envoy ready", **fields)
