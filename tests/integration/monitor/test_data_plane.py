"""A real data plane tells a real monitor: what it answered is in the log and in the traffic, once."""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta

from headrace.monitor.v1 import monitor_pb2, monitor_pb2_grpc
from headrace.router.v1 import predict_pb2
from headrace_servicekit.testing import eventually

from tests.kit.batcher.fake_batcher import FakeBatcher
from tests.kit.models.onnx_models import linear
from tests.kit.monitor.prediction_log import log_stores
from tests.kit.monitor.service import Monitor, real_monitor
from tests.kit.registry.service import memory_registry
from tests.kit.router.data_plane import data_plane
from tests.kit.router.fake_control import FakeControl, resolved_version, table
from tests.kit.router.predict_requests import predict_request

FILE = linear(4, 3)
VERSION = resolved_version("digits", "v1", inputs=FILE.contract.inputs, outputs=FILE.contract.outputs)
KEPT = 5


async def test_what_a_data_plane_answered_is_in_the_log_and_in_the_traffic(postgres_url, s3, tmp_path):
    (tmp_path / "data").mkdir()
    async with (
        log_stores(postgres_url, s3, tmp_path) as stores,
        memory_registry() as registry,
        real_monitor(postgres_url, s3, tmp_path, registry=registry.target, log_compact_every_s=0.1) as monitor,
        FakeControl.serving() as control,
        FakeBatcher.serving([VERSION]) as batcher,
    ):
        await registry.register("digits", "v1", FILE)
        control.put_table(table("digits", [VERSION]))
        how = {"monitor_target": monitor.target, "record_flush_s": 0.2, "cache_ttl_s": 60.0}
        async with data_plane(control.target, {"default": [batcher.target]}, tmp_path / "data", **how) as plane:
            answers = {}
            for number in range(10):
                values = [float(max(number - KEPT, 0)), 1.0, 2.0, 3.0]  # the first ones are all alike
                features = ("features", "FP32", [1, 4], struct.pack("<4f", *values))
                request = predict_request("digits", features, user_id=f"user-{number}")
                answers[(await plane.stub.Predict(request, timeout=5)).prediction_id] = values

            async def logged():
                now = datetime.now(UTC)
                files = await stores.reader.files("digits", "v1", now - timedelta(hours=1), now + timedelta(hours=1))
                rows = [row for file in files for row in (await stores.reader.table(file)).to_pylist()]
                return rows if len(rows) >= 10 else None

            rows = await eventually(logged, within=20) or []

        async def counted() -> bool:
            return await traffic(monitor) == {"SERVED_FROM_ONLINE": 10 - KEPT, "SERVED_FROM_CACHE": KEPT}

        await eventually(counted, within=10)
    assert {row["prediction_id"]: [row[f"feature.features.{at}"] for at in range(4)] for row in rows} == answers
    assert len(rows) == 10
    assert {row["unit"] for row in rows} == {f"user-{number}" for number in range(10)}
    assert {row["output.scores.0"] for row in rows} == {values[0] for values in answers.values()}
    assert sorted(row["served_from"] for row in rows) == ["cache"] * KEPT + ["online"] * (10 - KEPT)


async def traffic(monitor: Monitor) -> dict[str, int]:
    """Return the answers of the model by source."""
    stub = monitor_pb2_grpc.TrafficServiceStub(monitor.channel)
    asked = await stub.GetTraffic(monitor_pb2.GetTrafficRequest(parent="models/digits"))
    name = predict_pb2.PredictResponse.ServedFrom.Name
    return {name(one.served_from): one.count for one in asked.traffic}
