"""Predictions through the front door of the whole stack: what is answered, what is refused and how."""

from __future__ import annotations

import asyncio
import os
import struct
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import httpx
import numpy as np
import pytest
from google.protobuf import duration_pb2
from headrace.router.v1 import predict_pb2, predict_pb2_grpc
from headrace_client import AsyncClient
from headrace_servicekit.testing import eventually, patience

from tests.kit.clients.refusals import Refusal, grpc_refusal, rest_refusal
from tests.kit.front_door.edge import metadata
from tests.kit.models import onnx_models
from tests.kit.router.predict_requests import predict_request
from tests.kit.stack.running import RunningStack

# Workers share the stack, and each needs models of its own: one may not promote beneath another.
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "alone")
MODEL, PAIR, TABLE, SLOW = (f"predictions-{name}-{WORKER}" for name in ("one", "two", "table", "slow"))
CLASSIFIER = onnx_models.classifier(seed=3)
ROW = struct.pack("<4f", 0.1, -2.5, 1 / 3, 4)
EXPECTED_OUTAGE = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
GATES = {"accuracy": 0.95, "latency_p99_ms": 2.0}


async def put_into_production(stack: RunningStack, folder: Path, name: str, model: onnx_models.TinyModel) -> None:
    """Register a model file as v1 and wait until it serves."""
    path = folder / f"{name}.onnx"
    path.write_bytes(model.content)
    async with AsyncClient(stack.address, token=stack.token()) as client:
        await client.versions.register(name, "v1", path, contract=model.contract, metrics=GATES)
        promoted = await client.models.promote(name, "v1", reason="test")
        await client.routes.await_epoch(name, promoted.model.epoch, timeout=60)


@pytest.fixture(scope="module")
def models(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The models of this module, serving."""

    async def register() -> None:
        folder = tmp_path_factory.mktemp("models")
        await asyncio.gather(
            put_into_production(stack, folder, MODEL, CLASSIFIER),
            put_into_production(stack, folder, PAIR, onnx_models.two_inputs_two_outputs()),
            put_into_production(stack, folder, TABLE, onnx_models.table()),
            put_into_production(stack, folder, SLOW, onnx_models.slow(2000)),
        )

    asyncio.run(register())


class Caller:
    """A client of the front door by gRPC and by REST."""

    def __init__(self, stack: RunningStack, channel: grpc.aio.Channel, rest: httpx.AsyncClient) -> None:
        self._bearer = metadata(stack.token())
        self._stub: Any = predict_pb2_grpc.RouterServiceStub(channel)
        self.rest = rest

    def predict(
        self, request: predict_pb2.PredictRequest, *, timeout: float = 20.0, headers: dict[str, str] | None = None
    ) -> Any:
        """Begin a call."""
        return self._stub.Predict(request, timeout=timeout, metadata=(*self._bearer, *(headers or {}).items()))

    async def refused(self, request: predict_pb2.PredictRequest) -> Refusal:
        """Return what a request is refused with."""
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self.predict(request)
        return grpc_refusal(caught.value)


@pytest.fixture
async def caller(stack: RunningStack, models: None) -> AsyncIterator[Caller]:
    token = {"authorization": f"Bearer {stack.token()}"}
    async with (
        grpc.aio.insecure_channel(stack.address) as channel,
        httpx.AsyncClient(base_url=stack.url, headers=token, timeout=30) as rest,
    ):
        yield Caller(stack, channel, rest)


def request_of(*rows: bytes, model: str = MODEL, **fields: Any) -> predict_pb2.PredictRequest:
    """Return a request that accepts no kept answer."""
    fields = {"max_age": duration_pb2.Duration(), **fields}
    return predict_request(model, ("features", "FP32", [len(rows), 4], b"".join(rows)), **fields)


async def test_every_face_gives_the_same_numbers(caller: Caller):
    expected = CLASSIFIER.expected({"features": np.frombuffer(ROW, np.float32).reshape(1, 4)})
    answer = await caller.predict(request_of(ROW))
    label, probabilities = answer.raw_output_contents
    assert np.frombuffer(label, np.int64) == expected["label"]
    np.testing.assert_allclose(np.frombuffer(probabilities, np.float32), expected["probabilities"][0], rtol=1e-5)

    row = [float(str(value)) for value in np.frombuffer(ROW, np.float32)]
    natural = await caller.rest.post(f"/v1/models/{MODEL}:predict", json={"instances": [row]})
    (prediction,) = natural.json()["predictions"]
    assert prediction["label"] == int(expected["label"][0])
    assert np.array(prediction["probabilities"], np.float32).tobytes() == probabilities

    body = {"model_name": MODEL, "inputs": {"features": row}}
    specification = (await caller.rest.post("/v1/predict", json=body)).json()
    assert specification["prediction"] == [int(expected["label"][0])]
    assert specification["model_version"] == "v1"
    assert specification["served_from"] == "cache"  # the numbers that the other protocols were given


async def test_many_rows_are_answered_in_order(caller: Caller):
    rows = np.random.default_rng(5).normal(size=(100, 4)).astype(np.float32)
    answer = await caller.predict(request_of(*(row.tobytes() for row in rows)))
    expected = CLASSIFIER.expected({"features": rows})
    np.testing.assert_array_equal(np.frombuffer(answer.raw_output_contents[0], np.int64), expected["label"])


async def test_inputs_may_come_in_any_order_and_outputs_may_be_chosen(caller: Caller):
    one, two = np.arange(3, dtype=np.float32), np.arange(3, 6, dtype=np.float32)
    tensors = [("b", "FP32", [1, 3], two.tobytes()), ("a", "FP32", [1, 3], one.tobytes())]
    answer = await caller.predict(predict_request(PAIR, *tensors, outputs=["dot"]))
    assert [output.name for output in answer.outputs] == ["dot"]
    assert np.frombuffer(answer.raw_output_contents[0], np.float32) == one @ two


@pytest.mark.parametrize(
    ("tensors", "field"),
    [
        pytest.param([("features", "FP64", [1, 4], bytes(32))], "inputs[0].datatype", id="datatype"),
        pytest.param([("features", "FP32", [1, 5], bytes(20))], "inputs[0].shape", id="shape"),
        pytest.param([("features", "FP32", [1, 4], bytes(15))], "raw_input_contents[0]", id="length"),
        pytest.param([("feature", "FP32", [1, 4], ROW)], "inputs[0].name", id="name"),
        pytest.param([], "inputs", id="missing"),
        pytest.param([("features", "FP32", [0, 4], b"")], "inputs[0].shape", id="no rows"),
        pytest.param([("features", "FP32", [99999, 4], b"")], "inputs[0].shape", id="too many rows"),
        pytest.param([("features", "FP32", [1, 4], struct.pack("<4f", 1, 2, np.nan, 4))], "inputs[0]", id="NaN"),
    ],
)
async def test_what_the_contract_forbids_is_refused_by_field(caller: Caller, tensors: list, field: str):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await caller.predict(predict_request(MODEL, *tensors))
    refusal = grpc_refusal(caught.value)
    assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refusal.domain == "headrace.dev"
    assert refusal.reason
    details = dict(caught.value.trailing_metadata() or ())["grpc-status-details-bin"]
    assert field.encode() in details  # type: ignore[operator]


@pytest.mark.parametrize(
    ("request_", "code", "reason"),
    [
        pytest.param(request_of(ROW, model="nobody"), "NOT_FOUND", "MODEL_NOT_FOUND", id="model"),
        pytest.param(request_of(ROW, version="v9"), "NOT_FOUND", "VERSION_NOT_FOUND", id="version"),
        pytest.param(predict_pb2.PredictRequest(), "INVALID_ARGUMENT", "MODEL_MISSING", id="no model"),
    ],
)
async def test_what_does_not_exist_is_refused_with_its_reason(caller: Caller, request_: Any, code: str, reason: str):
    refusal = await caller.refused(request_)
    assert (refusal.code.name, refusal.reason) == (code, reason)


async def test_an_oversize_message_is_refused_and_the_connection_goes_on(caller: Caller):
    refusal = await caller.refused(request_of(bytes(40 * 1024 * 1024)))
    assert refusal.code in (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INVALID_ARGUMENT)
    assert (await caller.predict(request_of(ROW))).version == "v1"


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        pytest.param(f"/v1/models/{MODEL}:predict", b'{"instances": [[1,2,3,4]', "line 1 column", id="malformed"),
        pytest.param(f"/v1/models/{MODEL}:predict", b'{"instance": []}', "instance", id="unknown field"),
        pytest.param(f"/v1/models/{MODEL}:predict", b'{"instances": [[1,2,3,4],[1,2,3]]}', "instances[1]", id="ragged"),
        pytest.param(f"/v1/models/{MODEL}:predict", b'{"instances": [[1,2,3,1e39]]}', "instances[0]", id="overflow"),
        pytest.param(f"/v1/models/{MODEL}:predict", b'{"instances": [[1,2,3,"NaN"]]}', "NaN", id="NaN"),
        pytest.param("/v1/predict", b'{"model_name": "x", "input": {}}', "input", id="specification, unknown field"),
        pytest.param("/v1/predict", b'{"inputs": {"features": [1]}}', "model_name", id="specification, no model"),
    ],
)
async def test_bad_bodies_are_400_with_the_place_of_the_fault(caller: Caller, path: str, body: bytes, told: str):
    answer = await caller.rest.post(path, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400, answer.text
    refusal = rest_refusal(answer)
    assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT
    assert told in refusal.message
    assert refusal.domain == "headrace.dev"
    assert refusal.reason


async def test_one_poisonous_request_among_32_spoils_nobody_elses_answer(caller: Caller):
    indices = [3] * 31 + [1_000_000]
    calls = [
        caller.predict(predict_request(TABLE, ("index", "INT64", [1], struct.pack("<q", index)))) for index in indices
    ]
    outcomes: list[Any] = await asyncio.gather(*calls, return_exceptions=True)
    assert [np.frombuffer(answer.raw_output_contents[0], np.float32)[0] for answer in outcomes[:31]] == [30.0] * 31
    poison = outcomes[31]
    assert isinstance(poison, grpc.aio.AioRpcError)
    assert poison.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_nan_among_32_is_refused_alone(caller: Caller):
    rows = [ROW] * 31 + [struct.pack("<4f", 1, np.nan, 2, 3)]
    outcomes = await asyncio.gather(*(caller.predict(request_of(row)) for row in rows), return_exceptions=True)
    assert [getattr(answer, "version", None) for answer in outcomes] == ["v1"] * 31 + [None]


async def test_a_cancelled_caller_does_not_delay_its_batch_mates(caller: Caller):
    rows = [struct.pack("<4f", number, 0, 0, 1) for number in range(32)]
    calls = [asyncio.ensure_future(caller.predict(request_of(row))) for row in rows]
    await asyncio.sleep(0)
    for call in calls[::2]:
        call.cancel()
    answers = await asyncio.wait_for(asyncio.gather(*calls[1::2]), 10)
    expected = CLASSIFIER.expected({"features": np.frombuffer(b"".join(rows[1::2]), np.float32).reshape(-1, 4)})
    assert [np.frombuffer(answer.raw_output_contents[0], np.int64)[0] for answer in answers] == list(expected["label"])


async def test_a_deadline_that_cannot_be_met_is_told_in_time(caller: Caller):
    request = predict_request(SLOW, ("x", "FP32", [1, 4], ROW))
    started = time.monotonic()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await caller.predict(request, timeout=0.05)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert time.monotonic() - started < patience(0.5)
    answer = await caller.rest.post(
        f"/v1/models/{SLOW}:predict", json={"instances": [[1, 2, 3, 4]]}, headers={"grpc-timeout": "50m"}
    )
    assert answer.status_code == 504


async def test_one_request_id_goes_through_all_hops(caller: Caller):
    call = caller.predict(request_of(ROW), headers={"x-request-id": "e2e-one-id", "headrace-timing": "1"})
    assert (await call).request_id == "e2e-one-id"
    trailers = dict(await call.trailing_metadata())
    assert "compute;dur=" in str(trailers["server-timing"])


@pytest.mark.faults
async def test_the_data_plane_dies_and_serves_again(own_stack: RunningStack, tmp_path: Path):
    await put_into_production(own_stack, tmp_path, "phoenix", CLASSIFIER)
    own_stack.kill("router-control")
    own_stack.kill(own_stack.data_plane)
    async with grpc.aio.insecure_channel(own_stack.address) as channel:
        stub: Any = predict_pb2_grpc.RouterServiceStub(channel)
        bearer, wrong = metadata(own_stack.token()), []

        async def answered() -> bool:
            try:
                answer = await stub.Predict(request_of(ROW, model="phoenix"), timeout=5, metadata=bearer)
            except grpc.aio.AioRpcError as error:
                wrong.extend([error] if error.code() not in EXPECTED_OUTAGE else [])
                return False
            return answer.version == "v1"

        await eventually(answered, within=30, every=0.2)
    assert not wrong
