"""Pairs of answers, as data planes report them, and the report that people get."""

from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
from headrace.monitor.v1 import ingest_pb2, ingest_pb2_grpc, monitor_pb2, monitor_pb2_grpc
from headrace.router.v1 import predict_pb2
from headrace_servicekit.errors import Code

from tests.kit.monitor import Monitor, real_monitor
from tests.kit.refusals import refused
from tests.kit.registry import memory_registry


@pytest.fixture
async def monitor(postgres_url, s3, tmp_path) -> AsyncIterator[Monitor]:
    async with (
        memory_registry() as registry,
        real_monitor(postgres_url, s3, tmp_path, registry=registry.target) as monitor,
    ):
        yield monitor


def pair(mine: float, other: float, number: int, **fields: Any) -> ingest_pb2.ShadowPair:
    both = []
    for value in (mine, other):
        message = predict_pb2.PredictResponse(raw_output_contents=[np.array([value], "<f8").tobytes()])
        message.outputs.add(name="y", datatype="FP64", shape=[1])
        both.append(message.SerializeToString())
    given = {"model": "fraud", "version": "v1", "shadow_version": "v2", "rows": 1, "took_us": 900} | fields
    return ingest_pb2.ShadowPair(prediction_id=f"p-{number}", outputs=both[0], shadow_outputs=both[1], **given)


async def send(monitor: Monitor, *pairs: ingest_pb2.ShadowPair) -> None:
    stub: Any = ingest_pb2_grpc.IngestServiceStub(monitor.channel)
    await stub.ReportShadowPairs(ingest_pb2.ReportShadowPairsRequest(pairs=pairs), timeout=10)


async def report(monitor: Monitor, **asked: Any) -> monitor_pb2.GetShadowReportResponse:
    stub: Any = monitor_pb2_grpc.MonitorServiceStub(monitor.channel)
    request = monitor_pb2.GetShadowReportRequest(parent="models/fraud", **asked)
    return await stub.GetShadowReport(request, timeout=10)


async def test_pairs_of_many_reports_are_one_report_by_shadow(monitor):
    assert not (await report(monitor)).comparisons
    await send(monitor, *(pair(number, number, number) for number in range(20)))
    await send(monitor, pair(1.0, 3.0, 20), pair(1.0, 1.0, 21, shadow_version="v3"), pair(1, 1, 22, shadow_code=13))
    told = await report(monitor, with_page=True)
    assert [(one.version, one.shadow_version, one.pairs) for one in told.comparisons] == [
        ("v1", "v2", 21),
        ("v1", "v3", 1),
    ]
    first = told.comparisons[0]
    assert (first.rows, first.largest_difference, dict(first.errors)) == (21, 2.0, {13: 1})
    assert first.rank_correlation > 0.9
    assert (first.worst[0].prediction_id, first.worst[0].answer, first.worst[0].shadow_answer) == ("p-20", "1", "3")
    assert first.took_us.p50 == pytest.approx(900, rel=0.006)
    assert "Shadows of fraud" in told.page
    assert [one.shadow_version for one in (await report(monitor, shadow_version="v3")).comparisons] == ["v3"]


async def test_what_no_data_plane_sends_is_refused_with_its_field(monitor):
    error = await refused(send(monitor, pair(1, 1, 0), pair(1, 1, 1, model="", rows=0)))
    assert error.code == Code.INVALID_ARGUMENT
    assert [one.field for one in error.violations] == ["pairs[1].model", "pairs[1].rows"]
