"""Triton from its wheel serves ONNX models through the backend that stands in for the native one."""

import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import psutil
import pytest
from headrace.tensor.v1 import tensor_pb2
from headrace_servicekit.testing import eventually
from tritonclient.grpc import service_pb2, service_pb2_grpc

from tests.kit.models import onnx_models
from tests.kit.models.onnx_models import TinyModel
from tests.kit.models.triton import Triton

# Modules that protoc generates at import have no attributes that a type checker could see.
ModelInferRequest: Any = vars(service_pb2)["ModelInferRequest"]
RepositoryModelLoadRequest: Any = vars(service_pb2)["RepositoryModelLoadRequest"]

NUMPY = {"FP32": np.float32, "INT64": np.int64}
DEADLINE_S = 30


@pytest.fixture
async def server(triton: Triton) -> AsyncIterator[service_pb2_grpc.GRPCInferenceServiceStub]:
    async with grpc.aio.insecure_channel(triton.address) as channel:
        yield service_pb2_grpc.GRPCInferenceServiceStub(channel)


def write_folder(repository: Path, name: str, model: TinyModel) -> None:
    """Write what the batcher writes: max_batch_size 0, so that rows are an ordinary dimension, free in length."""
    folder = repository / name / "1"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(model.content)
    (folder.parent / "config.pbtxt").write_text(
        f'name: "{name}"\nbackend: "onnxruntime"\nmax_batch_size: 0\n'
        f"input [{tensors(model.contract.inputs)}]\noutput [{tensors(model.contract.outputs)}]\n"
        "instance_group [{ count: 1 kind: KIND_CPU }]\n"
    )


def tensors(specs: Sequence[tensor_pb2.TensorSpec]) -> str:
    return ", ".join(
        f'{{ name: "{spec.name}" data_type: TYPE_{spec.datatype} dims: [{", ".join(map(str, (-1, *spec.shape)))}] }}'
        for spec in specs
    )


def infer_request(name: str, arrays: dict[str, np.ndarray]) -> Any:
    request = ModelInferRequest(model_name=name)
    for tensor, array in arrays.items():
        datatype = {np.dtype(kind): name for name, kind in NUMPY.items()}[array.dtype]
        request.inputs.add(name=tensor, datatype=datatype, shape=array.shape)
        request.raw_input_contents.append(array.tobytes())
    return request


async def load(server: service_pb2_grpc.GRPCInferenceServiceStub, name: str) -> None:
    await server.RepositoryModelLoad(RepositoryModelLoadRequest(model_name=name), timeout=DEADLINE_S)


async def test_a_loaded_model_answers_raw_bytes_with_every_output(
    triton: Triton, server: service_pb2_grpc.GRPCInferenceServiceStub
):
    model = onnx_models.two_inputs_two_outputs()
    write_folder(triton.repository, "two--v1", model)
    await load(server, "two--v1")
    rows = np.random.default_rng(1)
    arrays = {spec.name: rows.random((5, *spec.shape), dtype=np.float32) for spec in model.contract.inputs}

    answer = await server.ModelInfer(infer_request("two--v1", arrays), timeout=DEADLINE_S)

    expected = model.expected(arrays)
    assert {output.name for output in answer.outputs} == set(expected)
    for output, raw in zip(answer.outputs, answer.raw_output_contents, strict=True):
        array = np.frombuffer(raw, NUMPY[output.datatype]).reshape(output.shape)
        np.testing.assert_allclose(array, expected[output.name], rtol=1e-6)


async def test_integers_go_in_and_a_bad_row_is_an_error_that_leaves_the_model_serving(
    triton: Triton, server: service_pb2_grpc.GRPCInferenceServiceStub
):
    model = onnx_models.table(entries=8)
    write_folder(triton.repository, "table--v1", model)
    await load(server, "table--v1")
    (spec,) = model.contract.inputs

    outside = infer_request("table--v1", {spec.name: np.full((2, *spec.shape), 99, np.int64)})
    inside = infer_request("table--v1", {spec.name: np.zeros((2, *spec.shape), np.int64)})
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await server.ModelInfer(outside, timeout=DEADLINE_S)
    answer = await server.ModelInfer(inside, timeout=DEADLINE_S)

    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert answer.outputs[0].shape[0] == 2


async def test_a_file_that_is_no_model_is_refused_with_the_reason(
    triton: Triton, server: service_pb2_grpc.GRPCInferenceServiceStub
):
    model = onnx_models.linear()
    write_folder(triton.repository, "bad--v1", model)
    (triton.repository / "bad--v1" / "1" / "model.onnx").write_bytes(b"not a model")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await load(server, "bad--v1")
    assert "Protobuf parsing failed" in (refused.value.details() or "")


@pytest.mark.faults
async def test_a_killed_triton_takes_its_stubs_and_its_shared_memory_with_it(
    triton: Triton, server: service_pb2_grpc.GRPCInferenceServiceStub
):
    write_folder(triton.repository, "linear--v1", onnx_models.linear())
    await load(server, "linear--v1")
    stubs = psutil.Process(triton.process.pid).children(recursive=True)
    assert stubs
    triton.process.kill()
    triton.process.wait()
    await eventually(lambda: not any(stub.is_running() for stub in stubs), within=20)
    await eventually(
        lambda: (
            not [name for name in os.listdir("/dev/shm") if name.startswith(f"headrace_triton_{triton.process.pid}_")]
        ),
        within=20,
    )
