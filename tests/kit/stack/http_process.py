"""A service that answers HTTP as a process of its own, listening."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import httpx
from headrace_servicekit.testing import eventually

from tests.kit.clients.commands import PYTHON


@asynccontextmanager
async def http_process(
    module: str, environment: Mapping[str, str], port: int
) -> AsyncIterator[tuple[asyncio.subprocess.Process, httpx.AsyncClient]]:
    """Run `python -m module` until the block ends, whatever became of it; yields it, listening, and a client of it."""
    started = await asyncio.create_subprocess_exec(
        *(*PYTHON, module), env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    draining = asyncio.ensure_future(started.communicate())
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as client:
            await eventually(lambda: _listens(client), within=40, every=0.1)
            yield started, client
    finally:
        if started.returncode is None:
            started.kill()
        await draining


async def _listens(client: httpx.AsyncClient) -> bool:
    try:
        await client.get("/readyz")
    except httpx.TransportError:
        return False
    return True
