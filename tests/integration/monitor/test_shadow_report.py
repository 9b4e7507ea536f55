"""Pairs of answers, as data planes report them, and the report that people get."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest
from headrace.monitor.v1 import monitor_pb2, monitor_pb2_grpc
from headrace.registry.v1 import registry_pb2
from headrace.router.v1 import predict_pb2
from headrace.telemetry.v1 import telemetry_pb2, telemetry_pb2_grpc
from headrace_monitor.judge.shadow.decisions.comparisons import Comparison, SliceCounts
from headrace_monitor.judge.shadow.measurements import ShadowMeasurements
from headrace_monitor.judge.shadow.store import Comparisons, VersionPair
from headrace_monitor.record.log.contracts import Contracts
from headrace_monitor.storage.schema import Database
from headrace_servicekit import client
from headrace_servicekit.clock import SystemClock
from headrace_servicekit.errors import Code
from headrace_servicekit.postgres.connections import Address
from headrace_statistics.proportions import Proportion

from tests.kit.clients.refusals import refused
from tests.kit.monitor.service import Monitor, real_monitor
from tests.kit.registry.service import memory_registry


@pytest.fixture
async def monitor(postgres_url, s3, tmp_path) -> AsyncIterator[Monitor]:
    async with (
        memory_registry() as registry,
        real_monitor(postgres_url, s3, tmp_path, registry=registry.target) as monitor,
    ):
        yield monitor


def pair(mine: float, other: float, number: int, **fields: Any) -> telemetry_pb2.ShadowPair:
    both = []
    for value in (mine, other):
        message = predict_pb2.PredictResponse(raw_output_contents=[np.array([value], "<f8").tobytes()])
        message.outputs.add(name="y", datatype="FP64", shape=[1])
        both.append(message.SerializeToString())
    given = {"model": "fraud", "version": "v1", "shadow_version": "v2", "rows": 1, "took_us": 900} | fields
    return telemetry_pb2.ShadowPair(prediction_id=f"p-{number}", outputs=both[0], shadow_outputs=both[1], **given)


async def send(monitor: Monitor, *pairs: telemetry_pb2.ShadowPair) -> None:
    stub: Any = telemetry_pb2_grpc.TelemetrySinkServiceStub(monitor.channel)
    await stub.ReportShadowPairs(telemetry_pb2.ReportShadowPairsRequest(pairs=pairs), timeout=10)


async def report(monitor: Monitor, **asked: Any) -> monitor_pb2.GetShadowReportResponse:
    stub: Any = monitor_pb2_grpc.MonitorServiceStub(monitor.channel)
    request = monitor_pb2.GetShadowReportRequest(parent="models/fraud", **asked)
    return await stub.GetShadowReport(request, timeout=10)


async def test_pairs_of_many_reports_are_one_report_by_shadow(monitor):
    assert not (await report(monitor)).comparisons
    await send(monitor, *(pair(number, number, number) for number in range(20)))
    await send(monitor, pair(1.0, 3.0, 20), pair(1.0, 1.0, 21, shadow_version="v3"), pair(1, 1, 22, shadow_code=13))
    told = await report(monitor)
    assert [(one.version, one.shadow_version, one.pairs) for one in told.comparisons] == [
        ("v1", "v2", 21),
        ("v1", "v3", 1),
    ]
    first = told.comparisons[0]
    assert (first.rows, first.largest_difference, dict(first.errors)) == (21, 2.0, {13: 1})
    assert first.rank_correlation > 0.9
    assert (first.worst[0].prediction_id, first.worst[0].answer, first.worst[0].shadow_answer) == ("p-20", "1", "3")
    assert first.took_us.p50 == pytest.approx(900, rel=0.006)
    numbers = sorted((one.value, one.shadow_value) for one in first.sample)
    assert numbers == sorted([*((float(one), float(one)) for one in range(20)), (1.0, 3.0)])
    assert [one.shadow_version for one in (await report(monitor, shadow_version="v3")).comparisons] == ["v3"]


async def test_what_no_data_plane_sends_is_refused_with_its_field(monitor):
    error = await refused(send(monitor, pair(1, 1, 0), pair(1, 1, 1, model="", rows=0)))
    assert error.code == Code.INVALID_ARGUMENT
    assert [one.field for one in error.violations] == ["pairs[1].model", "pairs[1].rows"]


async def test_a_gate_on_flips_holds_a_shadows_version_back_until_enough_pairs_agree(postgres_url):
    clock = SystemClock()
    async with (
        memory_registry() as registry,
        Database(Address(postgres_url), size=2) as database,
        client.channel(registry.target) as channel,
    ):
        await database.migrate()
        comparisons = Comparisons(database)
        measuring = ShadowMeasurements(comparisons, Contracts(channel, clock), channel, clock)
        gates = [
            registry_pb2.PromotionGate(metric="shadow_flip_rate", maximum=0.005, measured_only=True),
            registry_pb2.PromotionGate(metric="shadow_pairs", minimum=10_000, measured_only=True),
            registry_pb2.PromotionGate(metric="shadow_flip_rate_country_at", maximum=0.02, measured_only=True),
        ]
        await registry.register("fraud", "v2")
        policy = registry_pb2.Model(name="models/fraud", promotion_policy=registry_pb2.PromotionPolicy(gates=gates))
        update = registry_pb2.UpdateModelRequest(model=policy)
        await registry.stub.UpdateModel(update, timeout=10)

        async def compared(pairs: int, flips: int) -> str:
            """Compare so many pairs, a tenth of them in Austria; return why the version is not promoted."""
            slices = {"country=AT": SliceCounts(pairs // 10, flips)}
            found = Comparison(pairs=pairs, rows=pairs, flips=Proportion(flips, pairs), slices=slices)
            hour = clock.now().replace(minute=0, second=0, microsecond=0)
            await comparisons.add({VersionPair("fraud", "v1", "v2"): found}, hour)
            await measuring.step()
            await measuring.step()  # again says nothing new
            try:
                await registry.promote("fraud", "v2")
            except grpc.aio.AioRpcError as error:
                return str(error.details())
            return ""

        assert "no measured shadow_flip_rate" in (await refused(registry.promote("fraud", "v2"))).public_message
        few = await compared(2_000, 20)
        assert "shadow_pairs is 2000 (measured) and must be >= 10000" in few
        assert "shadow_flip_rate is 0.01 (measured) and must be <= 0.005" in few
        assert "shadow_flip_rate_country_at is 0.1 (measured) and must be <= 0.02" in few
        assert await compared(20_000, 0) == ""
