"""Bad input is INVALID_ARGUMENT (or what the proto says) and names its field; nothing is ever INTERNAL."""

import base64
import json
import math
from typing import Any

import grpc
import pytest
from google.protobuf import duration_pb2
from headrace.registry.v1 import registry_pb2
from headrace.tensor.v1 import tensor_pb2
from headrace_servicekit.error_details import from_rpc_error
from headrace_servicekit.errors import Code
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.kit.models import onnx_models
from tests.kit.registry.service import Registry, caller, upload_messages, version_message

SHA = "a" * 64
FILE = onnx_models.linear()


def draft(**changes: Any) -> registry_pb2.CreateModelVersionRequest:
    """A version that is right but for the changes."""
    version = version_message("digits", "v1", SHA, FILE)
    for name, value in changes.items():
        version.ClearField(name)
        version.MergeFrom(registry_pb2.ModelVersion(**{name: value}))
    return registry_pb2.CreateModelVersionRequest(version=version)


def model(**fields: Any) -> registry_pb2.CreateModelRequest:
    return registry_pb2.CreateModelRequest(model=registry_pb2.Model(**{"name": "models/digits", **fields}))


def gate(**fields: Any) -> registry_pb2.CreateModelRequest:
    policy = registry_pb2.PromotionPolicy(gates=[registry_pb2.PromotionGate(**fields)])
    return model(promotion_policy=policy)


def artifacts(*names: str, kind: int = registry_pb2.Artifact.TYPE_ONNX, sha256: str = SHA) -> list:
    return [registry_pb2.Artifact(name=name, type=kind, sha256=sha256) for name in names]  # type: ignore[arg-type]


def serving(**fields: Any) -> registry_pb2.CreateModelVersionRequest:
    return draft(serving=registry_pb2.ServingSettings(**fields))


def contract(**fields: Any) -> registry_pb2.CreateModelVersionRequest:
    return draft(contract=tensor_pb2.ServingContract(**fields))


def spec(**fields: Any) -> registry_pb2.CreateModelVersionRequest:
    inputs = [tensor_pb2.TensorSpec(**{"name": "features", "datatype": "FP32", "shape": [4], **fields})]
    return contract(inputs=inputs, outputs=FILE.contract.outputs)


def forged(*parts: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode()


Promote = registry_pb2.PromoteModelVersionRequest
VERSION = "models/digits/versions/v1"

CASES = [
    ("GetModel", registry_pb2.GetModelRequest(name=""), "name"),
    ("GetModel", registry_pb2.GetModelRequest(name="models/Digits"), "name"),
    ("GetModel", registry_pb2.GetModelRequest(name="models/a/../b"), "name"),
    ("GetModelVersion", registry_pb2.GetModelVersionRequest(name="models/digits"), "name"),
    ("ListModels", registry_pb2.ListModelsRequest(page_size=-1), "page_size"),
    ("ListModels", registry_pb2.ListModelsRequest(page_token="nonsense"), "page_token"),
    (
        "ListModels",
        registry_pb2.ListModelsRequest(page_token=forged(["models", "", "name"], [1, "\ud800"])),
        "page_token",
    ),
    ("ListModels", registry_pb2.ListModelsRequest(contains="nul\x00"), "contains"),
    ("ListModels", registry_pb2.ListModelsRequest(contains="x" * 201), "contains"),
    ("ListModels", registry_pb2.ListModelsRequest(order=9), "order"),  # type: ignore[arg-type]
    ("ListModelVersions", registry_pb2.ListModelVersionsRequest(parent="digits"), "parent"),
    ("ListModelVersions", registry_pb2.ListModelVersionsRequest(parent="models/digits", stage=99), "stage"),  # type: ignore[arg-type]
    ("ListModelEvents", registry_pb2.ListModelEventsRequest(parent="models/digits", page_token="ü"), "page_token"),
    ("CreateModel", registry_pb2.CreateModelRequest(), "model.name"),
    ("CreateModel", model(name="models/" + "x" * 64), "model.name"),
    ("CreateModel", model(description="x" * 5000), "model.description"),
    ("CreateModel", model(description="nul\x00"), "model.description"),
    ("CreateModel", model(labels={"": "x"}), "model.labels"),
    ("CreateModel", model(labels={"a\x00": "x"}), "model.labels"),
    ("CreateModel", model(labels={"a": "\x00"}), "model.labels[a]"),
    ("CreateModel", model(labels={str(n): "" for n in range(65)}), "model.labels"),
    ("CreateModel", gate(minimum=0.5), "model.promotion_policy.gates[0].metric"),
    ("CreateModel", gate(metric="accuracy"), "model.promotion_policy.gates[0].bound"),
    ("CreateModel", gate(metric="accuracy", minimum=math.nan), "model.promotion_policy.gates[0].minimum"),
    (
        "CreateModel",
        model(promotion_policy=registry_pb2.PromotionPolicy(gates=[registry_pb2.PromotionGate()] * 1_000_000)),
        "model.promotion_policy.gates",
    ),
    ("UpdateModel", registry_pb2.UpdateModelRequest(model=registry_pb2.Model(name="x")), "model.name"),
    ("PromoteModelVersion", Promote(name=VERSION), "target_stage"),
    ("PromoteModelVersion", Promote(name=VERSION, target_stage=99), "target_stage"),  # type: ignore[arg-type]
    ("PromoteModelVersion", Promote(name="models/digits", target_stage=3), "name"),  # type: ignore[arg-type]
    ("PromoteModelVersion", Promote(name=VERSION, target_stage=3, reason="x" * 2000), "reason"),  # type: ignore[arg-type]
    ("PromoteModelVersion", Promote(name=VERSION, target_stage=3, request_id="\x00"), "request_id"),  # type: ignore[arg-type]
    ("PromoteModelVersion", Promote(name=VERSION, target_stage=3, request_id="x" * 129), "request_id"),  # type: ignore[arg-type]
    ("RollbackModel", registry_pb2.RollbackModelRequest(name=VERSION), "name"),
    ("SetAlias", registry_pb2.SetAliasRequest(name="models/digits/aliases/production", version="v1"), "name"),
    ("SetAlias", registry_pb2.SetAliasRequest(name="models/digits/aliases/a", version="V1"), "version"),
    ("DeleteAlias", registry_pb2.DeleteAliasRequest(name="models/digits"), "name"),
    ("WatchModels", registry_pb2.WatchModelsRequest(resume_token="nonsense"), "resume_token"),
    ("CreateModelVersion", registry_pb2.CreateModelVersionRequest(), "version.name"),
    ("CreateModelVersion", draft(name="models/digits/versions/a--b"), "version.name"),
    ("CreateModelVersion", draft(artifacts=[]), "version.artifacts"),
    ("CreateModelVersion", draft(artifacts=artifacts("other.onnx")), "version.artifacts[0].type"),
    ("CreateModelVersion", draft(artifacts=artifacts("model.onnx", "model.onnx")), "version.artifacts[1].name"),
    ("CreateModelVersion", draft(artifacts=artifacts("model.onnx", "../x")), "version.artifacts[1].name"),
    ("CreateModelVersion", draft(artifacts=artifacts("model.onnx", kind=0)), "version.artifacts[0].type"),
    ("CreateModelVersion", draft(artifacts=artifacts("model.onnx", kind=77)), "version.artifacts[0].type"),
    ("CreateModelVersion", draft(artifacts=artifacts("model.onnx", sha256="A" * 64)), "version.artifacts[0].sha256"),
    ("CreateModelVersion", draft(metrics=[registry_pb2.Metric(name="a", value=math.inf)]), "version.metrics[0].value"),
    ("CreateModelVersion", draft(metrics=[registry_pb2.Metric(value=1)]), "version.metrics[0].name"),
    ("CreateModelVersion", draft(metrics=[registry_pb2.Metric(name="a")] * 2), "version.metrics[1].name"),
    ("CreateModelVersion", draft(metrics=[registry_pb2.Metric()] * 100_000), "version.metrics"),
    ("CreateModelVersion", draft(artifacts=[registry_pb2.Artifact()] * 100_000), "version.artifacts"),
    ("CreateModelVersion", contract(inputs=[tensor_pb2.TensorSpec()] * 100_000), "version.contract.inputs"),
    ("CreateModelVersion", contract(outputs=[tensor_pb2.TensorSpec()] * 100_000), "version.contract.outputs"),
    ("CreateModelVersion", draft(parameters={"a": "\x00"}), "version.parameters[a]"),
    (
        "CreateModelVersion",
        draft(lineage=registry_pb2.Lineage(parent_version="v1")),
        "version.lineage.parent_version",
    ),
    ("CreateModelVersion", draft(lineage=registry_pb2.Lineage(run="\x00")), "version.lineage.run"),
    ("CreateModelVersion", serving(max_batch_rows=-1), "version.serving.max_batch_rows"),
    ("CreateModelVersion", serving(preferred_batch_rows=[64]), "version.serving.preferred_batch_rows[0]"),
    ("CreateModelVersion", serving(preferred_batch_rows=[8, 4]), "version.serving.preferred_batch_rows[1]"),
    ("CreateModelVersion", serving(max_wait=duration_pb2.Duration(seconds=-1)), "version.serving.max_wait"),
    ("CreateModelVersion", serving(max_wait=duration_pb2.Duration(seconds=3600)), "version.serving.max_wait"),
    ("CreateModelVersion", serving(instances=1000), "version.serving.instances"),
    ("CreateModelVersion", serving(device=9), "version.serving.device"),
    ("CreateModelVersion", spec(kind=9), "version.contract.inputs[0].kind"),
    ("CreateModelVersion", spec(columns=["x" * 200] * 4000), "version"),
]


async def answer(registry: Registry, method: str, request: Any) -> grpc.aio.AioRpcError:
    call = getattr(registry.stub, method)(request, timeout=20)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await (anext(aiter(call)) if hasattr(call, "__aiter__") else call)
    return caught.value


async def test_each_bad_field_is_named(registry):
    for method, request, field in CASES:
        error = from_rpc_error(await answer(registry, method, request))
        assert (method, field, error.code) == (method, field, Code.INVALID_ARGUMENT), error
        assert field in [violation.field for violation in error.violations], error.violations


CONTRACT_CASES = [
    (spec(datatype="FLOAT"), "version.contract.inputs[0].datatype"),
    (spec(shape=[0]), "version.contract.inputs[0].shape[0]"),
    (spec(shape=[4, 1]), "version.contract.inputs[0].shape"),
    (spec(name="x"), "version.contract.inputs[0].name"),
    (spec(columns=["a"]), "version.contract.inputs[0].columns"),
    (spec(minimum=math.nan), "version.contract.inputs[0].minimum"),
    (spec(shape=[2**31 - 1] * 900, columns=["a"]), "version.contract.inputs[0].shape"),
    (contract(inputs=FILE.contract.inputs), "version.contract.outputs"),
]


async def test_each_bad_field_of_a_contract_is_named(registry):
    sha256 = await registry.upload(FILE.content)
    for request, field in CONTRACT_CASES:
        request.version.artifacts[0].sha256 = sha256
        error = from_rpc_error(await answer(registry, "CreateModelVersion", request))
        assert error.code is Code.INVALID_ARGUMENT
        assert field in [violation.field for violation in error.violations], error.violations


async def one(*messages: registry_pb2.UploadArtifactRequest):
    for message in messages:
        yield message


HEADER = registry_pb2.UploadArtifactRequest.Header


def header(**fields: Any) -> registry_pb2.UploadArtifactRequest:
    return registry_pb2.UploadArtifactRequest(header=HEADER(**{"type": registry_pb2.Artifact.TYPE_JSON, **fields}))


CHUNK = registry_pb2.UploadArtifactRequest(chunk=b"{}")

UPLOAD_CASES = [
    ((), "header", Code.INVALID_ARGUMENT, ""),
    ((CHUNK,), "header", Code.INVALID_ARGUMENT, ""),
    ((header(type=0), CHUNK), "header.type", Code.INVALID_ARGUMENT, "ARTIFACT_TYPE_REFUSED"),
    ((header(type=9), CHUNK), "header.type", Code.INVALID_ARGUMENT, "ARTIFACT_TYPE_REFUSED"),
    ((header(sha256="xyz"), CHUNK), "header.sha256", Code.INVALID_ARGUMENT, ""),
    ((header(size_bytes=-1), CHUNK), "header.size_bytes", Code.INVALID_ARGUMENT, "VALUE_OUT_OF_RANGE"),
    ((header(), header()), "chunk", Code.INVALID_ARGUMENT, ""),
    ((header(), CHUNK, registry_pb2.UploadArtifactRequest()), "chunk", Code.INVALID_ARGUMENT, ""),
    ((header(),), "chunk", Code.INVALID_ARGUMENT, "ARTIFACT_TYPE_REFUSED"),
    ((header(sha256="0" * 64), CHUNK), "header.sha256", Code.INVALID_ARGUMENT, "DIGEST_MISMATCH"),
    ((header(size_bytes=7), CHUNK), "header.size_bytes", Code.INVALID_ARGUMENT, "SIZE_MISMATCH"),
    ((header(type=1), CHUNK), "chunk", Code.INVALID_ARGUMENT, "ARTIFACT_TYPE_REFUSED"),
    ((header(type=2), CHUNK), "chunk", Code.INVALID_ARGUMENT, "ARTIFACT_TYPE_REFUSED"),
    ((header(size_bytes=2**40), CHUNK), None, Code.OUT_OF_RANGE, "ARTIFACT_TOO_LARGE"),
]


async def test_each_bad_upload_is_refused_with_its_reason(registry):
    for messages, field, code, reason in UPLOAD_CASES:
        error = from_rpc_error(await answer(registry, "UploadArtifact", one(*messages)))
        assert (error.code, error.reason) == (code, reason or code.name), messages
        assert [violation.field for violation in error.violations] == ([field] if field else [])


async def test_an_upload_beyond_the_limit_is_refused_while_it_arrives(registry):
    error = from_rpc_error(
        await answer(
            registry, "UploadArtifact", upload_messages(b" " * 2_000_000, registry_pb2.Artifact.TYPE_JSON, told=False)
        )
    )
    assert (error.code, error.reason) == (Code.OUT_OF_RANGE, "ARTIFACT_TOO_LARGE")


async def test_bytes_that_are_no_message_are_the_callers_fault(registry):
    async with grpc.aio.insecure_channel(registry.target) as channel:
        method = channel.unary_unary("/headrace.registry.v1.RegistryService/GetModel")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await method(b"\xff\xff\xff")
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


TEXT = st.text(max_size=20) | st.sampled_from(["models/digits", VERSION, "v1", "digits", "\x00", "a" * 5000])
NUMBERS = st.integers(-(2**31), 2**31 - 1)
FLOATS = st.floats()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_no_version_whatever_it_says_is_an_internal_error(registry, data):
    draw = data.draw
    message = registry_pb2.ModelVersion(
        name=draw(st.just(VERSION) | TEXT),
        metrics=[registry_pb2.Metric(name=draw(TEXT), value=draw(FLOATS)) for _ in range(draw(st.integers(0, 2)))],
        parameters={draw(TEXT): draw(TEXT)},
        lineage=registry_pb2.Lineage(parent_version=draw(TEXT), run=draw(TEXT)),
        contract=tensor_pb2.ServingContract(
            inputs=[
                tensor_pb2.TensorSpec(
                    name=draw(TEXT),
                    datatype=draw(TEXT),
                    shape=draw(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=3)),
                )
            ],
            prediction=draw(TEXT),
            labels=draw(st.lists(TEXT, max_size=3)),
        ),
        serving=registry_pb2.ServingSettings(
            max_batch_rows=draw(NUMBERS),
            preferred_batch_rows=draw(st.lists(NUMBERS, max_size=3)),
            instances=draw(NUMBERS),
            max_wait=duration_pb2.Duration(seconds=draw(st.integers(-(2**63), 2**63 - 1)), nanos=draw(NUMBERS)),
        ),
        artifacts=[registry_pb2.Artifact(name=draw(TEXT), type=draw(NUMBERS), sha256=draw(TEXT))],
        description=draw(TEXT),
    )
    request = registry_pb2.CreateModelVersionRequest(version=message, request_id=draw(TEXT))
    call = registry.stub.CreateModelVersion(request, timeout=20, metadata=caller("ann"))
    assert await call.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_no_text_whatever_it_holds_breaks_the_database(real, data):
    draw = data.draw
    text = st.text(max_size=50)
    name = "models/" + draw(st.from_regex(r"[a-z0-9]{1,20}", fullmatch=True))
    message = registry_pb2.Model(name=name, description=draw(text), labels={draw(text): draw(text)})
    request = registry_pb2.CreateModelRequest(model=message, request_id=draw(text))
    call = real.stub.CreateModel(request, timeout=20, metadata=caller("ann"))
    assert await call.code() in (
        grpc.StatusCode.OK,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.ALREADY_EXISTS,
    )
    alias = registry_pb2.SetAliasRequest(name=f"{name}/aliases/a", version="v1", reason=draw(text), etag=draw(text))
    code = await real.stub.SetAlias(alias, timeout=20).code()
    assert code in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.ABORTED, grpc.StatusCode.INVALID_ARGUMENT)
