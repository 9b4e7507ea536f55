"""A batcher answers frames with what its models compute, on either backend."""

import numpy as np
from headrace.router.v1 import control_pb2
from headrace_servicekit.testing import eventually

from tests.kit.batcher.service import BatcherRig
from tests.kit.batcher.stream_client import BatcherClient, outputs_of
from tests.kit.models import onnx_models

READY = control_pb2.VersionReport.STATE_READY


async def test_a_wanted_version_is_loaded_announced_reported_and_answers(rig: BatcherRig):
    model = onnx_models.linear(4, 3)
    version = await rig.version("linear", model)
    rig.want(version)
    async with rig.running() as runtime, BatcherClient.connected(runtime.servers[0].address) as client:
        await client.until_ready(version.digest)
        features = np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32)
        answer = await client.infer(version.digest, [features])
        np.testing.assert_allclose(
            outputs_of(answer)["scores"], model.expected({"features": features})["scores"], rtol=1e-5
        )
        assert (answer.batch_rows, answer.batch_requests) == (3, 1)
        await eventually(lambda: rig.control.state_of(client.process, version.digest) == READY)
