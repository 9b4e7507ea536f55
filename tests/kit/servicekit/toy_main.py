"""A toy service process for tests of the life cycle: `python toy_main.py`, told by TOY_* what to do.

It prints nothing but log lines; the one with event "started" has its ports.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

import structlog
from headrace_servicekit.process import run
from headrace_servicekit.runtime import Runtime, StartError
from headrace_servicekit.settings import ServiceSettings, settings_config
from pydantic import Field

from tests.kit.servicekit.toy import SERVICE, Note, handlers

log = structlog.get_logger()


class ToySettings(ServiceSettings):
    """Settings of the toy."""

    model_config = settings_config("TOY_")

    fault: Literal[
        "none",
        "start-raises",
        "start-refuses",
        "start-hangs",
        "loop-raises",
        "loop-returns",
        "close-hangs",
        "unhealthy",
    ] = Field(default="none", description="What goes wrong.")
    call_s: float = Field(default=0.0, description="Seconds that a call takes.")
    on_the_loop: bool = Field(default=False, description="Which of the two ways of serving it has.")


@asynccontextmanager
async def resource(name: str, fault: str) -> AsyncIterator[str]:
    """Log when it is opened and closed."""
    log.info("opened", resource=name)
    try:
        yield name
    finally:
        if fault == "close-hangs":
            await asyncio.Event().wait()
        log.info("closed", resource=name)


async def start(runtime: Runtime[ToySettings]) -> None:
    """Wire the toy."""
    settings = runtime.settings
    await runtime.enter(resource("database", settings.fault))
    await runtime.enter(resource("channel", "none"))

    async def answer(request: Any, _context: Any) -> Any:
        log.info("call began")
        await asyncio.sleep(settings.call_s)
        return Note(text=request.text)

    async def expand(request: Any, _context: Any) -> Any:
        yield request
        await runtime.stopping.wait()

    async def body() -> None:
        try:
            if settings.fault == "loop-raises":
                raise ConnectionError("lost the store")
            if settings.fault != "loop-returns":
                await asyncio.Event().wait()
        finally:
            log.info("loop ended")

    async def probe() -> bool:
        return settings.fault != "unhealthy"

    async def drained() -> None:
        log.info("drained")

    server = runtime.server(on_the_loop=settings.on_the_loop)
    server.add_registered_method_handlers(SERVICE, handlers(Answer=answer, Expand=expand))
    runtime.check("database", probe)
    runtime.on_drain(drained)
    runtime.loop("toy", body)
    if settings.fault == "start-raises":
        raise LookupError("no such table")
    if settings.fault == "start-refuses":
        raise StartError("the database is newer than this program: upgrade it")
    if settings.fault == "start-hangs":
        log.info("hanging")
        await asyncio.Event().wait()


if __name__ == "__main__":
    run("toy", ToySettings, start)
