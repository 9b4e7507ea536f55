"""`python -m headrace_registry` as a process of its own, over real PostgreSQL and S3.

async with process(rig, free_port()) as (started, stub):
    ... started is the process, stub of RegistryService ...
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aioboto3
import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from headrace.registry.v1 import registry_pb2_grpc
from headrace_servicekit.testing import eventually

from tests.kit.registry import real_settings
from tests.kit.stores import S3Store


@dataclass(slots=True)
class Rig:
    """What a process is started with. folder: of its uploads in progress."""

    environment: dict[str, str]
    folder: Path
    s3: S3Store

    async def keys(self) -> list[str]:
        """Return what is in the bucket, parts of unfinished uploads included."""
        s3 = self.s3
        session: Any = aioboto3.Session(aws_access_key_id=s3.access_key, aws_secret_access_key=s3.secret_key)
        async with session.client("s3", endpoint_url=s3.endpoint, region_name=s3.region) as client:
            objects = await client.list_objects_v2(Bucket=s3.bucket)
            parts = await client.list_multipart_uploads(Bucket=s3.bucket)
        return [item["Key"] for item in (*objects.get("Contents", ()), *parts.get("Uploads", ()))]


@pytest.fixture
def rig(postgres_url: str, s3: S3Store, tmp_path: Path) -> Rig:
    """What a registry on an empty database and an empty bucket is started with."""
    settings = real_settings(postgres_url, s3, tmp_path)
    folder = tmp_path / "uploads"
    folder.mkdir()
    environment = {
        "PATH": os.environ["PATH"],
        "REGISTRY_DATABASE_URL": postgres_url,
        "REGISTRY_S3_ENDPOINT": s3.endpoint,
        "REGISTRY_S3_BUCKET": s3.bucket,
        "REGISTRY_S3_CREDENTIALS_FILE": str(settings.s3_credentials_file),
        "REGISTRY_UPLOAD_DIR": str(folder),
        "REGISTRY_DRAIN_NOTICE_S": "0.1",
    }
    return Rig(environment, folder, s3)


async def spawn(environment: dict[str, str], *arguments: str) -> asyncio.subprocess.Process:
    """Start the service, whatever becomes of it."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "headrace_registry", *arguments),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


@asynccontextmanager
async def process(rig: Rig, port: int) -> AsyncIterator[tuple[asyncio.subprocess.Process, Any]]:
    """Run the service until the block ends; yields it, ready, and a stub of it."""
    started = await spawn({**rig.environment, "REGISTRY_PORT": str(port)})
    draining = asyncio.ensure_future(started.communicate())
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            await eventually(lambda: ready(channel), within=40, every=0.1)
            yield started, registry_pb2_grpc.RegistryServiceStub(channel)
    finally:
        if started.returncode is None:
            started.kill()
        await draining


async def ready(channel: grpc.aio.Channel) -> bool:
    """Return whether the service and everything that it needs are SERVING."""
    health: Any = health_pb2_grpc.HealthStub(channel)
    try:
        for name in ("", "postgres", "s3", "headrace.registry.v1.RegistryService"):
            answer = await health.Check(health_pb2.HealthCheckRequest(service=name), timeout=2, wait_for_ready=True)
            if answer.status != health_pb2.HealthCheckResponse.SERVING:
                return False
    except grpc.aio.AioRpcError:
        return False
    return True
