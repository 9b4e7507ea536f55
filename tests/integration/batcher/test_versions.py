"""Versions come and go: what fails says why, what was loaded survives the backend and the control plane."""

import os
import signal
from hashlib import sha256

import httpx
import numpy as np
import pytest
from headrace.router.v1 import control_pb2
from headrace.tensor.v1 import tensor_pb2
from headrace_servicekit.errors import Code
from headrace_servicekit.testing import eventually

from tests.kit.batcher.service import BatcherRig, put_blob
from tests.kit.batcher.shared import SharedBatcher
from tests.kit.batcher.stream_client import BatcherClient, outputs_of
from tests.kit.models import onnx_models
from tests.kit.models.bytes_tensors import encoded_texts
from tests.kit.models.triton_processes import triton_pids

READY = control_pb2.VersionReport.STATE_READY
together = pytest.mark.asyncio(loop_scope="module")


@together
async def test_a_wanted_version_is_loaded_announced_reported_and_answers(on_each: SharedBatcher):
    model = onnx_models.linear(4, 3)
    async with on_each.serving("wanted", model) as (client, version):
        features = np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32)
        answer = await client.infer(version.digest, [features])
        np.testing.assert_allclose(
            outputs_of(answer)["scores"], model.expected({"features": features})["scores"], rtol=1e-5
        )
        assert (answer.batch_rows, answer.batch_requests) == (3, 1)
        await eventually(lambda: on_each.rig.control.state_of(client.process, version.digest) == READY)


@together
async def test_prometheus_sees_what_each_version_did(on_onnxruntime: SharedBatcher):
    async with on_onnxruntime.serving("counted", onnx_models.linear()) as (client, version):
        await client.infer(version.digest, [np.ones((1, 4), dtype=np.float32)])
        async with httpx.AsyncClient() as http:
            metrics = (await http.get(f"http://127.0.0.1:{on_onnxruntime.runtime.metrics_port}/metrics")).text
    for what in ("batcher_requests_answered_total", "batcher_batch_rows_count"):
        assert f'{what}{{model="counted",version="v1"}} 1.0' in metrics


@together
async def test_a_blob_whose_bytes_are_not_its_digest_never_answers_and_is_tried_again(on_onnxruntime: SharedBatcher):
    rig, model = on_onnxruntime.rig, onnx_models.linear(seed=7)
    version, fine = await rig.version("damaged", model), await rig.version("fine", onnx_models.identity())
    await put_blob(rig.s3, version.artifacts[0].sha256, b"something else")
    async with on_onnxruntime.wanting(version, fine) as client:
        reason = await rig.until_failed(version.digest)
        assert version.artifacts[0].sha256 in reason
        assert "damaged" in reason
        await client.until_ready(fine.digest)
        assert version.digest not in client.versions
        await put_blob(rig.s3, version.artifacts[0].sha256, model.content)
        await client.until_ready(version.digest)


@together
async def test_a_file_that_is_no_model_fails_with_its_reason(on_each: SharedBatcher):
    rig, content = on_each.rig, b"not an ONNX model"
    version = await rig.version("broken", onnx_models.linear())
    version.artifacts[0].sha256 = sha256(content).hexdigest()
    await put_blob(rig.s3, version.artifacts[0].sha256, content)
    async with on_each.wanting(version):
        reason = await rig.until_failed(version.digest)
        assert "protobuf" in reason.lower()
        assert str(rig.settings["state_dir"]) not in reason


@together
@pytest.mark.parametrize(
    ("declared", "reason"),
    [
        pytest.param(tensor_pb2.TensorSpec(name="other", datatype="FP32", shape=[3]), "output 'other'", id="name"),
        pytest.param(tensor_pb2.TensorSpec(name="scores", datatype="FP32", shape=[7]), "output 'scores'", id="shape"),
    ],
)
async def test_a_version_that_does_not_answer_what_it_declares_fails(on_onnxruntime: SharedBatcher, declared, reason):
    version = await on_onnxruntime.rig.version(f"undeclared-{declared.name}", onnx_models.linear(4, 3))
    del version.contract.outputs[:]
    version.contract.outputs.append(declared)
    async with on_onnxruntime.wanting(version):
        assert reason in await on_onnxruntime.rig.until_failed(version.digest)


@together
async def test_triton_too_refuses_a_version_that_does_not_answer_what_it_declares(on_triton: SharedBatcher):
    version = await on_triton.rig.version("undeclared", onnx_models.linear(4, 3))
    version.contract.outputs[0].shape[:] = [7]
    async with on_triton.wanting(version):
        assert "'scores'" in await on_triton.rig.until_failed(version.digest)


@together
async def test_a_version_without_a_model_says_so(on_onnxruntime: SharedBatcher):
    version = await on_onnxruntime.rig.version("empty", onnx_models.linear())
    version.artifacts[0].name = "labels.json"
    async with on_onnxruntime.wanting(version):
        reason = await on_onnxruntime.rig.until_failed(version.digest)
        assert "0 files of a model of format onnx" in reason


@together
async def test_an_unwanted_version_is_announced_gone_then_unloaded(on_each: SharedBatcher):
    old = await on_each.rig.version("replaced", onnx_models.linear(seed=1))
    new = await on_each.rig.version("replaced", onnx_models.linear(seed=2), "v2")
    async with on_each.wanting(old) as client:
        await client.until_ready(old.digest)
        handle = client.versions[old.digest]
        on_each.want_no_more(old)
        async with on_each.wanting(new):
            await client.until_ready(new.digest)
            await eventually(lambda: old.digest not in client.versions, within=5)
            row = np.ones((1, 4), dtype=np.float32)
            request, answer = client.request(new.digest, [row])
            request.version = handle

            async def unknown() -> bool:
                again, refused = client.request(old.digest, [row])
                again.version = handle
                await client.send([again])
                return (await refused).reason == "NOT_LOADED"

            await client.send([request])
            assert (await answer).code in (0, Code.UNAVAILABLE)
            await eventually(unknown, within=10)
            assert outputs_of(await client.infer(new.digest, [row]))


@pytest.mark.long
@together
async def test_loading_a_version_does_not_stop_another_from_answering(on_each: SharedBatcher):
    loading = await on_each.rig.version("slow", onnx_models.slow(1000))
    async with on_each.serving("fast", onnx_models.identity()) as (client, serving), on_each.wanting(loading):
        answered = 0
        while loading.digest not in client.versions:
            row = np.full((1, 4), answered, dtype=np.float32)
            np.testing.assert_array_equal(outputs_of(await client.infer(serving.digest, [row]))["y"], row)
            answered += 1
        assert answered > 20


@pytest.mark.long
async def test_the_last_demand_is_served_without_a_control_plane(onnx_rig: BatcherRig):
    version = await onnx_rig.version("linear", onnx_models.linear())
    onnx_rig.want(version)
    async with onnx_rig.running() as runtime, BatcherClient.connected(runtime.servers[0].address) as client:
        await client.until_ready(version.digest)
        await eventually((onnx_rig.settings["state_dir"] / "demand.pb").exists, within=5)
    async with (
        onnx_rig.running(control_target="127.0.0.1:1", s3_endpoint="http://127.0.0.1:1") as runtime,
        BatcherClient.connected(runtime.servers[0].address) as client,
    ):
        await client.until_ready(version.digest)
        assert runtime.health.ready
        assert not runtime.health.components()["control"][0]
        answer = await client.infer(version.digest, [np.ones((1, 4), dtype=np.float32)])
        assert outputs_of(answer)["scores"].shape == (1, 3)


@pytest.mark.faults
async def test_a_killed_triton_comes_back_with_everything_that_is_wanted(triton_rig: BatcherRig):
    versions = [
        await triton_rig.version("linear", onnx_models.linear()),
        await triton_rig.version("texts", onnx_models.identity(2, element=8)),
    ]
    triton_rig.want(*versions)
    async with triton_rig.running() as runtime, BatcherClient.connected(runtime.servers[0].address) as client:
        await client.until_ready(*(version.digest for version in versions))
        before = triton_pids(triton_rig.models)
        (triton,) = triton_pids(triton_rig.models, b"/tritonserver")
        os.kill(triton, signal.SIGKILL)
        await eventually(lambda: not client.versions, within=5)
        refused = client.request(versions[0].digest, [np.ones((1, 4), dtype=np.float32)])
        refused[0].version = 1
        await client.send([refused[0]])
        answer = await refused[1]
        assert (answer.code, answer.reason) == (Code.UNAVAILABLE, "NO_BACKEND")
        assert answer.retry_after_us > 0
        await client.until_ready(*(version.digest for version in versions))
        texts = encoded_texts([b"a", "ü".encode()])
        assert outputs_of(await client.infer(versions[1].digest, [texts]))["y"].tolist() == [[b"a", "ü".encode()]]
        assert not set(before) & set(triton_pids(triton_rig.models))
    await eventually(lambda: not triton_pids(triton_rig.models), within=5)
