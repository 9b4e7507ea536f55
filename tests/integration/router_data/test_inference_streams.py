"""`ModelStreamInfer` on a real port, asked by Triton's own client and by a bare stub where that would not do it."""

from __future__ import annotations

import asyncio
import json
import struct
import time
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc.aio as triton
from headrace_router.data.transports.grpc_aio.streams import MOST_IN_FLIGHT
from headrace_servicekit import error_details
from headrace_servicekit.errors import Code
from headrace_servicekit.testing import eventually, patience
from tritonclient.grpc import service_pb2_grpc

from tests.kit.batcher.fake_batcher import FakeBatcher, echoing, held, silent
from tests.kit.router.inference_plane import ONE, inference_plane
from tests.kit.router.inference_requests import infer_request, parameters_of

PARTIAL = (("x-headrace-client", "alice"), ("x-headrace-models", "digits"))
END: Any = getattr(grpc.aio, "EOF")  # noqa: B009 - missing in the type stubs


@pytest.fixture
async def batcher():
    async with FakeBatcher.serving([ONE]) as batcher:
        yield batcher


@pytest.fixture
async def plane(batcher, tmp_path):
    async with inference_plane(batcher, tmp_path) as plane:
        yield plane


@pytest.fixture
async def stub(plane):
    async with grpc.aio.insecure_channel(plane.runtime.servers[0].address) as channel:
        yield service_pb2_grpc.GRPCInferenceServiceStub(channel)


def row(id_: str, value: float = 1, model: str = "digits", **fields: Any) -> Any:
    values = np.array([[value, 0, 0, 0]], np.float32)
    return infer_request(model, ("x", "FP32", [1, 4], values.tobytes()), id=id_, **fields)


def value_of(answer: Any) -> float:
    assert not answer.error_message
    return struct.unpack("<f", answer.infer_response.raw_output_contents[0])[0]


async def failure(call: Any) -> grpc.aio.AioRpcError:
    """Read a stream to its end, and return how it failed."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await to_the_end(call)
    return caught.value


async def to_the_end(call: Any) -> None:
    while await call.read() is not END:
        pass


async def test_tritons_client_gets_the_answer_to_each_request_by_its_id(plane):
    async def inputs():
        for number in range(50):
            given = triton.InferInput("x", [1, 4], "FP32")
            given.set_data_from_numpy(np.array([[number, 0, 0, 0]], np.float32))
            yield {
                "model_name": "digits", "inputs": [given], "request_id": f"r-{number}",
                "enable_empty_final_response": True,
            }  # fmt: skip

    answers = {}
    async with triton.InferenceServerClient(plane.runtime.servers[0].address) as client:
        stream: Any = client.stream_infer(inputs())
        async for result, error in stream:
            assert error is None
            response = result.get_response()
            assert parameters_of(response)["triton_final_response"] is True
            answers[response.id] = result.as_numpy("y")[0, 0]
    assert answers == {f"r-{number}": number for number in range(50)}


async def test_answers_come_as_they_are_there_whatever_the_order_of_the_requests(stub, batcher):
    gate = asyncio.Event()

    async def first_is_slow(batcher: FakeBatcher, request: Any) -> Any:
        if struct.unpack_from("<f", request.inputs[0])[0] == 1:
            await gate.wait()
        return await echoing(batcher, request)

    batcher.behave = first_is_slow
    call = stub.ModelStreamInfer(timeout=patience(20))
    await call.write(row("slow", 1))
    await call.write(row("quick", 2))
    assert (await call.read()).infer_response.id == "quick"
    gate.set()
    assert (await call.read()).infer_response.id == "slow"
    await call.done_writing()
    assert await call.read() is END
    assert await call.code() is grpc.StatusCode.OK


async def test_an_error_ends_its_request_and_says_code_and_reason_and_the_stream_goes_on(stub):
    call = stub.ModelStreamInfer(timeout=patience(20))
    for request, code, reason in (
        (row("a", model="unknown"), Code.NOT_FOUND, "MODEL_NOT_FOUND"),
        (infer_request("digits", ("x", "FP32", [1, 3], bytes(12)), id="b"), Code.INVALID_ARGUMENT, "CONTRACT_VIOLATED"),
        (row("c", model_version="9"), Code.NOT_FOUND, "VERSION_NOT_FOUND"),
    ):
        await call.write(request)
        answer = await call.read()
        told = parameters_of(answer.infer_response)
        assert answer.error_message
        assert answer.infer_response.id == request.id
        assert (told["headrace_error_code"], told["headrace_error_reason"]) == (code, reason)
        assert told["triton_final_response"] is True
    await call.write(row("d", 4))
    assert value_of(await call.read()) == 4
    await call.done_writing()
    assert await call.read() is END


async def test_bytes_that_are_no_request_are_refused_and_the_stream_goes_on(plane):
    async with grpc.aio.insecure_channel(plane.runtime.servers[0].address) as channel:
        raw: Any = channel.stream_stream("/inference.GRPCInferenceService/ModelStreamInfer")
        call = raw(timeout=patience(20))
        await call.write(b"\xff\xff\xff")
        assert b"MALFORMED_MESSAGE" in await call.read()
        await call.write(row("e").SerializeToString())
        assert b"MALFORMED_MESSAGE" not in await call.read()
        call.cancel()


async def test_a_request_has_its_own_deadline_and_the_stream_outlives_it(stub, batcher):
    batcher.behave = silent
    late = row("late")
    late.parameters["timeout"].int64_param = 50_000
    call = stub.ModelStreamInfer(timeout=patience(20))
    await call.write(late)
    told = parameters_of((await call.read()).infer_response)
    assert told["headrace_error_code"] == Code.DEADLINE_EXCEEDED
    batcher.behave = echoing
    await call.write(row("next", 3))
    assert value_of(await call.read()) == 3
    call.cancel()


async def test_a_stream_whose_caller_leaves_is_withdrawn_from_the_batcher(stub, batcher, plane, capfd):
    batcher.behave = silent
    call = stub.ModelStreamInfer()
    for number in range(3):
        await call.write(row(str(number)))
    await eventually(lambda: len(batcher.requests) == 3)
    call.cancel()
    await eventually(lambda: sorted(batcher.cancelled) == sorted(one.id for one in batcher.requests))
    assert await plane.metric("headrace_router_streams") == 0
    assert "unhandled error" not in capfd.readouterr().out


async def test_the_deadline_of_a_stream_ends_it_with_all_its_requests(stub, batcher):
    batcher.behave = silent
    call = stub.ModelStreamInfer(timeout=0.5)
    await call.write(row("a"))
    assert (await failure(call)).code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await eventually(lambda: batcher.cancelled == [one.id for one in batcher.requests])


async def test_a_stream_is_read_no_further_than_its_bound_of_unanswered_requests(stub, batcher):
    gate = asyncio.Event()
    batcher.behave = held(gate)
    call = stub.ModelStreamInfer(timeout=patience(60))
    number = MOST_IN_FLIGHT + 40

    async def write() -> None:
        for index in range(number):
            await call.write(row(str(index)))
        await call.done_writing()

    writing = asyncio.create_task(write())
    await eventually(lambda: len(batcher.requests) == MOST_IN_FLIGHT)
    assert len(batcher.requests) == MOST_IN_FLIGHT
    gate.set()
    answered = {(await call.read()).infer_response.id for _ in range(number)}
    assert len(answered) == number
    await writing
    assert await call.read() is END


async def test_requests_within_streams_count_as_those_of_calls_do(stub, plane):
    call = stub.ModelStreamInfer(iter([row(str(number)) for number in range(4)]), timeout=patience(20))
    for _ in range(4):
        await call.read()
    assert await call.read() is END
    labels = {"model": "digits", "version": "1", "variant": "1", "layer": "", "fallback_step": ""}
    name = "headrace_router_predictions_total"
    counted = await eventually(lambda: plane.metric(name, **labels, served_from="online", code="OK"))
    assert counted == 4
    assert await plane.metric("headrace_router_stream_requests_total") == 4


async def test_a_stream_ends_with_the_token_that_it_began_with(stub, batcher):
    batcher.behave = silent
    expiring = (*PARTIAL, ("x-headrace-token-expiry", f"{time.time() + 1:.3f}"))
    call = stub.ModelStreamInfer(metadata=expiring, timeout=patience(20))
    await call.write(row("a"))
    assert error_details.from_rpc_error(await failure(call)).reason == "TOKEN_EXPIRED"
    await eventually(lambda: batcher.cancelled == [one.id for one in batcher.requests])


async def test_streams_of_a_client_that_is_denied_end_and_others_go_on(batcher, tmp_path):
    deny = tmp_path / "deny.json"
    async with (
        inference_plane(batcher, tmp_path / "state", deny_file=deny) as plane,
        grpc.aio.insecure_channel(plane.runtime.servers[0].address) as channel,
    ):
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        theirs = stub.ModelStreamInfer(metadata=PARTIAL, timeout=patience(20))
        others = stub.ModelStreamInfer(metadata=(("x-headrace-client", "bob"),), timeout=patience(20))
        for call in (theirs, others):
            await call.write(row("a", 5))
            assert value_of(await call.read()) == 5
        deny.write_text(json.dumps({"subjects": ["alice"]}))
        assert error_details.from_rpc_error(await failure(theirs)).reason == "CLIENT_DENIED"
        await others.write(row("b", 6))
        assert value_of(await others.read()) == 6
        others.cancel()


async def test_models_that_the_caller_may_not_see_do_not_exist_in_streams_either(stub):
    call = stub.ModelStreamInfer(metadata=(("x-headrace-client", "c"), ("x-headrace-models", "other-*")), timeout=20)
    await call.write(row("a"))
    assert parameters_of((await call.read()).infer_response)["headrace_error_reason"] == "MODEL_NOT_FOUND"
    call.cancel()


async def test_a_stream_that_comes_faster_than_its_client_may_is_read_more_slowly(batcher, tmp_path):
    async with (
        inference_plane(batcher, tmp_path, stream_requests_per_second=20) as plane,
        grpc.aio.insecure_channel(plane.runtime.servers[0].address) as channel,
    ):
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        began = time.monotonic()
        requests = [row(str(number)) for number in range(40)]
        call = stub.ModelStreamInfer(iter(requests), metadata=PARTIAL, timeout=patience(20))
        for _ in requests:
            assert value_of(await call.read()) == 1
        assert time.monotonic() - began > 0.9
