"""A monitor for tests: the whole service in this process, on real stores.

async with real_monitor(postgres_url, s3, folder, registry=registry.target) as monitor:
    ... monitor.channel leads to it ...
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace_monitor import service
from headrace_monitor.settings import MonitorSettings
from headrace_servicekit import client
from headrace_servicekit.runtime import Runtime
from headrace_servicekit.testing import running

from tests.kit.monitor.prediction_log import credentials_file
from tests.kit.stores.servers import S3Store


@dataclass(slots=True)
class Monitor:
    """A running monitor. channel: of an internal caller."""

    target: str
    channel: Any
    runtime: Runtime[MonitorSettings]


@asynccontextmanager
async def real_monitor(
    postgres_url: str, s3: S3Store, folder: Path, *, registry: str, port: int = 0, **settings: Any
) -> AsyncIterator[Monitor]:
    """Run a monitor over PostgreSQL and S3. folder: for its credentials file. settings: fields of MonitorSettings."""
    made = MonitorSettings(
        database_url=postgres_url,
        s3_endpoint=s3.endpoint,
        s3_bucket=s3.bucket,
        s3_region=s3.region,
        s3_credentials_file=credentials_file(s3, folder),
        registry_target=registry,
        port=port,
        **{"drain_notice_s": 0.0, "grace_s": 2.0, **settings},
    )
    async with running("monitor", made, service.start) as runtime:
        target = runtime.servers[0].address
        async with client.channel(target) as channel:
            yield Monitor(target, channel, runtime)
