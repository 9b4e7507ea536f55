"""`python -m headrace_monitor` as a process of its own, over real PostgreSQL and S3.

environment = monitor_environment(postgres_url, s3, folder, registry=registry.target)
async with monitor_process(environment, free_port()) as (started, channel):
    ... started is the process, ready; channel leads to it ...
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import grpc.aio

from tests.kit.monitor.prediction_log import credentials_file
from tests.kit.stack.service_process import service_process
from tests.kit.stores.servers import S3Store


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


def monitor_process(
    environment: Mapping[str, str], port: int
) -> AbstractAsyncContextManager[tuple[asyncio.subprocess.Process, grpc.aio.Channel]]:
    """Run the service until the block ends, whatever became of it; yields it, ready, and a channel to it."""
    return service_process("headrace_monitor", {**environment, "MONITOR_PORT": str(port)}, port)
