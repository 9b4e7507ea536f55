"""Versions come and go: what fails says why, what was loaded survives the backend and the control plane."""

import os
import signal
from hashlib import sha256

import numpy as np
import pytest
from headrace.tensor.v1 import tensor_pb2
from headrace_servicekit.errors import Code
from headrace_servicekit.testing import eventually

from tests.kit.batcher.service import BatcherRig, put_blob
from tests.kit.batcher.stream_client import BatcherClient, outputs_of
from tests.kit.models import onnx_models
from tests.kit.models.bytes_tensors import encoded_texts
from tests.kit.models.triton_processes import STUB, triton_pids


async def until_loaded(client: BatcherClient, digest: str) -> None:
    await client.until_ready(digest)


async def test_a_blob_whose_bytes_are_not_its_digest_never_answers(rig: BatcherRig):
    version = await rig.version("linear", onnx_models.linear())
    fine = await rig.version("fine", onnx_models.identity())
    await put_blob(rig.s3, version.artifacts[0].sha256, b"something else")
    rig.want(version, fine)
    async with rig.running() as runtime, BatcherClient.connected(runtime.servers[0].address) as client:
        reason = await rig.until_failed(version.digest)
        assert version.artifacts[0].sha256 in reason
        assert "damaged" in reason
        await until_loaded(client, fine.digest)
        assert version.digest not in client.versions


async def test_a_version_that_failed_is_tried_again(onnx_rig: BatcherRig):
    model = onnx_models.linear()
    version = await onnx_rig.version("linear", model)
    await put_blob(onnx_rig.s3, version.artifacts[0].sha256, b"something else")
    onnx_rig.want(version)
    async with onnx_rig.running() as runtime, BatcherClient.connected(runtime.servers[0].address) as client:
        await onnx_rig.until_failed(version.digest)
        await put_blob(onnx_rig.s3, version.artifacts[0].sha256, model.content)
        await until_loaded(client, version.digest)


async def test_a_file_that_is_no_model_fails_with_its_reason(rig: BatcherRig):
    content = b"not an ONNX model"
    version = await rig.version("broken", onnx_models.linear())
    version.artifacts[0].sha256 = sha256(content).hexdigest()
    await put_blob(rig.s3, version.artifacts[0].sha256, content)
    rig.want(version)
    async with rig.running():
        reason = await rig.until_failed(version.digest)
        assert "protobuf" in reason.lower()
        assert str(rig.settings["state_dir"]) not in reason


@pytest.mark.parametrize(
    ("declared", "reason"),
    [
        pytest.param(tensor_pb2.TensorSpec(name="other", datatype="FP32", shape=[3]), "output 'other'", id="name"),
        pytest.param(tensor_pb2.TensorSpec(name="scores", datatype="FP32", shape=[7]), "output 'scores'", id="shape"),
    ],
)
async def test_a_version_that_does_not_answer_what_it_declares_fails(onnx_rig: BatcherRig, declared, reason):
    version = await onnx_rig.version("linear", onnx_models.linear(4, 3))
    del version.contract.outputs[:]
    version.contract.outputs.append(declared)
    onnx_rig.want(version)
    async with onnx_rig.running():
        assert reason in await onnx_rig.until_failed(version.digest)


async def test_triton_too_refuses_a_version_that_does_not_answer_what_it_declares(triton_rig: BatcherRig):
    version = await triton_rig.version("linear", onnx_models.linear(4, 3))
    version.contract.outputs[0].shape[:] = [7]
    triton_rig.want(version)
    async with triton_rig.running():
        assert "'scores'" in await triton_rig.until_failed(version.digest)


async def test_a_warm_up_that_takes_too_long_does_not_go_on_in_triton(triton_rig: BatcherRig):
    version = await triton_rig.version("endless", onnx_models.slow(500_000), max_batch_rows=1)
    triton_rig.want(version)
    async with triton_rig.running(execution_timeout_s=0.5):
        await triton_rig.until_failed(version.digest)
        stubs = triton_rig.models / "endless--v1"
        await eventually(lambda: not triton_pids(stubs, STUB), within=5)


async def test_a_version_without_a_model_says_so(onnx_rig: BatcherRig):
    version = await onnx_rig.version("linear", onnx_models.linear())
    version.artifacts[0].name = "labels.json"
    onnx_rig.want(version)
    async with onnx_rig.running():
        assert "0 files of a model of format onnx" in await onnx_rig.until_failed(version.digest)


async def test_an_unwanted_version_is_announced_gone_then_unloaded(rig: BatcherRig):
    old = await rig.version("linear", onnx_models.linear(seed=1))
    new = await rig.version("linear", onnx_models.linear(seed=2), "v2")
    rig.want(old)
    async with rig.running() as runtime, BatcherClient.connected(runtime.servers[0].address) as client:
        await until_loaded(client, old.digest)
        handle = client.versions[old.digest]
        rig.want(new)
        await until_loaded(client, new.digest)
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


async def test_loading_a_version_does_not_stop_another_from_answering(rig: BatcherRig):
    serving = await rig.version("fast", onnx_models.identity())
    loading = await rig.version("slow", onnx_models.slow(1000))
    rig.want(serving)
    async with rig.running() as runtime, BatcherClient.connected(runtime.servers[0].address) as client:
        await until_loaded(client, serving.digest)
        rig.want(serving, loading)
        answered = 0
        while loading.digest not in client.versions:
            row = np.full((1, 4), answered, dtype=np.float32)
            np.testing.assert_array_equal(outputs_of(await client.infer(serving.digest, [row]))["y"], row)
            answered += 1
        assert answered > 20


async def test_the_last_demand_is_served_without_a_control_plane(rig: BatcherRig):
    version = await rig.version("linear", onnx_models.linear())
    rig.want(version)
    async with rig.running() as runtime, BatcherClient.connected(runtime.servers[0].address) as client:
        await until_loaded(client, version.digest)
        await eventually((rig.settings["state_dir"] / "demand.pb").exists, within=5)
    async with (
        rig.running(control_target="127.0.0.1:1") as runtime,
        BatcherClient.connected(runtime.servers[0].address) as client,
    ):
        await until_loaded(client, version.digest)
        assert runtime.health.ready
        assert not runtime.health.components()["control"][0]
        answer = await client.infer(version.digest, [np.ones((1, 4), dtype=np.float32)])
        assert outputs_of(answer)["scores"].shape == (1, 3)


async def test_a_cached_file_is_not_fetched_again_unless_it_is_damaged(onnx_rig: BatcherRig):
    version = await onnx_rig.version("linear", onnx_models.linear())
    onnx_rig.want(version)
    async with onnx_rig.running() as runtime, BatcherClient.connected(runtime.servers[0].address) as client:
        await until_loaded(client, version.digest)
    cached = onnx_rig.settings["state_dir"] / "blobs" / version.artifacts[0].sha256
    async with (
        onnx_rig.running(s3_endpoint="http://127.0.0.1:1") as runtime,
        BatcherClient.connected(runtime.servers[0].address) as client,
    ):
        await until_loaded(client, version.digest)
    cached.write_bytes(b"rot")
    async with onnx_rig.running() as runtime, BatcherClient.connected(runtime.servers[0].address) as client:
        await until_loaded(client, version.digest)
    assert sha256(cached.read_bytes()).hexdigest() == cached.name


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
