"""A service as a process of its own, ready."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from headrace_servicekit.testing import eventually

from tests.kit.clients.commands import PYTHON

# A caller that has been cut off comes back at once.
_OPTIONS = [
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 200),
]


@asynccontextmanager
async def service_process(
    module: str, environment: Mapping[str, str], port: int, *, parts: Sequence[str] = ("",)
) -> AsyncIterator[tuple[asyncio.subprocess.Process, grpc.aio.Channel]]:
    """Run `python -m module` until the block ends, whatever became of it; yields it, ready, and a channel to its port.

    parts: what its health must say of SERVING.
    """
    started = await asyncio.create_subprocess_exec(
        *(*PYTHON, module), env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    draining = asyncio.ensure_future(started.communicate())
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", _OPTIONS) as channel:
            await eventually(lambda: is_serving(channel, *parts), within=40, every=0.1)
            yield started, channel
    finally:
        if started.returncode is None:
            started.kill()
        await draining


async def is_serving(channel: grpc.aio.Channel, *parts: str) -> bool:
    """Return whether a service answers that all these parts of it are SERVING."""
    health: Any = health_pb2_grpc.HealthStub(channel)
    try:
        for part in parts:
            answer = await health.Check(health_pb2.HealthCheckRequest(service=part), timeout=2, wait_for_ready=True)
            if answer.status != health_pb2.HealthCheckResponse.SERVING:
                return False
    except grpc.aio.AioRpcError:
        return False
    return True
