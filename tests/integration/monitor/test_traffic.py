"""ReportCounters and GetTraffic as callers see them."""

import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from headrace.monitor.v1 import monitor_pb2, monitor_pb2_grpc
from headrace.telemetry.v1 import telemetry_pb2, telemetry_pb2_grpc
from headrace_servicekit.errors import Code
from headrace_servicekit.identity import CLIENT_HEADER, MODELS_HEADER

from tests.kit.clients.refusals import refused
from tests.kit.monitor.counting_plane import CountingPlane, key
from tests.kit.monitor.service import Monitor, real_monitor
from tests.kit.registry.service import memory_registry
from tests.kit.router.answer_sources import CACHE, ONLINE


@pytest.fixture
async def monitor(postgres_url, s3, tmp_path) -> AsyncIterator[Monitor]:
    async with (
        memory_registry() as registry,
        real_monitor(postgres_url, s3, tmp_path, registry=registry.target) as monitor,
    ):
        yield monitor


async def traffic(monitor: Monitor, parent: str = "models/fraud", metadata: Any = (), **asked: Any) -> Any:
    stub: Any = monitor_pb2_grpc.TrafficServiceStub(monitor.channel)
    request = monitor_pb2.GetTrafficRequest(parent=parent, range=monitor_pb2.TimeRange(**asked))
    return await stub.GetTraffic(request, timeout=10, metadata=metadata)


async def report(monitor: Monitor, request: telemetry_pb2.ReportCountersRequest, metadata: Any = ()) -> None:
    stub: Any = telemetry_pb2_grpc.TelemetrySinkServiceStub(monitor.channel)
    await stub.ReportCounters(request, timeout=10, metadata=metadata)


async def test_traffic_is_summed_over_processes_layers_and_rungs_and_told_by_what_matters(monitor):
    planes = [CountingPlane("a"), CountingPlane("b"), CountingPlane("a")]  # the third is the first, restarted
    kept = key(served_from=CACHE)
    for plane, milliseconds in zip(planes, (5, 10, 200), strict=True):
        plane.answer(key(), milliseconds / 1000, 10)
        plane.answer(kept._replace(layer="memory"), 0.0001, 5)
        plane.answer(kept._replace(layer="valkey"), 0.001)
        plane.answer(key(code=14), 1.0)
        plane.answer(key("digits"), 0.5)
        plane.drop(times=2)
        await report(monitor, plane.report())
    told = await traffic(monitor)
    seen = {(one.version, one.variant, one.served_from, one.code): one for one in told.traffic}
    assert {group: one.count for group, one in seen.items()} == {
        ("v1", "main", ONLINE, 0): 30,
        ("v1", "main", CACHE, 0): 18,
        ("v1", "main", 0, 14): 3,
    }
    online = seen["v1", "main", ONLINE, 0]
    assert online.p50_us == pytest.approx(10_000, rel=0.006)
    assert (online.p95_us, online.p99_us) == (pytest.approx(200_000, rel=0.006),) * 2
    assert online.mean_us == pytest.approx((5000 + 10_000 + 200_000) / 3)
    assert (told.dropped_predictions, told.lost_batches) == (6, 0)
    before = Timestamp(seconds=1_000_000_000)
    assert not (await traffic(monitor, end_time=before)).traffic
    assert monitor.runtime.metrics.get_sample_value("monitor_traffic_series_total", {"outcome": "new"}) == 15


# A report of counters as a data plane of release 0.1.0 encodes it: seven answers of version v1.
REPORT_OF_0_1_0 = bytes.fromhex(
    "0a0464702d30122430313961303030302d303030302d373030302d383030302d303030303030303030303031180122060880f09dc7062a350a0566"
    "72617564120276311a046d61696e200140a0064a02030451ec51b81e85ebb13f5807610000000000000c40680b700c800101320f0a0b4255464645"
    "525f46554c4c1002520272315a1b0a056672617564120276311a046d61696e22080100000002000000"
)


async def test_what_a_data_plane_of_0_1_0_reports_is_counted(monitor):
    # By the name that the sink had in the monitor's package.
    former = monitor.channel.unary_unary("/headrace.monitor.v1.IngestService/ReportCounters")
    await former(REPORT_OF_0_1_0, timeout=10)
    told = await traffic(monitor)
    assert [(one.version, one.variant, one.count) for one in told.traffic] == [("v1", "main", 7)]
    assert told.dropped_predictions == 2


async def listed(monitor: Monitor, *models: str, metadata: Any = (), **asked: Any) -> dict[str, Any]:
    """Return what ListTraffic says, by model."""
    stub: Any = monitor_pb2_grpc.TrafficServiceStub(monitor.channel)
    request = monitor_pb2.ListTrafficRequest(models=models, range=monitor_pb2.TimeRange(**asked))
    told = await stub.ListTraffic(request, timeout=10, metadata=metadata)
    return {one.model: list(one.traffic) for one in told.models}


async def test_traffic_over_time_adds_up_to_the_whole(monitor):
    plane = CountingPlane()
    plane.answer(key(), 0.01, 3)
    await report(monitor, plane.report())
    stub: Any = monitor_pb2_grpc.TrafficServiceStub(monitor.channel)
    told = await stub.GetTraffic(monitor_pb2.GetTrafficRequest(parent="models/fraud", over_time=True), timeout=30)
    assert [list(part.traffic) for part in told.parts] == [list(told.traffic)]


async def test_a_time_series_has_every_part_of_the_time_of_what_the_caller_may_see(monitor):
    plane = CountingPlane()
    for model, times in (("fraud", 3), ("digits", 2)):
        plane.answer(key(model), 0.01, times)
        plane.answer(key(model, "v2", code=3), 0.01)
    await report(monitor, plane.report())
    stub: Any = monitor_pb2_grpc.TrafficServiceStub(monitor.channel)

    async def seen(parent: str, metadata: Any = ()) -> tuple[int, int, dict[str, int]]:
        request = monitor_pb2.GetTrafficTimeSeriesRequest(parent=parent)
        series = await stub.GetTrafficTimeSeries(request, timeout=10, metadata=metadata)
        assert len(series.parts) in (60, 61)
        assert [one.data_plane for one in series.data_plane_starts] == ["plane-0"]
        versions = {one.name: one.count for part in series.parts for one in part.versions}
        return sum(one.requests for one in series.parts), sum(one.caller_errors for one in series.parts), versions

    fraud, outside = {"models/fraud/versions/v1": 3, "models/fraud/versions/v2": 1}, ((MODELS_HEADER, "fraud*"),)
    assert await seen("models/fraud") == (4, 1, fraud)
    assert await seen("models/fraud/versions/v2") == (1, 1, {"models/fraud/versions/v2": 1})
    assert (await seen(""))[:2] == (7, 2)
    assert await seen("", ((CLIENT_HEADER, "ann"), *outside)) == (4, 1, fraud)
    assert (await seen("models/digits", ((CLIENT_HEADER, "ann"), *outside)))[0] == 0
    error = await refused(seen("models/fraud/versions"))
    assert (error.code, error.violations[0].field) == (Code.INVALID_ARGUMENT, "parent")


async def test_a_report_is_a_page_of_the_console(monitor):
    stub: Any = monitor_pb2_grpc.MonitorServiceStub(monitor.channel)
    error = await refused(stub.RenderReport(monitor_pb2.RenderReportRequest(parent="models/fraud"), timeout=10))
    assert (error.code, error.reason) == (Code.UNIMPLEMENTED, "REPORT_IN_CONSOLE")


async def test_what_moved_to_traffic_service_is_answered_by_its_former_names(monitor):
    plane = CountingPlane()
    plane.answer(key(), 0.01, 3)
    await report(monitor, plane.report())
    former, current = (stub(monitor.channel) for stub in (
        monitor_pb2_grpc.MonitorServiceStub, monitor_pb2_grpc.TrafficServiceStub,
    ))  # fmt: skip
    one = monitor_pb2.GetTrafficRequest(parent="models/fraud")
    assert (await former.GetTraffic(one, timeout=10)).traffic[0].count == 3
    query = monitor_pb2.QueryPredictionsRequest(sql="select 1 as one")
    rows = [[part.arrow async for part in stub.QueryPredictions(query, timeout=30)] for stub in (former, current)]
    assert rows[0] == rows[1] != [b""]


async def test_several_models_are_told_at_once_as_each_is_alone(monitor):
    plane = CountingPlane()
    for model in ("fraud", "digits", "others"):
        plane.answer(key(model), 0.01, 3)
        plane.answer(key(model, code=14), 0.5)
    await report(monitor, plane.report())
    asked = ("models/fraud", "models/none", "models/digits", "models/fraud")
    told = await listed(monitor, *asked)
    assert list(told) == ["models/fraud", "models/digits"]
    assert told["models/fraud"] == list((await traffic(monitor)).traffic)
    assert told["models/digits"] == list((await traffic(monitor, "models/digits")).traffic)
    outside = ((CLIENT_HEADER, "ann"), (MODELS_HEADER, "digits*"))
    assert list(await listed(monitor, *asked, metadata=outside)) == ["models/digits"]
    assert await listed(monitor, *asked, end_time=Timestamp(seconds=1_000_000_000)) == {}
    for wrong, field in (((), "models"), (["models/a"] * 101, "models"), (("models/a", "b"), "models[1]")):
        error = await refused(listed(monitor, *wrong))
        assert (error.code, error.violations[0].field) == (Code.INVALID_ARGUMENT, field)


async def test_what_callers_may_not_ask_or_say_is_refused(monitor):
    plane = CountingPlane()
    plane.answer(key(), 0.01)
    await report(monitor, plane.report())
    outside = ((CLIENT_HEADER, "ann"), (MODELS_HEADER, "digits*"))
    assert (await refused(traffic(monitor, metadata=outside))).code is Code.NOT_FOUND
    assert (await refused(report(monitor, plane.report(), metadata=outside))).code is Code.PERMISSION_DENIED
    for parent, field in (("fraud", "parent"), ("models/Fraud", "parent"), ("models/a/versions/b", "parent")):
        error = await refused(traffic(monitor, parent))
        assert (error.code, error.violations[0].field) == (Code.INVALID_ARGUMENT, field)
    error = await refused(traffic(monitor, start_time=Timestamp(seconds=2**40)))
    assert (error.code, error.violations[0].field) == (Code.INVALID_ARGUMENT, "range.start_time")


async def test_a_hostile_report_is_refused_whole_and_the_process_goes_on(monitor):
    plane = CountingPlane()
    for one in (key(), key(code=14)):
        plane.answer(one, 0.01, 10)
    await report(monitor, plane.report())
    plane.answer(key(), 0.01, 5)
    spoilt = plane.report()
    spoilt.series[1].rows = 9
    error = await refused(report(monitor, spoilt))
    assert (error.code, error.violations[0].field) == (Code.INVALID_ARGUMENT, "series[1].rows")
    everything = telemetry_pb2.ReportCountersRequest(
        process="x" * 100_000, series=itertools.repeat(telemetry_pb2.CounterSeries(code=-1, first_bucket=-1), 8192)
    )
    error = await refused(report(monitor, everything))
    assert (error.code, error.violations[0].field) == (Code.INVALID_ARGUMENT, "process")
    await report(monitor, plane.report())
    assert sum(one.count for one in (await traffic(monitor)).traffic) == 25
