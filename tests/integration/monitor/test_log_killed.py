"""A monitor that is killed at any moment, and stores that go away: what was acknowledged is in the log, once."""

from __future__ import annotations

import asyncio
import dataclasses
import random
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import numpy as np
import pytest
from headrace.telemetry.v1 import telemetry_pb2, telemetry_pb2_grpc
from headrace_servicekit.errors import Code
from headrace_servicekit.testing import eventually, free_port

from tests.kit.clients.refusals import refused
from tests.kit.models.onnx_models import linear
from tests.kit.monitor.prediction_log import Stores, log_stores
from tests.kit.monitor.predictions import batch, report
from tests.kit.monitor.process import monitor_environment, monitor_process
from tests.kit.monitor.service import real_monitor
from tests.kit.registry.service import memory_registry
from tests.kit.wire.forwarder import Forwarder

pytestmark = pytest.mark.faults

BATCHES, PREDICTIONS, UNDERWAY, KILLS = 200, 20, 3, 3


def predictions() -> telemetry_pb2.PredictionBatch:
    features = np.ones((PREDICTIONS, 4), np.float32)
    return batch({"features": features}, {"scores": features[:, :3]})


async def logged(stores: Stores) -> list[str]:
    now = datetime.now(UTC)
    files = await stores.reader.files("digits", "v1", now - timedelta(hours=2), now + timedelta(hours=1))
    tables = [await stores.reader.table(file, ["prediction_id"]) for file in files]
    return sorted(one for table in tables for one in table["prediction_id"].to_pylist())


@dataclasses.dataclass
class DataPlane:
    """Sends numbered batches as a data plane does: a few at a time, each again until it is acknowledged."""

    ports: list[int]
    rng: random.Random
    process: uuid.UUID = dataclasses.field(default_factory=uuid.uuid4)
    acknowledged: dict[int, list[str]] = dataclasses.field(default_factory=dict)

    async def send(self, number: int) -> None:
        sent = predictions()
        request = report(sent, self.process, number)
        await eventually(lambda: self._sent(request), within=90, every=0.05)
        ids = [uuid.UUID(bytes=sent.prediction_ids[at : at + 16]) for at in range(0, 16 * PREDICTIONS, 16)]
        self.acknowledged[number] = [str(one) for one in ids]

    async def _sent(self, request: telemetry_pb2.ReportPredictionsRequest) -> bool:
        """Send to any replica; now and then give up early, so that it is stored and not acknowledged."""
        port, patience_s = self.rng.choice(self.ports), self.rng.choice([0.01, 0.1, 5.0])
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub: Any = telemetry_pb2_grpc.TelemetrySinkServiceStub(channel)
            try:
                await stub.ReportPredictions(request, timeout=patience_s)
            except grpc.aio.AioRpcError:
                return False
            return True


@pytest.mark.long
async def test_killed_monitors_lose_nothing_that_they_acknowledged_and_write_nothing_twice(postgres_url, s3, tmp_path):
    rng = random.Random(7)
    ports = [free_port(), free_port()]
    plane = DataPlane(ports, rng)
    numbers = iter(range(1, BATCHES + 1))

    async def sender() -> None:
        for number in numbers:
            await plane.send(number)

    async with memory_registry() as registry, log_stores(postgres_url, s3, tmp_path) as stores:
        await registry.register("digits", "v1", linear(4, 3))
        environment = monitor_environment(
            postgres_url, s3, tmp_path, registry=registry.target, log_compact_every_s=0.05
        )

        async def replica(port: int) -> None:
            for _ in range(KILLS):
                async with monitor_process(environment, port) as (started, _):
                    # Not to wait for anything: moments that nobody chose are what is tested.
                    await asyncio.sleep(rng.uniform(0.05, 1.0))
                    started.kill()

        async with asyncio.TaskGroup() as group:
            killing = [group.create_task(replica(port)) for port in ports]
            sending = [group.create_task(sender()) for _ in range(UNDERWAY)]
            await asyncio.gather(*killing)
            async with monitor_process(environment, ports[0]):
                plane.ports[1] = ports[0]
                await asyncio.gather(*sending)
                wanted = sorted(one for ids in plane.acknowledged.values() for one in ids)
                assert len(wanted) == BATCHES * PREDICTIONS
                await eventually(_is(lambda: logged(stores), wanted), within=30, every=0.3)
        async with stores.database.transaction() as connection:
            assert await connection.fetchval("select count(*) from lost_batches") == 0
            listed = {row["object_key"] for row in await connection.fetch("select object_key from log_files")}
            known = {row["object_key"] for row in await connection.fetch("select object_key from log_leftovers")}
        there = {one.key async for page in stores.objects.pages("log/") for one in page}
        assert listed <= there <= listed | known


async def test_while_s3_is_away_batches_are_unavailable_and_none_is_lost(postgres_url, s3, tmp_path):
    async with (
        memory_registry() as registry,
        log_stores(postgres_url, s3, tmp_path) as stores,
        Forwarder.before(s3.endpoint) as forwarder,
    ):
        await registry.register("digits", "v1", linear(4, 3))
        behind = dataclasses.replace(s3, endpoint=forwarder.url(s3.endpoint))
        async with real_monitor(
            postgres_url, behind, tmp_path, registry=registry.target, log_compact_every_s=0.1
        ) as monitor:
            stub: Any = telemetry_pb2_grpc.TelemetrySinkServiceStub(monitor.channel)
            process, sent = uuid.uuid4(), [predictions() for _ in range(3)]
            await stub.ReportPredictions(report(sent[0], process, 1), timeout=20)
            for away in (forwarder.cut, forwarder.freeze):
                away()
                error = await refused(stub.ReportPredictions(report(sent[1], process, 2), timeout=20))
                assert (error.code, error.reason) == (Code.UNAVAILABLE, "STORE_UNAVAILABLE")
                assert error.retry_after_s
                assert monitor.runtime.health.ready
                forwarder.mend()
            for number, one in enumerate(sent, start=1):
                await stub.ReportPredictions(report(one, process, number), timeout=20)
            joined = b"".join(one.prediction_ids for one in sent)
            wanted = sorted(str(uuid.UUID(bytes=joined[at : at + 16])) for at in range(0, len(joined), 16))
            await eventually(_is(lambda: logged(stores), wanted), within=40, every=0.3)


def _is(seen: Callable[[], Awaitable[list[str]]], wanted: list[str]) -> Callable[[], Awaitable[bool]]:
    async def same() -> bool:
        found = await seen()
        assert len(found) == len(wanted)
        assert found == wanted
        return True

    return same
