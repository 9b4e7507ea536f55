"""A batcher in front of a real MLServer, which loads its models itself and is run by somebody else."""

import asyncio
import signal
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from headrace.registry.v1 import registry_pb2
from headrace_forge.oip_servers import described, server_file
from headrace_servicekit.testing import eventually

from tests.kit.batcher.service import BatcherRig, put_blob
from tests.kit.batcher.stream_client import BatcherClient, outputs_of
from tests.kit.models import onnx_models
from tests.kit.models.mlserver import MLServer
from tests.kit.router.fake_control import resolved_version

ROW = np.arange(4, dtype=np.float32).reshape(1, 4)


@pytest.fixture
def rig(onnx_rig: BatcherRig, mlserver: MLServer) -> BatcherRig:
    """A batcher whose backend is the MLServer of this test."""
    return BatcherRig(
        {**onnx_rig.settings, "backend": "oip", "oip_target": mlserver.address}, onnx_rig.s3, onnx_rig.control
    )


@pytest.mark.long
async def test_versions_are_served_as_soon_as_the_server_has_them_and_said_to_be_missing_until_then(
    rig: BatcherRig, mlserver: MLServer
):
    model = onnx_models.linear()
    there, missing = await rig.version("there", model), await rig.version("missing", model)
    await mlserver.provide("there--v1", model.content)
    rig.want(there, missing)
    async with (
        rig.running() as runtime,
        BatcherClient.connected(runtime.servers[0].address) as client,
    ):
        await client.until_ready(there.digest)
        answers = await client.infer_all(there.digest, [[ROW], [2 * ROW], [3 * ROW]])
        for at, answer in enumerate(answers, 1):
            np.testing.assert_allclose(
                outputs_of(answer)["scores"], model.expected({"features": at * ROW})["scores"], rtol=1e-5
            )
        assert await rig.until_failed(missing.digest) == (
            "the server does not have it: nothing is ready as 'missing--v1'"
        )
        await mlserver.provide("missing--v1", model.content)
        await client.until_ready(missing.digest)
        # What is not wanted any more stays with the server, which is not ours.
        rig.want(missing)
        await eventually(lambda: there.digest not in client.versions, within=20)
        rig.want(there, missing)
        await client.until_ready(there.digest)


@pytest.mark.faults
async def test_a_server_that_hangs_and_dies_takes_its_executions_with_it_and_nobody_is_blamed(
    rig: BatcherRig, mlserver: MLServer
):
    version = await rig.version("same", model := onnx_models.identity())
    await mlserver.provide("same--v1", model.content)
    rig.want(version)
    async with (
        rig.running(liveness_probe_after_s=600) as runtime,
        BatcherClient.connected(runtime.servers[0].address) as client,
    ):
        await client.until_ready(version.digest)
        mlserver.send(signal.SIGSTOP)
        executing = asyncio.create_task(client.infer(version.digest, [ROW]))
        await eventually(lambda: version.digest not in client.versions, within=10)
        mlserver.stop(signal.SIGKILL)
        assert (await executing).reason == "BACKEND_CRASHED"
        await asyncio.to_thread(mlserver.start)
        await client.until_ready(version.digest)
        # The same values again: they are under no suspicion.
        np.testing.assert_array_equal(outputs_of(await client.infer(version.digest, [ROW]))["y"], ROW)


@pytest.mark.long
async def test_a_version_that_names_a_server_is_served_by_it_beside_those_that_are_loaded_here(
    onnx_rig: BatcherRig, mlserver: MLServer, tmp_path: Path
):
    model = onnx_models.linear()
    await mlserver.provide("theirs", model.content)
    told = await asyncio.to_thread(described, mlserver.address, "theirs")
    tensors = [(one.name, one.datatype, list(one.shape)) for one in (*told.contract.inputs, *told.contract.outputs)]
    assert tensors == [("features", "FP32", [4]), ("scores", "FP32", [3])]
    (path,) = server_file(mlserver.address, "theirs", "", tmp_path).files.values()
    content = path.read_bytes()
    await put_blob(onnx_rig.s3, blob := sha256(content).hexdigest(), content)
    file = registry_pb2.Artifact(name="server.json", type=registry_pb2.Artifact.TYPE_JSON, sha256=blob)
    theirs = resolved_version("served-there", "v1", artifacts=[file])
    theirs.contract.CopyFrom(told.contract)
    theirs.format = registry_pb2.FORMAT_OIP
    ours = await onnx_rig.version("ours", model)
    onnx_rig.want(theirs, ours)
    async with (
        onnx_rig.running() as runtime,
        BatcherClient.connected(runtime.servers[0].address) as client,
    ):
        for version in (theirs, ours):
            await client.until_ready(version.digest)
            np.testing.assert_allclose(
                outputs_of(await client.infer(version.digest, [ROW]))["scores"],
                model.expected({"features": ROW})["scores"],
                rtol=1e-5,
            )
        # It goes alone: what is loaded here keeps answering.
        await mlserver.withdraw("theirs")
        await eventually(lambda: theirs.digest not in client.versions, within=20)
        outputs_of(await client.infer(ours.digest, [ROW]))
