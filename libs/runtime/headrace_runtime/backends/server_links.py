"""Backends that are servers: connections to them, and Triton's model folder."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from headrace_servicekit.http2.channel import Channel

from headrace_runtime.backends.backend import USUAL_BUDGET, LoadBudget
from headrace_runtime.backends.triton import TritonBackend
from headrace_runtime.backends.triton_repository import Repository


def channel(address: str, silent_s: float | None = None, tls: ssl.SSLContext | None = None) -> Channel:
    """Return a channel to an inference server. Without pings: an external server may close connections that ping often.

    address, tls: as in `Channel`. silent_s: interval of the caller's liveness checks. After twice that silence the link
    is half open or the server hangs, and reconnecting shows which. None leaves calls their own deadlines.
    """
    if silent_s is None:
        return Channel(address, tls=tls, keepalive_s=None)
    return Channel(address, tls=tls, keepalive_s=silent_s, keepalive_timeout_s=silent_s, pings=False)


@asynccontextmanager
async def triton(
    address: str,
    folder: Path,
    *,
    silent_s: float | None = None,
    execution_timeout_s: float = 30.0,
    load_timeout_s: float = 120.0,
    budget: LoadBudget = USUAL_BUDGET,
    in_thread: Callable[..., Awaitable[Any]] = asyncio.to_thread,
) -> AsyncIterator[TritonBackend]:
    """Open the Triton at an address that has its models in a folder, which is emptied; it need not be up yet.

    silent_s: as `channel` has it.
    """
    repository = Repository(folder, budget)
    await asyncio.to_thread(repository.clear)
    async with channel(address, silent_s) as link:
        yield TritonBackend(
            link,
            repository,
            execution_timeout_s=execution_timeout_s,
            load_timeout_s=load_timeout_s,
            in_thread=in_thread,
        )
