"""An answered request frees its objects itself: no cycle keeps its bytes until the garbage collector comes by."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import grpc.aio
import pytest
from headrace.router.v1 import predict_pb2
from headrace_router.data.answer.answer import Answer
from headrace_router.data.batchers.parts import Rest
from headrace_router.data.batchers.work import Attempt, PartBuffer, Work
from headrace_router.data.lookup.cache_lookup import CacheLookup
from headrace_router.data.lookup.execution import SharedExecution, Waiter
from headrace_router.data.request.request import Call, Request, ResolvedRequest, Tensors
from headrace_servicekit.testing import eventually
from tritonclient.grpc import service_pb2_grpc

from tests.kit.batcher.fake_batcher import FakeBatcher, echoing, held, in_parts, refusing, silent
from tests.kit.router.data_plane import DataPlane, data_plane
from tests.kit.router.digits import V1, digits_request, row
from tests.kit.router.fake_control import lookup, resolved_version, table
from tests.kit.router.garbage import instances, no_collection
from tests.kit.router.inference_requests import infer_request

OF_A_REQUEST = (
    Work, Attempt, SharedExecution, Waiter, CacheLookup, ResolvedRequest, Answer, Call, Request, Tensors, PartBuffer,
    Rest,
)  # fmt: skip
DECOUPLED = resolved_version("digits", "v1")
DECOUPLED.contract.decoupled = True

Ask = Callable[[DataPlane, FakeBatcher, int], Awaitable[object]]


async def predicted(plane: DataPlane, _batcher: FakeBatcher, number: int) -> None:
    await plane.stub.Predict(digits_request(row(number, 0, 0, 0)), timeout=5)


async def asked_by_many(plane: DataPlane, batcher: FakeBatcher, number: int) -> None:
    batcher.behave = held(gate := asyncio.Event())
    before = len(batcher.requests)
    calls = [plane.stub.Predict(digits_request(row(number, 0, 0, 0)), timeout=5) for _ in range(3)]
    await eventually(lambda: len(batcher.requests) > before)
    gate.set()
    await asyncio.gather(*calls)


async def inferred(plane: DataPlane, _batcher: FakeBatcher, number: int) -> None:
    async with grpc.aio.insecure_channel(plane.runtime.servers[0].address) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        await stub.ModelInfer(infer_request("digits", ("x", "FP32", [1, 4], row(number, 0, 0, 0))), timeout=5)


async def posted(plane: DataPlane, _batcher: FakeBatcher, number: int) -> None:
    answer = await plane.rest.post("/v1/models/digits:predict", json={"instances": [[number, 0, 0, 0]]})
    assert answer.status_code == 200


async def left_by_its_caller(plane: DataPlane, batcher: FakeBatcher, number: int) -> None:
    batcher.behave = silent
    before = len(batcher.requests)
    call = plane.stub.Predict(digits_request(row(number, 0, 0, 0)), timeout=5)
    await eventually(lambda: len(batcher.requests) > before)
    call.cancel()


@pytest.mark.parametrize("mode", ["ONLINE", "HYBRID"])
@pytest.mark.parametrize("ask", [predicted, asked_by_many, inferred, posted, left_by_its_caller])
async def test_nothing_of_a_request_is_left_when_it_is_over(control, batcher, tmp_path, ask: Ask, mode: str):
    control.put_table(table("digits", [V1], lookup=lookup(mode=mode)))
    async with data_plane(control.target, {"default": [batcher.target]}, tmp_path, cache_ttl_s=60.0) as plane:
        with no_collection():
            for number in range(5):
                await ask(plane, batcher, number)
            # Whoever reads the frames of a batcher has the last one in its hand.
            await eventually(lambda: all(count <= 1 for count in instances(*OF_A_REQUEST).values()), every=0.1)


async def by_predict_stream(plane: DataPlane, number: int) -> None:
    asked = predict_pb2.PredictStreamRequest(request=digits_request(row(number, 0, 0, 0)))
    async for _ in plane.stub.PredictStream(asked, timeout=5):
        pass


async def by_model_stream_infer(plane: DataPlane, number: int) -> None:
    asked = infer_request("digits", ("x", "FP32", [1, 4], row(number, 0, 0, 0)))
    async with grpc.aio.insecure_channel(plane.runtime.servers[0].address) as channel:
        async for _ in service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelStreamInfer(iter([asked]), timeout=5):
            pass


async def by_events(plane: DataPlane, number: int) -> None:
    await plane.rest.post("/v1/models/digits:predictStream", json={"instances": [[number, 0, 0, 0]]})


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("version", [V1, DECOUPLED], ids=["answers once", "answers in parts"])
@pytest.mark.parametrize("ask", [by_predict_stream, by_model_stream_infer, by_events])
async def test_nothing_of_a_stream_is_left_when_it_is_over(control, batcher, tmp_path, ask, version, fails: bool):
    failure: dict[str, Any] = {"code": 14, "reason": "BACKEND_CRASHED"}
    if version is DECOUPLED:
        batcher.behave = in_parts(3, **failure) if fails else in_parts(3)
    else:
        batcher.behave = refusing(14, "BACKEND_CRASHED") if fails else echoing
    control.put_table(table("digits", [version]))
    async with data_plane(control.target, {"default": [batcher.target]}, tmp_path) as plane:
        with no_collection():
            for number in range(5):
                with contextlib.suppress(grpc.aio.AioRpcError):
                    await ask(plane, number)
            await eventually(lambda: all(count <= 1 for count in instances(*OF_A_REQUEST).values()), every=0.1)


async def test_nothing_of_an_answer_in_parts_is_left_by_callers_that_leave(control, batcher, tmp_path):
    control.put_table(table("digits", [DECOUPLED]))
    batcher.behave = silent
    async with data_plane(control.target, {"default": [batcher.target]}, tmp_path) as plane:
        with no_collection():
            for number in range(5):
                asked = predict_pb2.PredictStreamRequest(request=digits_request(row(number, 0, 0, 0)))
                call = plane.stub.PredictStream(asked, timeout=5)
                await eventually(lambda number=number: len(batcher.requests) > number)
                if number % 2:
                    part = await echoing(batcher, batcher.requests[number])
                    part.more = True
                    batcher.respond(part)
                    await call.read()
                call.cancel()
                await eventually(lambda number=number: len(batcher.cancelled) > number)
            await eventually(lambda: all(count <= 1 for count in instances(*OF_A_REQUEST).values()), every=0.1)
