"""What a batcher measures on a version is in the registry, as MEASURED."""

import json
from pathlib import Path

import numpy as np
import pytest
from headrace.registry.v1 import registry_pb2
from headrace.router.v1 import control_pb2
from headrace_servicekit.testing import eventually, free_port

from tests.kit.batcher.service import BatcherRig
from tests.kit.batcher.stream_client import BatcherClient
from tests.kit.models import onnx_models
from tests.kit.registry.service import Registry, real_registry

MEASURED = registry_pb2.Metric.SOURCE_MEASURED


async def registered(registry: Registry, offset: float) -> control_pb2.ResolvedVersion:
    """Register a version whose expected outputs differ from what it answers by `offset`; return it resolved."""
    model = onnx_models.linear()
    features = np.random.default_rng(4).normal(size=(40, 4)).astype(np.float32)
    expected = model.expected({"features": features})["scores"] + np.float32(offset)
    content = json.dumps({"inputs": {"features": features.tolist()}, "outputs": {"scores": expected.tolist()}})
    sha256 = await registry.upload(content.encode(), registry_pb2.Artifact.TYPE_JSON)
    file = registry_pb2.Artifact(name="validation.json", type=registry_pb2.Artifact.TYPE_JSON, sha256=sha256)
    metrics = {"accepts_difference": 1.0} if offset else {}
    version = await registry.register("linear", "v1", model, files=[file], metrics=metrics)
    return control_pb2.ResolvedVersion(
        model="linear",
        version="v1",
        digest=version.digest,
        contract=version.contract,
        serving=version.serving,
        artifacts=version.artifacts,
    )


async def measured(registry: Registry) -> dict[str, float]:
    request = registry_pb2.GetModelVersionRequest(name="models/linear/versions/v1")
    version = (await registry.stub.GetModelVersion(request, timeout=10)).version
    return {metric.name: metric.value for metric in version.metrics if metric.source == MEASURED}


async def test_latencies_and_parity_of_a_loaded_version_reach_the_registry(
    onnx_rig: BatcherRig, postgres_url: str, tmp_path: Path
):
    async with real_registry(postgres_url, onnx_rig.s3, tmp_path) as registry:
        onnx_rig.want(await registered(registry, offset=0.25))
        async with onnx_rig.running(registry_target=registry.target):
            found = await eventually(lambda: measured(registry), within=60)
    assert set(found) == {"latency_p50_ms", "latency_p99_ms", "parity_max_abs_diff", "parity_over_tolerance"}
    assert 0 < found["latency_p50_ms"] <= found["latency_p99_ms"]
    assert abs(found["parity_max_abs_diff"] - 0.25) < 1e-4
    assert found["parity_over_tolerance"] > 50.0


@pytest.mark.faults
async def test_what_was_measured_while_the_registry_was_down_is_reported_when_it_is_back(
    onnx_rig: BatcherRig, postgres_url: str, tmp_path: Path
):
    async with real_registry(postgres_url, onnx_rig.s3, tmp_path) as registry:
        version = await registered(registry, offset=0.0)
    onnx_rig.want(version)
    port = free_port()
    async with (
        onnx_rig.running(registry_target=f"127.0.0.1:{port}") as runtime,
        BatcherClient.connected(runtime.servers[0].address) as client,
    ):
        # Nobody waits for the registry: the version serves without it.
        await client.until_ready(version.digest)
        async with real_registry(postgres_url, onnx_rig.s3, tmp_path, port=port) as registry:
            found = await eventually(lambda: measured(registry), within=60)
    assert found["parity_max_abs_diff"] < 1e-4
