"""A batcher with Python versions beside ONNX ones: the same handler in both forms, and code that ends its process."""

import json
from pathlib import Path

import numpy as np
from headrace.registry.v1 import registry_pb2

from examples.handler import graph
from tests.kit.batcher.service import BatcherRig
from tests.kit.batcher.stream_client import BatcherClient, outputs_of
from tests.kit.models import onnx_models

HANDLER = Path(graph.__file__).with_name("model.py").read_bytes()
FRAGILE = b"""
import os
import numpy as np
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        x = requests[0].inputs()[0].as_numpy()
        if (x == 13).any():
            os._exit(1)
        return [pb_utils.InferenceResponse([pb_utils.Tensor("y", x[:, :1])])]
"""


async def test_the_handler_answers_alike_as_code_and_as_a_graph(onnx_rig: BatcherRig):
    told = graph.weights()
    model = onnx_models.TinyModel(graph.graph(told).SerializeToString(), graph.contract(), lambda _rows: {})
    as_graph = await onnx_rig.version("graph", model)
    files = {"model.py": HANDLER, "weights.json": json.dumps(told).encode()}
    as_code = await onnx_rig.python("code", files, graph.contract())
    onnx_rig.want(as_graph, as_code)
    draw = np.random.default_rng(1)
    rows = [draw.normal(size=(9, size)).astype("<f4") for size in (graph.USER, graph.ITEM, graph.CONTEXT)]
    async with (
        onnx_rig.running(allow_code=True) as runtime,
        BatcherClient.connected(runtime.servers[0].address) as client,
    ):
        for version in (as_graph, as_code):
            await client.until_ready(version.digest)
        answers = [outputs_of(await client.infer(version.digest, rows)) for version in (as_graph, as_code)]
        np.testing.assert_allclose(answers[0]["scores"], answers[1]["scores"], rtol=1e-5)
        np.testing.assert_array_equal(answers[0]["labels"], answers[1]["labels"])
        reported = next(iter(onnx_rig.control.reports.values())).formats
        assert set(reported) == {registry_pb2.FORMAT_ONNX, registry_pb2.FORMAT_PYTHON, registry_pb2.FORMAT_OIP}


async def test_a_request_that_takes_the_code_down_is_quarantined_and_others_keep_answering(onnx_rig: BatcherRig):
    code, neighbour = (
        await onnx_rig.python("fragile", {"model.py": FRAGILE}),
        await onnx_rig.version("neighbour", onnx_models.identity()),
    )
    onnx_rig.want(code, neighbour)
    good, bad = np.ones((1, 4), "<f4"), np.full((1, 4), 13, "<f4")
    async with (
        onnx_rig.running(allow_code=True) as runtime,
        BatcherClient.connected(runtime.servers[0].address) as client,
    ):
        await client.until_ready(code.digest)
        await client.until_ready(neighbour.digest)
        first = await client.infer(code.digest, [bad])
        assert first.reason in ("BACKEND_CRASHED", "QUARANTINED_INPUT")
        np.testing.assert_array_equal(outputs_of(await client.infer(neighbour.digest, [good]))["y"], good)
        await client.until_ready(code.digest)
        np.testing.assert_array_equal(outputs_of(await client.infer(code.digest, [good]))["y"], [[1]])
        if first.reason != "QUARANTINED_INPUT":
            await client.infer(code.digest, [bad])
            await client.until_ready(code.digest)
        assert (await client.infer(code.digest, [bad])).reason == "QUARANTINED_INPUT"
        np.testing.assert_array_equal(outputs_of(await client.infer(code.digest, [good]))["y"], [[1]])


async def test_a_pool_that_runs_no_code_says_what_it_runs(onnx_rig: BatcherRig):
    code = await onnx_rig.python("code", {"model.py": FRAGILE})
    onnx_rig.want(code)
    async with onnx_rig.running():
        assert await onnx_rig.until_failed(code.digest) == "it is python, and this pool runs oip, onnx"
