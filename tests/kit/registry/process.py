"""`python -m headrace_registry` as a process of its own, over real PostgreSQL and S3.

async with process(rig, free_port()) as (started, stub):
    ... started is the process, stub of RegistryService ...
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aioboto3
import pytest
from headrace.registry.v1 import registry_pb2_grpc

from tests.kit.registry.service import real_settings
from tests.kit.stack.service_process import service_process
from tests.kit.stores.servers import S3Store

# The service and everything that it needs.
PARTS = ("", "postgres", "s3", "headrace.registry.v1.RegistryService")


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


@asynccontextmanager
async def process(rig: Rig, port: int) -> AsyncIterator[tuple[asyncio.subprocess.Process, Any]]:
    """Run the service until the block ends; yields it, ready, and a stub of it."""
    environment = {**rig.environment, "REGISTRY_PORT": str(port)}
    async with service_process("headrace_registry", environment, port, parts=PARTS) as (started, channel):
        yield started, registry_pb2_grpc.RegistryServiceStub(channel)
