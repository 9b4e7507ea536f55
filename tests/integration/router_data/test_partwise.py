"""`PredictStream` on a real port: many rows, answered in parts."""

from __future__ import annotations

import asyncio
import struct
import time
from typing import Any

import grpc.aio
import numpy as np
import pytest
from headrace.router.v1 import predict_pb2
from headrace_router.data.transports.part_answers import MOST_PARTS, PART_ROWS
from headrace_servicekit import error_details
from headrace_servicekit.errors import Code
from headrace_servicekit.testing import eventually, patience

from tests.kit.batcher.fake_batcher import FakeBatcher, echoing, held, silent
from tests.kit.router.inference_plane import ONE, inference_plane

OTHERS = (("x-headrace-client", "c"), ("x-headrace-models", "other-*"))


@pytest.fixture
async def batcher():
    async with FakeBatcher.serving([ONE]) as batcher:
        yield batcher


@pytest.fixture
async def plane(batcher, tmp_path):
    async with inference_plane(batcher, tmp_path) as plane:
        yield plane


def request(rows: int) -> predict_pb2.PredictStreamRequest:
    values = np.zeros((rows, 4), np.float32)
    values[:, 0] = np.arange(rows)
    inputs: Any = [{"name": "x", "datatype": "FP32", "shape": [rows, 4]}]
    whole = predict_pb2.PredictRequest(model="digits", inputs=inputs, raw_input_contents=[values.tobytes()])
    return predict_pb2.PredictStreamRequest(request=whole)


async def test_more_rows_than_one_prediction_takes_are_answered_in_parts(plane):
    rows = 5 * PART_ROWS + 7
    answers = {}
    async for answer in plane.stub.PredictStream(request(rows), timeout=patience(20)):
        answers[answer.first_row] = np.frombuffer(answer.response.raw_output_contents[0], np.float32).tolist()
    assert sorted(answers) == list(range(0, rows, PART_ROWS))
    assert [value for first in sorted(answers) for value in answers[first]] == list(range(rows))


async def test_a_part_is_answered_while_others_are_not_there_and_no_more_than_some_are_under_way(plane, batcher):
    gate = asyncio.Event()

    async def first_at_once(batcher: FakeBatcher, request: Any) -> Any:
        if struct.unpack_from("<f", request.inputs[0])[0] != 0:
            await gate.wait()
        return await echoing(batcher, request)

    batcher.behave = first_at_once
    call = plane.stub.PredictStream(request(20 * PART_ROWS), timeout=patience(30))
    assert (await call.read()).first_row == 0
    await eventually(lambda: len(batcher.requests) == MOST_PARTS + 1)
    gate.set()
    assert len([await call.read() for _ in range(19)]) == 19


async def test_an_error_of_a_part_ends_the_stream_with_its_status(plane, batcher):
    call = plane.stub.PredictStream(request(1), metadata=OTHERS, timeout=5)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call.read()
    assert error_details.from_rpc_error(caught.value).reason == "MODEL_NOT_FOUND"
    spoilt = request(2 * PART_ROWS)
    spoilt.request.inputs[0].datatype = "FP64"
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await plane.stub.PredictStream(spoilt, timeout=5).read()
    assert error_details.from_rpc_error(caught.value).code is Code.INVALID_ARGUMENT


async def test_parts_are_begun_no_faster_than_the_requests_of_its_client_may_come(batcher, tmp_path):
    async with inference_plane(batcher, tmp_path, stream_requests_per_second=10) as plane:
        began = time.monotonic()
        answers = [one async for one in plane.stub.PredictStream(request(20 * PART_ROWS), timeout=patience(20))]
        assert time.monotonic() - began > 0.9
    assert len(answers) == 20


async def test_a_caller_that_leaves_has_every_part_withdrawn(plane, batcher):
    batcher.behave = silent
    call = plane.stub.PredictStream(request(3 * PART_ROWS))
    await eventually(lambda: len(batcher.requests) == 3)
    call.cancel()
    await eventually(lambda: sorted(batcher.cancelled) == sorted(one.id for one in batcher.requests))


async def test_each_part_is_a_prediction_that_is_counted(plane, batcher):
    batcher.behave = held(gate := asyncio.Event())
    gate.set()
    ids = [
        answer.response.prediction_id async for answer in plane.stub.PredictStream(request(2 * PART_ROWS), timeout=20)
    ]
    assert len(set(ids)) == 2
    labels = {"model": "digits", "version": "1", "variant": "1", "layer": "", "fallback_step": ""}
    name = "headrace_router_predictions_total"
    assert await eventually(lambda: plane.metric(name, **labels, served_from="online", code="OK")) == 2
