"""Versions that are pipelines: what is kept of one, what is refused, and that its members stay as long as it does."""

import hashlib
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from google.protobuf import json_format
from headrace.registry.v1 import registry_pb2
from headrace.tensor.v1 import tensor_pb2
from headrace_registry.artifacts.blobs import MemoryBlobs, blob_key
from headrace_registry.artifacts.fusion import FusionProcess, FusionRequest
from headrace_registry.decisions.retention import Policy
from headrace_registry.retention.garbage_collection import GarbageCollector
from headrace_runtime.pipelines.flow import Port, Signature
from headrace_runtime.pipelines.fusion import NotFusible
from headrace_runtime.pipelines.graph import Edge, GraphStep, Output, Pipeline, Source, Step
from headrace_servicekit.clock import SystemClock
from headrace_servicekit.errors import Code

from tests.kit.clients.refusals import refused
from tests.kit.hostile import unservable_models
from tests.kit.models import onnx_models
from tests.kit.registry.memory_store import MemoryStore
from tests.kit.registry.service import GOOD_METRICS, caller, memory_registry
from tests.kit.router.pipelines import composed, onnx_run

ARCHIVED = registry_pb2.ModelVersion.STAGE_ARCHIVED


@pytest.fixture
async def registry():
    async with memory_registry() as registry:
        for version in ("v1", "v2"):
            await registry.register("digits", version, onnx_models.classifier(4, 3, seed=int(version[1])))
        await registry.promote("digits", "v1")
        yield registry


ENSEMBLE = composed(
    {
        "normalise": {"graph": "normalise.onnx", "inputs": {"x": "request.pixels"}},
        "one": {"model": "digits@v1", "inputs": {"features": "normalise.y"}, "timeout": "0.050s", "retries": 1},
        "two": {"model": "digits@v2", "inputs": {"features": "normalise.y"}, "cache_ttl": "60s"},
        "mean": {
            "combiner": {"kind": "KIND_MEAN", "quorum": 1},
            "inputs": {"one": "one.probabilities", "two": "two.probabilities"},
        },
    },
    {"probabilities": "mean.output"},
)
GRAPHS = {"normalise.onnx": onnx_models.identity(4)}


async def refusal(call, code):
    """Return the error of a call, which has this code."""
    error = await refused(call)
    assert error.code is code, error
    return error


async def test_a_pipeline_is_a_version_with_the_contract_of_its_edges(registry):
    version = await registry.compose("ensemble", "v1", ENSEMBLE, GRAPHS)
    (taken,), (given,) = version.contract.inputs, version.contract.outputs
    assert (taken.name, taken.datatype, list(taken.shape)) == ("pixels", "FP32", [4])
    assert (given.name, given.datatype, list(given.shape)) == ("probabilities", "FP32", [3])
    assert version.contract.task == tensor_pb2.ServingContract.TASK_CLASSIFICATION
    members = {member.digest: member for member in version.members}
    steps = {step.name: members[step.digest] for step in version.pipeline.steps}
    assert {step: member.name.removeprefix("models/") for step, member in steps.items()} == {
        "normalise": "ensemble/versions/v1--normalise",
        "one": "digits/versions/v1",
        "two": "digits/versions/v2",
        "mean": "ensemble/versions/v1--mean",
    }
    digits = await registry.stub.GetModelVersion(registry_pb2.GetModelVersionRequest(name="models/digits/versions/v1"))
    assert steps["one"].artifacts == digits.version.artifacts
    assert steps["one"].contract == digits.version.contract
    for step in version.pipeline.steps:
        step.digest = ""
    assert version.pipeline == ENSEMBLE
    read = await registry.stub.GetModelVersion(registry_pb2.GetModelVersionRequest(name=version.name))
    assert len(read.version.members) == 4


async def test_the_graph_of_a_combiner_is_stored_and_answers(registry):
    blobs = MemoryBlobs()
    async with memory_registry(blobs=blobs) as own:
        for version in ("v1", "v2"):
            await own.register("digits", version, onnx_models.classifier(4, 3, seed=int(version[1])))
        version = await own.compose("ensemble", "v1", ENSEMBLE, GRAPHS)
        (mean,) = (one for one in version.artifacts if one.name == "mean.combiner.onnx")
        content = b"".join([piece async for piece in blobs.read(mean.sha256)])
    assert hashlib.sha256(content).hexdigest() == mean.sha256
    assert len(content) == mean.size_bytes
    one, two = np.array([[1, 0, 0]], np.float32), np.array([[0, 0, 1]], np.float32)
    answered = onnx_run(content)({"one": one, "two": two, "present": np.array([[True, True]])})
    np.testing.assert_allclose(answered["output"], [[0.5, 0.0, 0.5]])


async def test_members_are_found_once_and_stay_what_they_were(registry):
    follows = composed({"m": {"model": "digits", "inputs": {"features": "request.x"}}}, {"label": "m.label"})
    first = await registry.compose("wrapped", "v1", follows)
    await registry.promote("digits", "v2")
    again = await registry.compose("wrapped", "v1", follows)
    assert again == first
    assert first.members[0].name == "models/digits/versions/v1"
    moved = await registry.compose("wrapped", "v2", follows)
    assert moved.members[0].name == "models/digits/versions/v2"
    assert moved.digest != first.digest


async def test_the_digest_covers_members_and_graph(registry):
    def wrapped(version, **fields):
        return composed(
            {"m": {"model": f"digits@{version}", "inputs": {"features": "request.x"}, **fields}}, {"l": "m.label"}
        )

    # Under names of their own digests differ anyhow: compare those of the same name in registries of their own.
    digests = set()
    kept = wrapped("v1", cache_ttl="60s")
    for pipeline in (wrapped("v1"), wrapped("v2"), wrapped("v1", retries=1), wrapped("v1", retries=1), kept):
        async with memory_registry() as own:
            for version in ("v1", "v2"):
                await own.register("digits", version, onnx_models.classifier(4, 3, seed=7))
            digests.add((await own.compose("wrapped", "v1", pipeline)).digest)
    assert len(digests) == 4


async def test_another_pipeline_under_the_same_name_is_refused(registry):
    await registry.compose("ensemble", "v1", ENSEMBLE, GRAPHS)
    other = composed({"m": {"model": "digits@v1", "inputs": {"features": "request.x"}}}, {"label": "m.label"})
    error = await refusal(registry.compose("ensemble", "v1", other), Code.ALREADY_EXISTS)
    assert error.reason == "VERSION_EXISTS"


async def test_details_are_declared_beside_the_names_of_tensors(registry):
    spec = tensor_pb2.TensorSpec(name="x", sensitive=True)
    contract = tensor_pb2.ServingContract(inputs=[spec], labels=["a", "b", "c"])
    pipeline = composed({"m": {"model": "digits@v1", "inputs": {"features": "request.x"}}}, {"p": "m.probabilities"})
    version = await registry.compose("wrapped", "v1", pipeline, contract=contract)
    assert (version.contract.inputs[0].sensitive, list(version.contract.inputs[0].shape)) == (True, [4])
    assert list(version.contract.labels) == ["a", "b", "c"]
    wrong = tensor_pb2.ServingContract(inputs=[tensor_pb2.TensorSpec(name="y", datatype="FP32")])
    error = await refusal(registry.compose("wrapped", "v2", pipeline, contract=wrong), Code.INVALID_ARGUMENT)
    assert error.reason == "CONTRACT_MISMATCH"


def one_step(model, inputs=None):
    return composed({"m": {"model": model, "inputs": inputs or {"features": "request.x"}}}, {"l": "m.label"})


@pytest.mark.parametrize(
    ("pipeline", "code", "reason"),
    [
        (one_step("nobody"), Code.NOT_FOUND, "MODEL_NOT_FOUND"),
        (one_step("digits@v9"), Code.NOT_FOUND, "VERSION_NOT_FOUND"),
        (one_step("digits@@champion"), Code.NOT_FOUND, "ALIAS_NOT_FOUND"),
        (one_step("wrapped@v1"), Code.INVALID_ARGUMENT, "PIPELINE_INVALID"),  # itself
        (one_step("digits@v1", {"pixels": "request.x"}), Code.INVALID_ARGUMENT, "PIPELINE_INVALID"),
        (
            composed({"g": {"graph": "none.onnx", "inputs": {"x": "request.x"}}}, {"y": "g.y"}),
            Code.INVALID_ARGUMENT,
            None,
        ),
        (composed({"g": {"inputs": {"x": "request.x"}}}, {"y": "g.y"}), Code.INVALID_ARGUMENT, "PIPELINE_INVALID"),
        (composed({}, {}), Code.INVALID_ARGUMENT, "PIPELINE_INVALID"),
    ],
)
async def test_a_pipeline_that_cannot_run_is_refused(registry, pipeline, code, reason):
    error = await refusal(registry.compose("wrapped", "v1", pipeline), code)
    assert reason is None or error.reason == reason


async def test_a_pipeline_that_names_itself_through_an_alias_is_refused(registry):
    await registry.compose("wrapped", "v1", one_step("digits"))
    await registry.stub.SetAlias(registry_pb2.SetAliasRequest(name="models/wrapped/aliases/best", version="v1"))
    error = await refusal(registry.compose("wrapped", "v2", one_step("wrapped@@best")), Code.INVALID_ARGUMENT)
    assert error.reason == "PIPELINE_INVALID"
    assert "is a pipeline itself" in str(error)


async def test_a_graph_that_no_step_runs_and_a_name_of_the_registry_are_refused(registry):
    for name in ("idle.onnx", "mean.combiner.onnx"):
        graphs = {**GRAPHS, name: onnx_models.identity(4)}
        error = await refusal(registry.compose("ensemble", "v1", ENSEMBLE, graphs), Code.INVALID_ARGUMENT)
        assert name in str(error) or "registry's own" in str(error)


async def test_a_hundred_steps_are_registered_and_one_more_is_refused(registry):
    def chain(length):
        steps = {"s0": {"graph": "same.onnx", "inputs": {"x": "request.x"}}}
        steps |= {f"s{n}": {"graph": "same.onnx", "inputs": {"x": f"s{n - 1}.y"}} for n in range(1, length)}
        return composed(steps, {"y": f"s{length - 1}.y"})

    graphs = {"same.onnx": onnx_models.identity(4)}
    version = await registry.compose("chain", "v1", chain(100), graphs)
    assert len(version.members) == 100
    await refusal(registry.compose("chain", "v2", chain(101), graphs), Code.INVALID_ARGUMENT)


FUSED = composed(
    {
        "normalise": {"graph": "normalise.onnx", "inputs": {"x": "request.pixels"}},
        "one": {"model": "digits@v1", "inputs": {"features": "normalise.y"}},
        "two": {"model": "digits@v2", "inputs": {"features": "normalise.y"}},
        "mean": {"combiner": {"kind": "KIND_MEAN"}, "inputs": {"a": "one.probabilities", "b": "two.probabilities"}},
    },
    {"probabilities": "mean.output"},
)
FUSED.fuse = True


async def test_a_fused_pipeline_is_one_file_that_answers_what_its_steps_do():
    blobs = MemoryBlobs()
    async with memory_registry(blobs=blobs) as registry:
        files = [onnx_models.classifier(4, 3, seed=seed) for seed in (1, 2)]
        for version, file in zip(("v1", "v2"), files, strict=True):
            await registry.register("digits", version, file)
        version = await registry.compose("ensemble", "v1", FUSED, GRAPHS)
        assert await registry.compose("ensemble", "v1", FUSED, GRAPHS) == version
        (whole,) = (one for one in version.artifacts if one.name == "model.onnx")
        content = b"".join([piece async for piece in blobs.read(whole.sha256)])
    pixels = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    answered = onnx_run(content)({"pixels": pixels})["probabilities"]
    expected = np.mean([file.expected({"features": pixels})["probabilities"] for file in files], axis=0)
    np.testing.assert_allclose(answered, expected, rtol=1e-5)
    assert [port.name for port in version.contract.inputs] == ["pixels"]


async def test_a_pipeline_is_fused_in_a_process_with_limits(tmp_path):
    (tmp_path / "plus.onnx").write_bytes(onnx_models.plus(1.0).content)
    step = Step("a", GraphStep("plus.onnx"), (Edge("x", Source("", "x")),))
    signature = Signature((Port("x", "FP32"),), (Port("y", "FP32"),))
    made = Pipeline((step,), (Output("z", Source("a", "y")),))
    request = FusionRequest(made, {"a": signature}, {"a": tmp_path / "plus.onnx"}, tmp_path / "model.onnx")
    await FusionProcess(timeout_s=60.0, max_bytes=10**6)(request, 1000)
    answered = onnx_run((tmp_path / "model.onnx").read_bytes())({"x": np.array([1.0], np.float32)})
    assert answered["z"].tolist() == [2.0]
    clash = replace(request, pipeline=Pipeline((step,), (Output("x", Source("a", "y")),)))
    with pytest.raises(NotFusible, match="not a valid graph"):
        await FusionProcess(timeout_s=60.0, max_bytes=10**6)(clash, 1000)


async def test_what_cannot_be_fused_is_refused_with_the_step(registry):
    slow = composed({"m": {"model": "digits@v1", "inputs": {"features": "request.x"}, "retries": 1}}, {"l": "m.label"})
    slow.fuse = True
    error = await refusal(registry.compose("wrapped", "v1", slow), Code.INVALID_ARGUMENT)
    assert "leave out its retries" in str(error)
    await registry.register("single", "v1", unservable_models.fixed_rows())
    rows = composed({"m": {"model": "single@v1", "inputs": {"x": "request.x"}}}, {"y": "m.y"})
    rows.fuse = True
    error = await refusal(registry.compose("wrapped", "v1", rows), Code.INVALID_ARGUMENT)
    assert error.reason == "PIPELINE_NOT_FUSIBLE"


async def test_a_member_is_not_archived_while_a_pipeline_needs_it(registry):
    await registry.compose("ensemble", "v1", ENSEMBLE, GRAPHS)
    error = await refusal(registry.promote("digits", "v2", ARCHIVED), Code.FAILED_PRECONDITION)
    assert error.reason == "VERSION_IN_USE"
    await registry.promote("ensemble", "v1", ARCHIVED)
    await registry.promote("digits", "v2", ARCHIVED)


async def test_a_member_that_is_replaced_in_production_is_archived_and_kept(registry):
    await registry.compose("ensemble", "v1", ENSEMBLE, GRAPHS)
    await registry.promote("ensemble", "v1")
    await registry.promote("digits", "v2")
    holds = await registry.stub.ListHolds(registry_pb2.ListHoldsRequest(parent="models/digits"))
    assert [(hold.name[-2:], hold.holder) for hold in holds.holds] == [
        ("v1", "pipelines/ensemble/v1"),
        ("v2", "pipelines/ensemble/v1"),
    ]


async def test_a_model_with_a_member_is_deleted_only_after_its_pipelines(registry):
    await registry.compose("ensemble", "v1", ENSEMBLE, GRAPHS)
    delete = registry_pb2.DeleteModelRequest(name="models/digits")
    error = await refusal(registry.stub.DeleteModel(delete), Code.FAILED_PRECONDITION)
    assert error.reason == "MODEL_IN_USE"
    await registry.stub.DeleteModel(registry_pb2.DeleteModelRequest(name="models/ensemble"))
    await registry.stub.DeleteModel(delete)


async def test_nobody_from_outside_gives_a_member_free(registry):
    await registry.compose("ensemble", "v1", ENSEMBLE, GRAPHS)
    release = registry_pb2.ReleaseHoldRequest(name="models/digits/versions/v1", holder="pipelines/ensemble/v1")
    await refusal(registry.stub.ReleaseHold(release, metadata=caller("ana")), Code.INVALID_ARGUMENT)


async def test_members_are_collected_only_after_their_pipeline():
    store, blobs = MemoryStore(), MemoryBlobs()
    async with memory_registry(store, blobs) as registry:
        for version in ("v1", "v2"):
            await registry.register("digits", version, onnx_models.classifier(4, 3, seed=int(version[1])))
        await registry.compose("ensemble", "v1", ENSEMBLE, GRAPHS)
        await registry.promote("ensemble", "v1", ARCHIVED)
        await registry.promote("digits", "v1", ARCHIVED)
        policy = Policy(timedelta(0), None, timedelta(0))
        collector = GarbageCollector(store, blobs, policy, SystemClock())
        first = await collector.run()
        assert [(ref.model, ref.version) for ref in first.collected] == [("ensemble", "v1")]
        second = await collector.run()
        assert [(ref.model, ref.version) for ref in second.collected] == [("digits", "v1")]


async def test_gates_are_asked_of_a_pipeline_as_of_any_version(registry):
    await registry.compose("ensemble", "v1", ENSEMBLE, GRAPHS, metrics={**GOOD_METRICS, "accuracy": 0.1})
    error = await refusal(registry.promote("ensemble", "v1"), Code.FAILED_PRECONDITION)
    assert error.reason == "PROMOTION_GATE_FAILED"


def test_a_pipeline_as_json_is_what_rest_takes():
    assert json_format.ParseDict(json_format.MessageToDict(ENSEMBLE), type(ENSEMBLE)()) == ENSEMBLE


async def test_a_pipeline_whose_files_are_lost_is_no_fault_of_the_caller():
    blobs = MemoryBlobs()
    async with memory_registry(blobs=blobs) as own:
        for version in ("v1", "v2"):
            kept = await own.register("digits", version, onnx_models.classifier(4, 3, seed=int(version[1])))
        blobs.kept.pop(blob_key(kept.artifacts[0].sha256))
        error = await refused(own.compose("ensemble", "v1", FUSED, GRAPHS))
    assert error.code is Code.UNAVAILABLE
