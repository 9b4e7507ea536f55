"""A version that answers in parts, from a real process of code through a batcher and a data plane to every API."""

from __future__ import annotations

import asyncio
import queue
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc.aio
import numpy as np
import pytest
import tritonclient.grpc as triton_sync
import tritonclient.grpc.aio as triton
from headrace.router.v1 import predict_pb2
from headrace_batcher.batching import part_execution
from headrace_servicekit import error_details
from headrace_servicekit.errors import Code, ServiceError
from headrace_servicekit.testing import eventually, patience
from tritonclient.utils import InferenceServerException

from tests.kit.batcher.service import batcher_rig
from tests.kit.models import counting_model
from tests.kit.models.counting_model import DIE, FAIL
from tests.kit.router.data_plane import DataPlane, data_plane
from tests.kit.router.fake_control import table
from tests.kit.stores.servers import S3Store
from tests.kit.wire.server_sent_events import events

MODEL = "counting"
PATH = f"/v1/models/{MODEL}:predictStream"
END: Any = getattr(grpc.aio, "EOF")  # noqa: B009 - missing in the type stubs


@asynccontextmanager
async def counting(
    s3: S3Store, folder: Path, triton_command: Path, *, instances: int = 2, **settings: Any
) -> AsyncIterator[DataPlane]:
    """Run a data plane over a batcher that has the version. settings: of the data plane."""
    async with batcher_rig(s3, folder, "onnxruntime", triton_command) as rig:
        version = await rig.python(MODEL, {"model.py": counting_model.CODE}, counting_model.contract())
        version.serving.instances = instances
        rig.want(version)
        rig.control.put_table(table(MODEL, [version], shares={"v1": 1.0}))
        async with (
            rig.running(allow_code=True) as runtime,
            data_plane(
                rig.control.target, {"default": [runtime.servers[0].address]}, folder / "plane", **settings
            ) as plane,
        ):
            channel = plane.runtime.servers[0].address
            async with triton.InferenceServerClient(channel) as client:
                await eventually(lambda: client.is_model_ready(MODEL), within=60)
            yield plane


@pytest.fixture
async def plane(s3: S3Store, tmp_path: Path, triton_command: Path) -> AsyncIterator[DataPlane]:
    async with counting(s3, tmp_path, triton_command) as plane:
        yield plane


def request(n: int, *, pause: float = 0.0, then: int = 0) -> predict_pb2.PredictRequest:
    made = predict_pb2.PredictRequest(model=MODEL)
    for name, datatype, value in (
        ("n", "INT32", struct.pack("<i", n)),
        ("pause", "FP32", struct.pack("<f", pause)),
        ("then", "INT32", struct.pack("<i", then)),
    ):
        made.inputs.add(name=name, datatype=datatype, shape=[1, 1])
        made.raw_input_contents.append(value)
    return made


def streamed(plane: DataPlane, n: int, *, timeout: float | None = None, **how: Any) -> Any:
    """Return a call of PredictStream."""
    asked = predict_pb2.PredictStreamRequest(request=request(n, **how))
    return plane.stub.PredictStream(asked, timeout=timeout or patience(20))


def number(answer: predict_pb2.PredictStreamResponse) -> int:
    return struct.unpack("<i", answer.response.raw_output_contents[0])[0]


async def until_failed(call: Any) -> tuple[list[int], ServiceError]:
    """Return the parts that came, and how the call failed."""
    got: list[int] = []
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await _read_all(call, got)
    return got, error_details.from_rpc_error(caught.value)


async def _read_all(call: Any, got: list[int]) -> None:
    while (answer := await call.read()) is not END:
        got.append(number(answer))


def row(n: int, *, pause: float = 0.0, then: int = 0) -> dict[str, Any]:
    return {"n": [n], "pause": [pause], "then": [then]}


async def told_by_events(plane: DataPlane, *rows: dict[str, Any]) -> list[tuple[str, Any]]:
    async with plane.rest.stream("POST", PATH, json={"instances": list(rows)}, timeout=patience(20)) as response:
        assert response.status_code == 200
        return [one async for one in events(response)]


async def told_by_triton(plane: DataPlane, *many: dict[str, Any], empty_final: bool = True) -> list[Any]:
    """Return what Triton's client gets: of each response its number, its id and whether it is final; or the error."""
    return await asyncio.to_thread(_told_by_triton, plane.runtime.servers[0].address, many, empty_final=empty_final)


def _told_by_triton(address: str, many: Sequence[dict[str, Any]], *, empty_final: bool) -> list[Any]:
    answers: queue.Queue[Any] = queue.Queue()
    with triton_sync.InferenceServerClient(address) as client:
        client.start_stream(lambda result, error: answers.put(error or result))
        for index, how in enumerate(many):
            asked, inputs = request(**how), []
            for tensor, content in zip(asked.inputs, asked.raw_input_contents, strict=True):
                given = triton_sync.InferInput(tensor.name, [1, 1], tensor.datatype)
                dtype = {"INT32": "<i4", "FP32": "<f4"}[tensor.datatype]
                given.set_data_from_numpy(np.frombuffer(content, dtype).reshape(1, 1))
                inputs.append(given)
            client.async_stream_infer(MODEL, inputs, request_id=f"r-{index}", enable_empty_final_response=empty_final)
        client.stop_stream()
    got: list[Any] = []
    while not answers.empty():
        answer = answers.get()
        if isinstance(answer, InferenceServerException):
            got.append(answer)
            continue
        response = answer.get_response()
        value = int(answer.as_numpy("i")[0, 0]) if response.outputs else None
        got.append((value, response.id, response.parameters["triton_final_response"].bool_param))
    return got


async def test_every_api_that_streams_gives_the_parts_in_their_order(plane):
    got = [one async for one in streamed(plane, 5)]
    assert [(number(one), one.part, one.first_row) for one in got] == [(at, at, 0) for at in range(5)]
    assert len({one.response.prediction_id for one in got}) == 1
    assert got[3].response.outputs[1].name == "text"

    *parts, end = await told_by_events(plane, row(3))
    assert [(one["part"], one["predictions"][0]["i"], one["predictions"][0]["text"]) for _, one in parts] == [
        (at, [at], [str(at)]) for at in range(3)
    ]
    assert end == ("end", {"parts": 3})

    assert await told_by_triton(plane, {"n": 2}) == [(0, "r-0", False), (1, "r-0", False), (None, "r-0", True)]
    assert await told_by_triton(plane, {"n": 2}, empty_final=False) == [(0, "r-0", False), (1, "r-0", False)]
    several = await told_by_triton(plane, {"n": 20}, {"n": 3}, {"n": 0})
    for index, n in enumerate((20, 3, 0)):
        own = [value for value, id_, _ in several if id_ == f"r-{index}"]
        assert own == [*range(n), None], "the order of a request's own parts"
    assert [one async for one in streamed(plane, 0)] == []

    name, labels = "headrace_router_parts_total", {"model": MODEL, "version": "v1"}
    assert await plane.metric(name, **labels) == 5 + 3 + 2 + 2 + 23
    assert await plane.metric("headrace_router_part_bytes_total", **labels) > 0
    assert await plane.metric("headrace_router_answers_in_parts_total", **labels, code="OK") == 8


async def test_whoever_takes_one_answer_is_told_which_apis_give_several(plane):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await plane.stub.Predict(request(1), timeout=patience(5))
    details = error_details.from_rpc_error(caught.value)
    assert (details.code, details.reason) == (Code.FAILED_PRECONDITION, "ANSWERS_IN_PARTS")
    assert "PredictStream" in details.public_message
    refused = await plane.rest.post(f"/v1/models/{MODEL}:predict", json={"instances": [row(1)]})
    assert refused.status_code == 400
    assert refused.json()["details"][0]["reason"] == "ANSWERS_IN_PARTS"
    async with triton.InferenceServerClient(plane.runtime.servers[0].address) as client:
        given = triton.InferInput("n", [1, 1], "INT32")
        given.set_data_from_numpy(np.ones((1, 1), np.int32))
        with pytest.raises(InferenceServerException, match="answers this request in parts"):
            await client.infer(MODEL, [given])
        config: Any = await client.get_model_config(MODEL, as_json=True)
    assert config["config"]["model_transaction_policy"] == {"decoupled": True}


async def test_an_error_in_the_middle_comes_after_the_parts_before_it(plane):
    got, details = await until_failed(streamed(plane, 3, then=FAIL))
    assert got == [0, 1, 2]
    assert details.reason in ("MODEL_REJECTED_INPUT", "MODEL_FAILING")
    *parts, error = await told_by_events(plane, row(2, then=FAIL))
    assert [one["part"] for _, one in parts] == [0, 1]
    assert error[0] == "error"
    assert error[1]["details"][0]["reason"] == details.reason
    *before, failure = await told_by_triton(plane, {"n": 2, "then": FAIL})
    assert [value for value, *_ in before] == [0, 1]
    assert isinstance(failure, InferenceServerException)
    assert [number(one) async for one in streamed(plane, 1)] == [0]


async def test_a_process_that_dies_in_the_middle_ends_its_answer_and_the_next_one_is_whole(plane):
    got, details = await until_failed(streamed(plane, 3, then=DIE))
    assert got == [0, 1, 2]
    assert (details.code, details.reason) == (Code.UNAVAILABLE, "BACKEND_CRASHED")

    async def answers() -> bool:
        try:
            return [number(one) async for one in streamed(plane, 2)] == [0, 1]
        except grpc.aio.AioRpcError:
            return False

    await eventually(answers, within=30)


@pytest.mark.long
async def test_parts_come_until_the_deadline(plane):
    got, details = await until_failed(streamed(plane, 1000, pause=0.1, timeout=1.5))
    assert 1 <= len(got) < 30
    assert details.code is Code.DEADLINE_EXCEEDED
    assert [number(one) async for one in streamed(plane, 1)] == [0]


async def test_callers_that_leave_withdraw_what_the_code_does_for_them(plane):
    calls = [streamed(plane, 100_000_000) for _ in range(2)]  # as many as there are processes
    for call in calls:
        await call.read()
        call.cancel()
    async with asyncio.timeout(patience(10)):
        assert [number(one) async for one in streamed(plane, 1)] == [0]
    active = "headrace_router_answers_in_parts_active"
    await eventually(lambda: plane.runtime.metrics.get_sample_value(active, {"model": MODEL}) is None)
    ended = await plane.metric("headrace_router_answers_in_parts_total", model=MODEL, version="v1", code="CANCELLED")
    assert ended == 2


@pytest.mark.long
async def test_whoever_reads_slowly_slows_the_code_and_whoever_reads_nothing_is_ended(plane, monkeypatch):
    monkeypatch.setattr(part_execution, "TAKE_WITHIN_S", 1.0)
    call = streamed(plane, 2_000_000, then=64, timeout=patience(60))
    assert number(await call.read()) == 0

    async def sent() -> float:
        return await plane.metric("headrace_router_parts_total", model=MODEL, version="v1")

    async def stands_still() -> bool:
        before = await sent()
        await asyncio.sleep(1.5)
        return await sent() == before

    await eventually(stands_still, within=30)
    assert await sent() < 1000, "64 MiB on the way to somebody who does not read"
    got, details = await until_failed(call)
    assert (details.code, details.reason) == (Code.RESOURCE_EXHAUSTED, "READER_TOO_SLOW")
    assert got == list(range(1, len(got) + 1))


async def test_a_client_has_no_more_answers_in_parts_at_a_time_than_it_may(s3, tmp_path, triton_command):
    async with counting(s3, tmp_path, triton_command, max_part_answers_per_client=1) as plane:
        first = streamed(plane, 1000, pause=0.05)
        await first.read()
        got, details = await until_failed(streamed(plane, 1))
        assert (got, details.code, details.reason) == ([], Code.RESOURCE_EXHAUSTED, "TOO_MANY_ANSWERS")
        first.cancel()

        async def answers() -> bool:
            try:
                return [number(one) async for one in streamed(plane, 1)] == [0]
            except grpc.aio.AioRpcError:
                return False

        await eventually(answers)
