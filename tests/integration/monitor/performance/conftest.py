"""A monitor that judges model m often, and a log that the test writes."""

from collections.abc import AsyncIterator
from types import SimpleNamespace

import pytest
from headrace.monitor.v1 import monitor_pb2_grpc, outcome_pb2_grpc

from tests.kit.monitor.labelled import CONTRACT, MODEL, QUICK
from tests.kit.monitor.log_files import Logged
from tests.kit.monitor.service import real_monitor
from tests.kit.registry.service import memory_registry


@pytest.fixture
async def monitor(postgres_url, s3, tmp_path) -> AsyncIterator[SimpleNamespace]:
    async with (
        memory_registry() as registry,
        real_monitor(postgres_url, s3, tmp_path, registry=registry.target, **QUICK) as running,
    ):
        for version in ("v1", "v2"):
            await registry.register("m", version, MODEL, contract=CONTRACT)
        yield SimpleNamespace(
            log=Logged(postgres_url, s3, tmp_path),
            url=postgres_url,
            outcomes=outcome_pb2_grpc.OutcomeServiceStub(running.channel),
            stub=monitor_pb2_grpc.MonitorServiceStub(running.channel),
        )
