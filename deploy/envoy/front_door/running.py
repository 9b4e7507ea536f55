"""Runs Envoy until somebody asks for a stop, and starts it again at once when it crashes."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import structlog

from front_door.process import Envoy

log = structlog.get_logger()


class End(NamedTuple):
    """How Envoy ended by itself. code: its exit code; negative is the signal that ended it."""

    code: int
    was_ready: bool


def comes_back(end: End) -> bool:
    """Return whether it is started again as it was: a crash of one that worked. All else is for our supervisor."""
    return end.was_ready and end.code < 0


def stop_signals() -> asyncio.Event:
    """Return the event that SIGTERM and SIGINT set."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    return stopping


async def run_envoy(start: Callable[[], Awaitable[Envoy]], stopping: asyncio.Event, **told: Any) -> int:
    """Return our exit code: 0 after a stop, 1 when Envoy ended and does not come back. told: logged with "ready"."""
    while True:
        envoy = await start()
        try:
            end = await _life(envoy, stopping, told)
        finally:
            envoy.kill()
        if end is None:
            return 0
        again = comes_back(end)
        log.error("Envoy ended", exit_code=end.code, started_again=again)
        if not again:
            return 1


async def _life(envoy: Envoy, stopping: asyncio.Event, told: dict[str, Any]) -> End | None:
    """Return how it ended, None when it was stopped."""
    ended = asyncio.ensure_future(envoy.wait())
    asked = asyncio.ensure_future(stopping.wait())
    ready = asyncio.ensure_future(_report_ready(envoy, told))
    try:
        await asyncio.wait({ended, asked}, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            return End(ended.result(), ready.done())
        await envoy.drain_and_stop()
        await ended
        return None
    finally:
        for task in (ended, asked, ready):
            task.cancel()


async def _report_ready(envoy: Envoy, told: dict[str, Any]) -> None:
    await envoy.wait_until_ready()
    log.info("Envoy ready", **told)
