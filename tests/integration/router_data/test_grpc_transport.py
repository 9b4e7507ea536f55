"""RouterService.Predict on a real port, between a control plane and batchers that the test holds in its hand."""

from __future__ import annotations

import asyncio
import uuid

import grpc
import grpc.aio
import pytest
from headrace_servicekit.error_details import from_rpc_error
from headrace_servicekit.errors import Code
from headrace_servicekit.testing import eventually

from tests.kit.batcher.fake_batcher import FakeBatcher, held, refusing, silent
from tests.kit.clients.refusals import refused
from tests.kit.router.answer_sources import ONLINE
from tests.kit.router.data_plane import data_plane
from tests.kit.router.digits import DIGITS, ROW, V1, V2, digits_request
from tests.kit.router.fake_control import table


@pytest.fixture
async def plane(control, batcher, tmp_path):
    async with data_plane(control.target, {"default": [batcher.target]}, tmp_path, max_rows=64) as plane:
        yield plane


async def test_an_answer_says_who_computed_it_and_under_which_generation(plane):
    answer = await plane.stub.Predict(DIGITS, timeout=5)
    assert (answer.model, answer.version, answer.variant, answer.generation) == ("digits", "v1", "v1", 1)
    assert answer.served_from == ONLINE
    assert answer.raw_output_contents[0] == ROW[:4]
    assert uuid.UUID(answer.prediction_id).version == 7


async def test_the_request_id_comes_back_in_the_answer_and_in_the_trailers(plane):
    call = plane.stub.Predict(DIGITS, timeout=5, metadata=(("x-request-id", "req-42"),))
    assert (await call).request_id == "req-42"
    assert ("x-request-id", "req-42") in tuple(await call.trailing_metadata())


async def test_timing_is_told_when_asked_for_and_adds_up(plane):
    call = plane.stub.Predict(DIGITS, timeout=5, metadata=(("headrace-timing", "1"),))
    await call
    told = dict(await call.trailing_metadata())["server-timing"]
    parts = {name: float(value) for name, value in (part.split(";dur=") for part in told.split(", "))}
    assert parts["queue"] == 0.1
    assert parts["compute"] == 0.2
    assert sum(parts.values()) - parts["total"] == pytest.approx(parts["total"], abs=0.01)


async def test_bytes_that_are_no_message_are_the_callers_fault(plane):
    async with grpc.aio.insecure_channel(plane.runtime.servers[0].address) as channel:
        call = channel.unary_unary("/headrace.router.v1.RouterService/Predict")
        error = await refused(call(b"\xff\xff\xff", timeout=5))
    assert (error.code, error.reason) == (Code.INVALID_ARGUMENT, "MALFORMED_MESSAGE")
    nothing = dict.fromkeys(("model", "version", "variant", "served_from", "layer", "fallback_step"), "")
    labels = {**nothing, "code": "INVALID_ARGUMENT"}
    await eventually(lambda: plane.metric("headrace_router_predictions_total", **labels))


async def test_a_repeated_identity_header_is_refused(plane):
    twice = (("x-headrace-client", "ann"), ("x-headrace-client", "eve"))
    assert (await refused(plane.stub.Predict(DIGITS, timeout=5, metadata=twice))).code is Code.UNAUTHENTICATED


async def test_the_batcher_learns_client_priority_deadline_and_trace(plane, batcher):
    recorded = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    await plane.stub.Predict(DIGITS, timeout=5, metadata=(("x-headrace-client", "ann"), ("traceparent", recorded)))
    sent = batcher.requests[-1]
    assert (sent.client, sent.traceparent, sent.rows, sent.priority) == ("ann", recorded, 1, 0)
    assert 4_000_000 < sent.deadline_us < 5_200_000  # gRPC rounds timeouts up


async def test_an_input_that_the_batcher_blames_is_named_as_the_caller_named_it(plane, batcher):
    batcher.behave = refusing(3, "NAN_NOT_ALLOWED", "input 'x' has NaN", blamed_input=1)
    error = await refused(plane.stub.Predict(DIGITS, timeout=5))
    assert error.code is Code.INVALID_ARGUMENT
    assert [one.field for one in error.violations] == ["inputs[0]"]


async def test_a_deadline_is_kept_although_the_batcher_is_silent(plane, batcher):
    batcher.behave = silent
    started = asyncio.get_running_loop().time()
    assert (await refused(plane.stub.Predict(DIGITS, timeout=0.2))).code is Code.DEADLINE_EXCEEDED
    assert asyncio.get_running_loop().time() - started < 0.4
    await eventually(lambda: batcher.cancelled == [batcher.requests[0].id])


async def test_predictions_are_counted_by_variant_source_and_code(plane, batcher):
    await plane.stub.Predict(DIGITS, timeout=5)
    batcher.behave = refusing(3, "NAN_NOT_ALLOWED", blamed_input=1)
    await refused(plane.stub.Predict(DIGITS, timeout=5))
    labels = {"model": "digits", "version": "v1", "variant": "v1", "layer": "", "fallback_step": ""}
    name = "headrace_router_predictions_total"
    await eventually(lambda: plane.metric(name, **labels, served_from="online", code="OK"))
    await eventually(lambda: plane.metric(name, **labels, served_from="", code="INVALID_ARGUMENT"))


async def test_a_pinned_version_is_answered_without_a_variant(control, batcher, tmp_path):
    control.put_table(table("digits", [V1, V2]))
    async with data_plane(control.target, {"default": [batcher.target]}, tmp_path) as plane:
        answer = await plane.stub.Predict(digits_request(version="v2"), timeout=5)
    assert (answer.version, answer.variant) == ("v2", "")


async def test_a_burst_is_answered_or_refused_with_a_time_to_come_back(control, batcher, tmp_path):
    gate = asyncio.Event()
    batcher.behave = held(gate)
    async with data_plane(control.target, {"default": [batcher.target]}, tmp_path, max_in_flight=500) as plane:
        calls = [asyncio.ensure_future(plane.stub.Predict(DIGITS, timeout=60)) for _ in range(2500)]
        await eventually(lambda: sum(call.done() for call in calls) > 2000, within=60)
        gate.set()
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
    refusals = [one for one in outcomes if isinstance(one, grpc.aio.AioRpcError)]
    assert {one.code().name for one in refusals} == {"RESOURCE_EXHAUSTED"}
    assert all(from_rpc_error(one).retry_after_s for one in refusals)
    assert 440 <= len(outcomes) - len(refusals) < 500  # a client alone has eight ninths of what may be in flight


async def test_a_batcher_that_is_killed_under_load_costs_no_request(control, tmp_path):
    async with (
        FakeBatcher.serving([V1]) as one,
        FakeBatcher.serving([V1], process="fake-2") as other,
        data_plane(control.target, {"default": [one.target, other.target]}, tmp_path) as plane,
    ):
        await eventually(lambda: plane.connected(2))
        gate = asyncio.Event()
        one.behave = other.behave = held(gate)
        calls = [asyncio.ensure_future(plane.stub.Predict(DIGITS, timeout=10)) for _ in range(200)]
        await eventually(lambda: len(one.requests) + len(other.requests) == 200)
        assert one.requests
        await one.die()
        gate.set()
        answers = await asyncio.gather(*calls)
        assert await plane.metric("headrace_router_retries_total") > 0
    assert {answer.version for answer in answers} == {"v1"}
