"""`python -m headrace_monitor` as a process of its own, over real PostgreSQL and S3.

environment = monitor_environment(postgres_url, s3, folder, registry=registry.target)
async with monitor_process(environment, free_port()) as (started, channel):
    ... started is the process, ready; channel leads to it ...
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from headrace_servicekit.testing import eventually

from tests.kit.prediction_log import credentials_file
from tests.kit.stores import S3Store

_OPTIONS = [
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 200),
]


def monitor_environment(
    postgres_url: str, s3: S3Store, folder: Path, *, registry: str, **settings: Any
) -> dict[str, str]:
    """Return the settings of a monitor. folder: for its credentials file. settings: more of MonitorSettings."""
    return {
        "PATH": os.environ["PATH"],
        "MONITOR_DATABASE_URL": postgres_url,
        "MONITOR_S3_ENDPOINT": s3.endpoint,
        "MONITOR_S3_BUCKET": s3.bucket,
        "MONITOR_S3_CREDENTIALS_FILE": str(credentials_file(s3, folder)),
        "MONITOR_REGISTRY_TARGET": registry,
        "MONITOR_DRAIN_NOTICE_S": "0.1",
        **{f"MONITOR_{name.upper()}": str(value) for name, value in settings.items()},
    }


@asynccontextmanager
async def monitor_process(
    environment: Mapping[str, str], port: int
) -> AsyncIterator[tuple[asyncio.subprocess.Process, grpc.aio.Channel]]:
    """Run the service until the block ends, whatever became of it; yields it, ready, and a channel to it."""
    started = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "headrace_monitor"),
        env={**environment, "MONITOR_PORT": str(port)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    draining = asyncio.ensure_future(started.communicate())
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", _OPTIONS) as channel:
            await eventually(lambda: _ready(channel), within=40, every=0.1)
            yield started, channel
    finally:
        if started.returncode is None:
            started.kill()
        await draining


async def _ready(channel: grpc.aio.Channel) -> bool:
    health: Any = health_pb2_grpc.HealthStub(channel)
    try:
        answer = await health.Check(health_pb2.HealthCheckRequest(), timeout=2, wait_for_ready=True)
    except grpc.aio.AioRpcError:
        return False
    return answer.status == health_pb2.HealthCheckResponse.SERVING
