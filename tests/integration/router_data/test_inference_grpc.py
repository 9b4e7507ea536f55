"""`inference.GRPCInferenceService` on a real port, asked by Triton's own client."""

from __future__ import annotations

import struct
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc.aio as triton
from headrace_servicekit.testing import eventually
from tritonclient.grpc import service_pb2_grpc
from tritonclient.utils import InferenceServerException

from tests.kit.batcher.fake_batcher import FakeBatcher, silent
from tests.kit.router.inference_plane import ONE, inference_plane
from tests.kit.router.inference_requests import infer_request, parameters_of, pb2, typed_request

ROW = np.array([[1, 2, 3, 4]], np.float32)
RAW = infer_request("digits", ("x", "FP32", [1, 4], ROW.tobytes()))
OTHERS = (("x-headrace-client", "c"), ("x-headrace-models", "other-*"))


@pytest.fixture
async def batcher():
    async with FakeBatcher.serving([ONE]) as batcher:
        yield batcher


@pytest.fixture
async def address(batcher, tmp_path):
    async with inference_plane(batcher, tmp_path) as plane:
        yield plane.runtime.servers[0].address


@pytest.fixture
async def client(address):
    async with triton.InferenceServerClient(address) as client:
        yield client


@pytest.fixture
async def stub(address):
    async with grpc.aio.insecure_channel(address) as channel:
        yield service_pb2_grpc.GRPCInferenceServiceStub(channel)


def rows(values: np.ndarray = ROW) -> list[Any]:
    given = triton.InferInput("x", values.shape, "FP32")
    given.set_data_from_numpy(values)
    return [given]


async def refusal(call: Any) -> tuple[str, str]:
    with pytest.raises(InferenceServerException) as caught:
        await call
    return str(caught.value.status()), caught.value.message()


async def test_an_answer_says_what_computed_it_and_from_where_it_came(client):
    result = await client.infer("digits", rows(), request_id="r-1")
    np.testing.assert_array_equal(result.as_numpy("y"), [[1.0]])
    response = result.get_response()
    assert (response.model_name, response.model_version, response.id) == ("digits", "1", "r-1")
    parameters = parameters_of(response)
    assert len(parameters.pop("headrace_prediction_id")) == 36
    assert parameters == {
        "headrace_served_from": "online", "headrace_variant": "1", "headrace_generation": 1, "headrace_age_ms": 0,
    }  # fmt: skip


async def test_typed_contents_and_raw_bytes_give_the_same_answer(stub):
    typed = typed_request("digits", "x", "FP32", [1, 4], fp32_contents=[1, 2, 3, 4])
    answers = [await stub.ModelInfer(request, timeout=5) for request in (typed, RAW)]
    assert answers[0].raw_output_contents == answers[1].raw_output_contents == [struct.pack("<f", 1)]
    assert list(answers[0].outputs) == list(answers[1].outputs)


async def test_a_version_is_pinned_by_name_when_the_route_names_it(client):
    result = await client.infer("digits", rows(), model_version="1")
    assert "headrace_variant" not in result.get_response().parameters
    code, told = await refusal(client.infer("digits", rows(), model_version="3"))
    assert code == "StatusCode.NOT_FOUND"
    assert "'3'" in told


async def test_the_timeout_of_the_request_ends_it(client, batcher):
    batcher.behave = silent
    code, _ = await refusal(client.infer("digits", rows(), timeout=50_000))
    assert code == "StatusCode.DEADLINE_EXCEEDED"


async def test_users_and_entities_come_from_parameters_or_headers(client, batcher):
    for how in (
        {"parameters": {"headrace_user_id": "ada"}},
        {"headers": {"x-headrace-user-id": "ada", "x-headrace-entity-id": "e-1", "x-headrace-max-age-ms": "100"}},
    ):
        result = await client.infer("digits", rows(), **how)
        assert result.get_response().model_version == "1"
    code, told = await refusal(client.infer("digits", rows(), headers={"x-headrace-max-age-ms": "-1"}))
    assert code == "StatusCode.INVALID_ARGUMENT"
    assert "x-headrace-max-age-ms" in told


async def test_sequences_are_refused_with_a_reason(client):
    code, told = await refusal(client.infer("digits", rows(), sequence_id=7, sequence_start=True))
    assert code == "StatusCode.INVALID_ARGUMENT"
    assert "sequence" in told


async def test_the_server_and_its_models_are_described(client):
    assert await client.is_server_live()
    assert await client.is_server_ready()
    metadata = await client.get_server_metadata(as_json=True)
    assert metadata["name"] == "headrace"
    assert metadata["extensions"] == ["binary_tensor_data", "model_configuration", "schedule_policy", "statistics"]
    model = await client.get_model_metadata("digits", as_json=True)
    assert model["versions"] == ["1", "2"]
    assert model["inputs"] == [{"name": "x", "datatype": "FP32", "shape": ["-1", "4"]}]
    config = (await client.get_model_config("digits", "1", as_json=True))["config"]
    assert config["max_batch_size"] == 1024
    assert config["input"] == [{"name": "x", "data_type": "TYPE_FP32", "dims": ["4"]}]


async def test_a_model_is_ready_when_batchers_have_what_its_weights_lead_to(client, batcher):
    assert await client.is_model_ready("digits")
    assert await client.is_model_ready("digits", "1")
    assert not await client.is_model_ready("digits", "2")
    assert not await client.is_model_ready("idle")
    assert not await client.is_model_ready("unknown")
    batcher.announce(ONE, ready=False)
    await eventually(lambda: _not_ready(client))


async def _not_ready(client: Any) -> bool:
    return not await client.is_model_ready("digits")


async def test_the_index_lists_what_the_caller_may_know_of(client):
    index = await client.get_model_repository_index(as_json=True)
    states = {(one["name"], one.get("version", "")): one["state"] for one in index["models"]}
    assert states == {("digits", "1"): "READY", ("digits", "2"): "UNAVAILABLE", ("idle", ""): "UNAVAILABLE"}
    assert await client.get_model_repository_index(headers=dict(OTHERS), as_json=True) == {}


async def test_statistics_count_requests_rows_and_executions(client):
    await client.infer("digits", rows(np.repeat(ROW, 3, axis=0)))
    with pytest.raises(InferenceServerException):
        await client.infer("digits", rows(np.ones((1, 3), np.float32)))
    (one, two) = (await client.get_inference_statistics("digits", as_json=True))["model_stats"]
    assert (one["version"], one["inference_count"], one["execution_count"]) == ("1", "3", "1")
    stats = one["inference_stats"]
    assert (stats["success"]["count"], stats["fail"]["count"]) == ("1", "1")
    assert (stats["queue"]["ns"], stats["compute_infer"]["ns"]) == ("100000", "200000")
    assert (two["version"], two.get("inference_count", "0")) == ("2", "0")
    everything = await client.get_inference_statistics(as_json=True)
    assert [model["name"] for model in everything["model_stats"]] == ["digits", "digits"]


@pytest.mark.parametrize("ask", ["get_model_metadata", "get_model_config", "get_inference_statistics"])
async def test_a_model_of_others_is_not_found(client, ask):
    code, told = await refusal(getattr(client, ask)("digits", headers=dict(OTHERS)))
    assert (code, told) == ("StatusCode.NOT_FOUND", "model 'digits' not found")
    assert (await refusal(client.infer("digits", rows(), headers=dict(OTHERS))))[0] == "StatusCode.NOT_FOUND"
    assert not await client.is_model_ready("digits", headers=dict(OTHERS))


@pytest.mark.parametrize(
    ("method", "instead"),
    [
        ("RepositoryModelLoad", "headrace models promote"),
        ("RepositoryModelUnload", "headrace models promote"),
        ("SystemSharedMemoryStatus", "raw_input_contents"),
        ("CudaSharedMemoryRegister", "raw_input_contents"),
        ("TraceSetting", "traceparent"),
        ("LogSettings", "LOG_LEVEL"),
    ],
)
async def test_what_is_not_served_says_what_to_use_instead(stub, method, instead):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await getattr(stub, method)(getattr(pb2, f"{method}Request")(), timeout=5)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert instead in (caught.value.details() or "")
