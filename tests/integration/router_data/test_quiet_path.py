"""Requests that nobody samples are counted, and nothing else: no log line, no span. Those that are say everything."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import grpc.aio
import pytest
from headrace.router.v1 import predict_pb2
from headrace_servicekit.testing import eventually
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.trace.v1 import trace_pb2

from tests.kit.batcher.fake_batcher import refusing
from tests.kit.router.data_plane import DataPlane, data_plane
from tests.kit.router.digits import digits_request, row
from tests.kit.stack.logs import logged_lines

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
RECORDED = (("traceparent", f"00-{TRACE_ID}-00f067aa0ba902b7-01"),)
NOT_RECORDED = (("traceparent", f"00-{TRACE_ID}-00f067aa0ba902b7-00"),)


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Keeps the spans that it is sent."""

    def __init__(self) -> None:
        self.spans: list[trace_pb2.Span] = []

    async def Export(self, request, context):
        self.spans += [
            span
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
            if "Predict" in span.name or span.name in ("lookup", "batcher")
        ]
        return trace_service_pb2.ExportTraceServiceResponse()

    def by_name(self) -> dict[str, trace_pb2.Span]:
        return {span.name.rpartition("/")[2]: span for span in self.spans}


def digits(seed: int = 0) -> predict_pb2.PredictRequest:
    return digits_request(row(seed, 1, 2, 3))


@pytest.fixture
async def collector() -> AsyncIterator[tuple[Collector, str]]:
    receiver, collector = grpc.aio.server(), Collector()
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(collector, receiver)
    otlp = f"127.0.0.1:{receiver.add_insecure_port('127.0.0.1:0')}"
    await receiver.start()
    yield collector, otlp
    await receiver.stop(grace=None)


@pytest.fixture
async def plane(control, batcher, collector, tmp_path) -> AsyncIterator[DataPlane]:
    """Yield a data plane that caches, and that samples nothing of its own accord."""
    async with data_plane(
        control.target,
        {"default": [batcher.target]},
        tmp_path,
        cache_ttl_s=60.0,
        otlp_endpoint=collector[1],
        access_log_one_in=0,
        access_log_errors_per_second=3,
        trace_one_in=0,
        explain_one_in=0,
    ) as plane:
        yield plane


async def counted(plane: DataPlane, **labels: str) -> float:
    nothing = dict.fromkeys(("layer", "fallback_step"), "")
    whole = nothing | {"model": "digits", "version": "v1", "variant": "v1"} | labels
    return await plane.metric("headrace_router_prediction_duration_seconds_count", **whole)


@pytest.mark.long
async def test_requests_that_are_not_sampled_are_counted_and_that_is_all(plane, collector):
    with logged_lines() as lines:
        for seed in range(20):
            for metadata in ((), NOT_RECORDED):
                await plane.stub.Predict(digits(seed), timeout=5, metadata=metadata)
                await plane.rest.post("/v1/models/digits:predict", json={"instances": [[seed, 1, 2, 3]]})
        assert await counted(plane, served_from="online", code="OK") == 20
        assert await counted(plane, served_from="cache", layer="memory", code="OK") == 60
        # One that is recorded is exported behind all that were before it.
        await plane.stub.Predict(digits(), timeout=5, metadata=RECORDED)
        await eventually(lambda: len(collector[0].spans) >= 2, within=20)
    assert len(lines.of("prediction")) == 1
    assert sorted(collector[0].by_name()) == ["Predict", "lookup"]
    assert len(collector[0].spans) == 2


async def test_a_recorded_request_is_followed_into_the_batcher(plane, batcher, collector):
    with logged_lines() as lines:
        await plane.stub.Predict(digits(), timeout=5, metadata=(*RECORDED, ("x-request-id", "r-1")))
        await eventually(lambda: len(collector[0].spans) == 3, within=20)
    spans = collector[0].by_name()
    call, lookup, work = spans["Predict"], spans["lookup"], spans["batcher"]
    assert {span.trace_id.hex() for span in collector[0].spans} == {TRACE_ID}
    assert lookup.parent_span_id == work.parent_span_id == call.span_id
    (sent,) = batcher.requests
    assert sent.traceparent == f"00-{TRACE_ID}-{work.span_id.hex()}-01"
    (line,) = lines.of("prediction")
    told = {name: line[name] for name in ("model", "version", "served_from", "code", "request_id", "trace_id")}
    assert told == {
        "model": "digits", "version": "v1", "served_from": "online", "code": "OK", "request_id": "r-1",
        "trace_id": TRACE_ID,
    }  # fmt: skip
    assert line["ms"] > 0
    assert "client" in line


async def test_errors_are_logged_without_being_sampled_up_to_their_bound(plane, batcher):
    batcher.behave = refusing(3, "NAN_NOT_ALLOWED", blamed_input=0)
    began = int(time.time())
    with logged_lines() as lines:
        for seed in range(12):
            with pytest.raises(grpc.aio.AioRpcError):
                await plane.stub.Predict(digits(seed), timeout=5)
    assert await counted(plane, served_from="", code="INVALID_ARGUMENT") == 12
    logged = lines.of("prediction")
    assert 3 <= len(logged) <= 3 * (int(time.time()) - began + 1)  # three each second
    assert {(line["code"], line["reason"]) for line in logged} == {("INVALID_ARGUMENT", "NAN_NOT_ALLOWED")}


async def test_a_kept_answers_time_is_told_to_the_microsecond(plane):
    await plane.stub.Predict(digits(), timeout=5)
    for _ in range(4):
        await plane.stub.Predict(digits(), timeout=5)
    call = plane.stub.Predict(digits(), timeout=5, metadata=(("headrace-timing", "1"),))
    await call
    told = dict(part.split(";dur=") for part in dict(await call.trailing_metadata())["server-timing"].split(", "))
    assert 0 < float(told["cache"]) < float(told["total"])
    assert (told["queue"], told["compute"]) == ("0.000", "0.000")
    labels = {"model": "digits", "version": "v1", "variant": "v1", "served_from": "cache", "layer": "memory"}
    name = "headrace_router_prediction_duration_seconds_sum"
    assert 0 < await plane.metric(name, **labels, fallback_step="", code="OK") < 5
