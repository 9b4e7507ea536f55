"""Spans as a collector would get them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest
from headrace.batcher.v1 import batcher_pb2
from headrace_router.data.request.trace import Marks
from headrace_router.data.telemetry.spans import CallSpans
from headrace_servicekit.calls import Call, make_call
from headrace_servicekit.errors import Unavailable
from headrace_servicekit.tracing import Tracing
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext, StatusCode

RECORDED = make_call("r-1", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")


class Collected:
    """A tracing whose spans the test can read."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.tracing = Tracing("router.data", self._exporter)

    def spans(self) -> dict[str, ReadableSpan]:
        self.tracing._provider.force_flush()
        return {span.name: span for span in self._exporter.get_finished_spans()}


def context(span: ReadableSpan) -> SpanContext:
    """Return what names a span; one that was recorded has it."""
    assert span.context is not None
    return span.context


@pytest.fixture
def collected() -> Iterator[Collected]:
    made = Collected()
    yield made
    made.tracing.close()


def parent_of(span: ReadableSpan) -> int:
    assert span.parent is not None
    return span.parent.span_id


async def test_look_up_and_batcher_stand_below_the_call(collected: Collected):
    traceparent, span = CallSpans(collected.tracing, one_in=0).begin("router/Predict", RECORDED)
    marks = Marks(time.perf_counter, time.perf_counter())
    marks.end_receive()
    marks.end_routing()
    await asyncio.sleep(0.002)
    marks.end_lookup()
    answer: asyncio.Future[batcher_pb2.InferResponse] = asyncio.get_running_loop().create_future()
    below = span.computing(answer, "default")
    answer.set_result(batcher_pb2.InferResponse(queue_us=100, compute_us=200, batch_requests=3, batch_rows=5))
    await asyncio.sleep(0)
    marks.answered(time.perf_counter(), 100, 200)
    span.end("OK", marks)
    spans = collected.spans()
    call, lookup, batcher = spans["router/Predict"], spans["lookup"], spans["batcher"]
    assert {f"{context(one).trace_id:032x}" for one in spans.values()} == {"0af7651916cd43dd8448eb211c80319c"}
    assert parent_of(call) == 0xB7AD6B7169203331
    assert parent_of(lookup) == parent_of(batcher) == context(call).span_id == int(traceparent[36:52], 16)
    assert int(below[36:52], 16) == context(batcher).span_id
    assert (lookup.end_time or 0) - (lookup.start_time or 0) >= 2_000_000
    assert (call.start_time or 0) <= (lookup.start_time or 0) + 1_000_000
    assert (batcher.attributes or {})["headrace.batch_requests"] == 3


@pytest.mark.parametrize("withdrawn", [True, False])
async def test_work_that_is_not_answered_ends_its_span_too(collected: Collected, withdrawn: bool):
    _, span = CallSpans(collected.tracing, one_in=0).begin("router/Predict", RECORDED)
    answer: asyncio.Future[batcher_pb2.InferResponse] = asyncio.get_running_loop().create_future()
    span.computing(answer, "default")
    if withdrawn:
        answer.cancel()
    else:
        answer.set_exception(Unavailable("away", reason="NO_BACKEND"))
    await asyncio.sleep(0)
    span.end("UNAVAILABLE", None)
    spans = collected.spans()
    expected = StatusCode.UNSET if withdrawn else StatusCode.ERROR
    assert (spans["batcher"].status.status_code, set(spans)) == (expected, {"batcher", "router/Predict"})


def test_one_in_so_many_begins_a_trace(collected: Collected):
    spans = CallSpans(collected.tracing, one_in=3)
    assert [spans.samples() for _ in range(6)] == [False, False, True] * 2
    assert not any(CallSpans(collected.tracing, one_in=0).samples() for _ in range(10))
    traceparent, span = spans.begin("router/Predict", Call("r-2"))
    assert make_call("r-2", traceparent).sampled
    span.end("OK", None)
