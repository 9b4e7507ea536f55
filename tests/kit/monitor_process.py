"""`python -m headrace_monitor` as a process of its own, over real PostgreSQL and S3.

async with monitor_process(environment, port) as started:
    ... started.kill() as often as it takes ...
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from headrace_servicekit.testing import eventually

from tests.kit.prediction_log import credentials_file
from tests.kit.stores import S3Store


def monitor_environment(
    postgres_url: str, s3: S3Store, folder: Path, *, registry: str, **settings: Any
) -> dict[str, str]:
    """Return what a monitor is started with. folder: for its credentials file. settings: fields of MonitorSettings."""
    told = {
        "database_url": postgres_url,
        "s3_endpoint": s3.endpoint,
        "s3_bucket": s3.bucket,
        "s3_credentials_file": credentials_file(s3, folder),
        "registry_target": registry,
        "drain_notice_s": 0.1,
        **settings,
    }
    return {"PATH": os.environ["PATH"], **{f"MONITOR_{name.upper()}": str(value) for name, value in told.items()}}


@asynccontextmanager
async def monitor_process(environment: dict[str, str], port: int) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the monitor until the block ends; yields it ready."""
    started = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "headrace_monitor"),
        env={**environment, "MONITOR_PORT": str(port)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    draining = asyncio.ensure_future(started.communicate())
    try:
        await eventually(lambda: _ready(port), within=60, every=0.1)
        yield started
    finally:
        if started.returncode is None:
            started.kill()
        await draining


async def _ready(port: int) -> bool:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)
        try:
            answer = await health.Check(health_pb2.HealthCheckRequest(), timeout=2)
        except grpc.aio.AioRpcError:
            return False
        return answer.status == health_pb2.HealthCheckResponse.SERVING
