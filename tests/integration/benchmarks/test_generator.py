"""The load generator against a real gRPC server: what it sends arrives whole, and it believes no status unseen."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import grpc.aio
import numpy as np
import pytest
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from headrace.router.v1 import predict_pb2

from benchmarks.load.calls import Call, Rows, predict
from benchmarks.load.endings import OK, REFUSED, WRONG
from benchmarks.load.generator import Generator, Result, Target
from benchmarks.load.workload import Workload, arrivals, known_entity

Answer = Callable[[predict_pb2.PredictRequest, grpc.aio.ServicerContext], Awaitable[predict_pb2.PredictResponse | None]]

SCORES = [0.125, 0.5, 0.875]
ROWS = Rows(
    np.arange(3 * 128, dtype=np.float32).reshape(3, 128), np.arange(3 * 64, dtype=np.float32).reshape(3, 64), SCORES
)


@asynccontextmanager
async def served(answer: Answer) -> AsyncIterator[tuple[str, int]]:
    handler = grpc.unary_unary_rpc_method_handler(
        answer, predict_pb2.PredictRequest.FromString, predict_pb2.PredictResponse.SerializeToString
    )
    server = grpc.aio.server()
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("headrace.router.v1.RouterService", {"Predict": handler}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield "127.0.0.1", port
    finally:
        await server.stop(grace=None)


async def run(
    address: tuple[str, int], chosen: list[int], load: Callable[[Generator], Result], *, endless: bool = False
) -> Result:
    call: Call = predict(["recommender"], ROWS)

    def blocking() -> Result:
        with Generator(Target(address, ["token"]), call, Workload(chosen, endless=endless), 2) as generator:
            return load(generator)

    return await asyncio.to_thread(blocking)


def scored(request: predict_pb2.PredictRequest) -> predict_pb2.PredictResponse:
    """Answer with the score of the row that was sent."""
    row = int(np.frombuffer(request.raw_input_contents[0], np.float32)[0]) // 128
    return predict_pb2.PredictResponse(model=request.model, raw_output_contents=[struct.pack("<f", SCORES[row])])


async def test_requests_arrive_whole_and_their_answers_are_known():
    seen: list[predict_pb2.PredictRequest] = []

    async def answer(request, context):
        seen.append(request)
        return scored(request)

    async with served(answer) as address:
        result = await run(address, [0, 1, 2, -3] * 50, lambda generator: generator.once(streams=8))
    assert result.outcomes == {OK: 200}
    assert len(result.latencies_s) == 200
    assert {one.model for one in seen} == {"recommender"}
    assert all(len(one.raw_input_contents[1]) == 64 * 4 for one in seen)
    entities = [one.entity_id for one in seen]
    assert {known_entity(position) for position in range(3)} < set(entities)
    assert len(set(entities)) == 3 + 50


async def test_another_callers_answer_is_noticed():
    async def answer(request, context):
        return predict_pb2.PredictResponse(raw_output_contents=[struct.pack("<f", SCORES[1])])

    async with served(answer) as address:
        result = await run(address, [0, 1, 1], lambda generator: generator.once(streams=1))
    assert result.outcomes == {OK: 2, WRONG: 1}


@pytest.mark.parametrize("with_time", [True, False])
async def test_a_refusal_counts_as_one_only_with_the_time_to_come_again(with_time: bool):
    status = status_pb2.Status(code=code_pb2.RESOURCE_EXHAUSTED, message="full")
    if with_time:
        detail = any_pb2.Any()
        detail.Pack(error_details_pb2.RetryInfo())
        status.details.append(detail)

    async def answer(request, context):
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "full")

    async with served(answer) as address:
        result = await run(address, [0] * 5, lambda generator: generator.once(streams=1))
    assert result.outcomes == {REFUSED if with_time else "RESOURCE_EXHAUSTED": 5}


async def test_a_closed_loop_keeps_as_many_in_flight_as_it_was_told():
    most = now = 0

    async def answer(request, context):
        nonlocal most, now
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.005)
        now -= 1
        return scored(request)

    async with served(answer) as address:
        result = await run(address, [0, 1, 2], lambda generator: generator.closed(4, 0.3), endless=True)
    assert most == 8
    assert result.outcomes.keys() == {OK}
    assert not result.bad


async def test_an_open_loop_counts_from_when_a_request_was_due():
    turn = asyncio.Lock()

    async def answer(request, context):
        async with turn:  # 100 a second at most, of 200 that come
            await asyncio.sleep(0.01)
        return scored(request)

    async with served(answer) as address:
        times = arrivals(1, 200.0, 0.5, constant=True).tolist()
        result = await run(address, [0, 1, 2], lambda generator: generator.open(times), endless=True)
    assert result.outcomes == {OK: len(times)}
    assert result.in_time < len(times)
    assert max(result.latencies_s) > 0.3
