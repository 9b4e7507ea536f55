"""S3 refuses writes while a data plane answers: nobody waits, counters are exact, and what is missing is counted."""

from __future__ import annotations

import asyncio
import contextlib
import struct
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from headrace.monitor.v1 import monitor_pb2, monitor_pb2_grpc
from headrace_servicekit.testing import eventually

from tests.kit.batcher.fake_batcher import FakeBatcher
from tests.kit.models.onnx_models import linear
from tests.kit.monitor.prediction_log import log_stores
from tests.kit.monitor.service import Monitor, real_monitor
from tests.kit.registry.service import memory_registry
from tests.kit.router.data_plane import DataPlane, data_plane
from tests.kit.router.fake_control import FakeControl, resolved_version, table
from tests.kit.router.predict_requests import predict_request
from tests.kit.stores.s3_front import S3Front
from tests.kit.stores.servers import S3Store

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]

FILE = linear(4, 3)
VERSION = resolved_version("digits", "v1", inputs=FILE.contract.inputs, outputs=FILE.contract.outputs)
EVERY_S = 0.01
WITHIN_S = 60.0
LOGGED = """
select count(*) as rows, coalesce(sum(prediction_count), 0)::bigint as predictions from log_files where not replaced
"""


@dataclass
class Scene:
    """A data plane that is asked all the time, its monitor, and the store behind that. answered: ids, as answered."""

    plane: DataPlane
    monitor: Monitor
    front: S3Front
    run: Any
    answered: list[str] = field(default_factory=list)
    failed: list[Exception] = field(default_factory=list)
    stopping: bool = False

    async def ask(self) -> None:
        """Ask for predictions until told to stop."""
        while not self.stopping:
            features = ("features", "FP32", [1, 4], struct.pack("<4f", len(self.answered), 1.0, 2.0, 3.0))
            try:
                answer = await self.plane.stub.Predict(predict_request("digits", features), timeout=5)
                self.answered.append(answer.prediction_id)
            except Exception as error:
                self.failed.append(error)
            await asyncio.sleep(EVERY_S)

    async def traffic(self) -> monitor_pb2.GetTrafficResponse:
        stub: Any = monitor_pb2_grpc.TrafficServiceStub(self.monitor.channel)
        return await stub.GetTraffic(monitor_pb2.GetTrafficRequest(parent="models/digits"), timeout=10)

    async def counted(self) -> int:
        return sum(one.count for one in (await self.traffic()).traffic)

    async def logged(self) -> int:
        (row,) = await self.run(LOGGED)
        return row["predictions"]

    async def away(self, seconds: float) -> None:
        """Have writes refused for so long, and see that meanwhile answers are given and counted."""
        self.front.refuses_writes = True
        began, before = time.monotonic(), len(self.answered)
        while (left := began + seconds - time.monotonic()) > 0:
            await asyncio.sleep(min(1.0, left))
            assert self.monitor.runtime.health.ready
        # Counters do not need S3. What was answered since the last report is on its way.
        so_far = len(self.answered)
        await eventually(lambda: self._counts(so_far), within=WITHIN_S, every=0.2)
        assert len(self.answered) > before
        self.front.refuses_writes = False

    async def _counts(self, at_least: int) -> bool:
        return await self.counted() >= at_least


@contextlib.asynccontextmanager
async def asked(postgres_url: str, s3: S3Store, folder: Path, **settings: Any) -> AsyncIterator[Scene]:
    """Run everything. settings: of the data plane."""
    (folder / "data").mkdir()
    async with (
        log_stores(postgres_url, s3, folder) as stores,
        memory_registry() as registry,
        S3Front.before(s3) as front,
        real_monitor(postgres_url, front.store, folder, registry=registry.target, log_compact_every_s=0.2) as monitor,
        FakeControl.serving() as control,
        FakeBatcher.serving([VERSION]) as batcher,
    ):
        await registry.register("digits", "v1", FILE)
        control.put_table(table("digits", [VERSION]))
        how = {"monitor_target": monitor.target, "record_flush_s": 0.1, **settings}
        async with data_plane(control.target, {"default": [batcher.target]}, folder / "data", **how) as plane:

            async def run(sql: str) -> list[Any]:
                return await stores.database.repeatable(lambda connection: connection.fetch(sql))

            scene = Scene(plane, monitor, front, run)
            await eventually(lambda: monitor.runtime.health.ready, within=WITHIN_S)
            asking = asyncio.create_task(scene.ask())
            try:
                yield scene
            finally:
                scene.stopping = True
                await asking


@pytest.mark.parametrize("seconds", [4.0, pytest.param(60.0, marks=pytest.mark.long)])
async def test_while_s3_refuses_writes_predictions_and_counters_go_on_and_the_log_is_late_and_whole(
    postgres_url, s3, tmp_path, seconds
):
    async with asked(postgres_url, s3, tmp_path) as scene:
        await eventually(lambda: _some(scene.logged), within=WITHIN_S, every=0.2)
        await scene.away(seconds)
        assert scene.front.refused > 0
        scene.stopping = True
        await asyncio.sleep(0)
        await eventually(lambda: _same(scene.logged, scene), within=WITHIN_S, every=0.2)
        await eventually(lambda: _same(scene.counted, scene), within=WITHIN_S, every=0.2)
        told = await scene.traffic()
        assert (told.dropped_predictions, told.lost_batches) == (0, 0)
    assert scene.failed == []
    assert len(set(scene.answered)) == len(scene.answered)


async def test_what_a_data_plane_has_no_room_for_meanwhile_is_dropped_and_counted_one_by_one(
    postgres_url, s3, tmp_path
):
    async with asked(postgres_url, s3, tmp_path, record_buffer_bytes=20_000) as scene:
        await eventually(lambda: _some(scene.logged), within=WITHIN_S, every=0.2)
        scene.front.refuses_writes = True

        async def dropped() -> int:
            return (await scene.traffic()).dropped_predictions

        await eventually(lambda: _some(dropped), within=WITHIN_S, every=0.2)
        scene.front.refuses_writes = False
        scene.stopping = True

        async def accounted() -> bool:
            return await scene.logged() + await dropped() == len(scene.answered) == await scene.counted()

        await eventually(accounted, within=WITHIN_S, every=0.2)
        assert await dropped() > 0
    assert scene.failed == []


async def _some(number: Any) -> bool:
    return await number() > 0


async def _same(number: Any, scene: Scene) -> bool:
    found = await number()
    assert found <= len(scene.answered) + 1  # one may be on its way
    return found == len(scene.answered)
