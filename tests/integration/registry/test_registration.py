"""What a version keeps of what was declared, and what is refused when it is registered."""

import hashlib
from dataclasses import replace

import pytest
from google.protobuf import duration_pb2
from headrace.registry.v1 import registry_pb2
from headrace.tensor.v1 import tensor_pb2
from headrace_servicekit.errors import Code

from tests.kit.clients.refusals import reason_of, refused
from tests.kit.hostile import slow_models, unservable_models
from tests.kit.hostile.unloadable_model import unloadable
from tests.kit.models import exported, onnx_models
from tests.kit.registry.service import GOOD_METRICS, as_json, caller, memory_registry, upload_messages, version_message


async def test_a_version_keeps_all_that_was_declared(registry):
    file = onnx_models.classifier(4, 3)
    labels = b'{"labels": ["a", "b", "c"]}'
    labels_sha256 = await registry.upload(labels, registry_pb2.Artifact.TYPE_JSON)
    await registry.register("digits", "v0")
    version = await registry.register(
        "digits",
        "v1",
        file,
        files=[
            registry_pb2.Artifact(
                name="labels.json", type=registry_pb2.Artifact.TYPE_JSON, sha256=labels_sha256, size_bytes=77
            )
        ],
        parameters={"depth": "3"},
        lineage=registry_pb2.Lineage(parent_version="v0", run="run-7", dataset="digits@1", code_revision="abc"),
        serving=registry_pb2.ServingSettings(max_batch_rows=16, max_wait=duration_pb2.Duration(nanos=2_000_000)),
        description="an MLP",
        metadata=caller("trainer"),
    )
    file.contract.task = tensor_pb2.ServingContract.TASK_CLASSIFICATION  # labels and scores say so
    assert version.contract == file.contract
    assert as_json(version.serving) == {
        "max_batch_rows": 16,
        "preferred_batch_rows": [8, 16],
        "max_wait": "0.002s",
        "instances": 1,
        "warm": False,
    }
    assert [(artifact.name, artifact.size_bytes) for artifact in version.artifacts] == [
        ("model.onnx", len(file.content)),
        ("labels.json", len(labels)),
    ]
    assert version.artifacts[0].sha256 == hashlib.sha256(file.content).hexdigest()
    assert {metric.source for metric in version.metrics} == {registry_pb2.Metric.SOURCE_REPORTED}
    assert (version.stage, version.created_by, version.lineage.parent_version) == (
        registry_pb2.ModelVersion.STAGE_REGISTERED,
        "trainer",
        "v0",
    )
    assert len(version.digest) == len(version.signature_hash) == 64
    read = await registry.stub.GetModelVersion(registry_pb2.GetModelVersionRequest(name=version.name))
    assert read.version == version


async def test_a_contract_that_is_not_told_comes_from_the_model_file(registry):
    file = onnx_models.variable_dimension()
    version = await registry.register("tokens", "v1", file, contract=None)
    assert version.contract == file.contract


async def test_versions_with_the_same_signature_share_its_hash_and_no_digest(registry):
    first = await registry.register("digits", "v1", onnx_models.linear(4, 3, seed=1))
    second = await registry.register("digits", "v2", onnx_models.linear(4, 3, seed=2))
    third = await registry.register("digits", "v3", onnx_models.linear(5, 3))
    assert first.signature_hash == second.signature_hash != third.signature_hash
    assert len({first.digest, second.digest, third.digest}) == 3


async def test_the_same_version_again_is_the_same_and_another_content_is_refused(registry):
    first = await registry.register("digits", "v1")
    assert await registry.register("digits", "v1", metadata=caller("somebody-else")) == first
    error = await refused(registry.register("digits", "v1", metrics={**GOOD_METRICS, "accuracy": 0.99}))
    assert (error.code, error.reason) == (Code.ALREADY_EXISTS, "VERSION_EXISTS")
    assert error.metadata == {"differs_in": "metrics"}
    assert (await registry.model("digits")).epoch == 1


async def test_only_services_may_say_that_a_metric_was_measured(registry):
    sha256 = await registry.upload(onnx_models.linear().content)
    draft = version_message("digits", "v1", sha256, onnx_models.linear())
    draft.metrics[0].source = registry_pb2.Metric.SOURCE_MEASURED
    request = registry_pb2.CreateModelVersionRequest(version=draft)
    outside = await registry.stub.CreateModelVersion(request, metadata=caller("trainer"))
    assert outside.version.metrics[0].source == registry_pb2.Metric.SOURCE_REPORTED
    request.version.name = "models/digits/versions/v2"
    inside = await registry.stub.CreateModelVersion(request)
    assert inside.version.metrics[0].source == registry_pb2.Metric.SOURCE_MEASURED


async def test_a_parent_must_exist(registry):
    error = await refused(registry.register("digits", "v1", lineage=registry_pb2.Lineage(parent_version="v0")))
    assert (error.code, error.reason) == (Code.FAILED_PRECONDITION, "PARENT_VERSION_NOT_FOUND")
    assert error.violations[0].field == "version.lineage.parent_version"
    assert await reason_of(registry.model("digits")) == "MODEL_NOT_FOUND"


async def test_an_artifact_must_have_been_uploaded(registry):
    draft = version_message("digits", "v1", "0" * 64, onnx_models.linear())
    error = await refused(registry.stub.CreateModelVersion(registry_pb2.CreateModelVersionRequest(version=draft)))
    assert (error.code, error.reason) == (Code.FAILED_PRECONDITION, "ARTIFACT_NOT_UPLOADED")
    assert error.violations[0].field == "version.artifacts[0].sha256"


async def test_a_contract_that_the_file_does_not_keep_is_refused_by_field(registry):
    contract = onnx_models.linear(4, 3).contract
    contract.inputs[0].shape[0] = 5
    error = await refused(registry.register("digits", "v1", onnx_models.linear(4, 3), contract=contract))
    assert (error.code, error.reason) == (Code.INVALID_ARGUMENT, "CONTRACT_MISMATCH")
    assert error.violations[0].field == "version.contract.inputs[0].shape"
    assert "[4]" in error.violations[0].description


async def test_a_contract_of_rows_for_a_model_file_that_takes_eight_at_once_is_refused(registry):
    error = await refused(registry.register("digits", "v1", unservable_models.fixed_rows(4, rows=8)))
    assert error.violations[0].field == "version.contract.inputs[0].shape"
    assert "free first dimension" in error.violations[0].description


@pytest.mark.parametrize("name", exported.NAMES)
async def test_what_exporters_write_is_taken_and_executed_row_by_row_where_it_must_be(registry, name):
    version = await registry.register("m", "v1", exported.exported(name), contract=None)
    assert as_json(version.contract) == as_json(exported.exported(name).contract)
    assert (version.serving.max_batch_rows == 1) is (name not in exported.BATCHED)
    again = await registry.register("m", "v1", exported.exported(name), contract=None)
    assert again == version


async def test_a_model_file_that_no_loader_is_ever_done_with_is_refused(registry):
    error = await refused(registry.register("laughs", "v1", slow_models.billion_laughs()))
    assert (error.code, error.reason) == (Code.INVALID_ARGUMENT, "ARTIFACT_TYPE_REFUSED")
    assert "nodes once its functions are expanded" in error.violations[0].description


async def test_an_upload_that_is_known_is_answered_before_it_is_sent(registry):
    content = onnx_models.linear().content
    sha256 = await registry.upload(content)
    sent = []

    async def messages():
        async for message in upload_messages(content):
            sent.append(message)
            yield message
            if len(sent) == 1:
                await answered

    call = registry.stub.UploadArtifact(messages())
    answered = call
    assert (await call).sha256 == sha256
    assert len(sent) == 1


async def test_an_upload_that_never_says_what_it_is_is_given_up():
    async with memory_registry(upload_idle_s=0.1) as registry:
        call = registry.stub.UploadArtifact(timeout=20)  # it is open, and nothing is written
        assert await reason_of(call) == "UPLOAD_IDLE"


async def test_a_model_that_no_runtime_loads_is_refused_with_the_reason_and_taken_untried(registry, tmp_path):
    model = replace(onnx_models.linear(), content=unloadable(tmp_path).read_bytes())
    error = await refused(registry.register("m", "v1", model))
    assert (error.code, error.reason) == (Code.INVALID_ARGUMENT, "MODEL_DOES_NOT_RUN")
    assert error.violations[0].field == "version.artifacts[0]"
    assert "it cannot be loaded" in error.violations[0].description
    draft = version_message("m", "v1", await registry.upload(model.content), model)
    request = registry_pb2.CreateModelVersionRequest(version=draft, skip_trial=True)
    answer = await registry.stub.CreateModelVersion(request)
    assert not answer.version.contract.HasField("example")


async def test_a_model_that_fails_on_zeros_is_taken_with_a_row_that_it_answers(registry):
    model = onnx_models.categories({7: 1.5})
    error = await refused(registry.register("m", "v1", model))
    assert "it fails on a row of zeros" in error.violations[0].description
    sha256 = await registry.upload(b'{"inputs": {"x": [8, 7]}}', registry_pb2.Artifact.TYPE_JSON)
    given = registry_pb2.Artifact(name="validation.json", type=registry_pb2.Artifact.TYPE_JSON, sha256=sha256)
    version = await registry.register("m", "v1", model, files=[given])
    assert list(version.contract.example.inputs) == [(7).to_bytes(8, "little")]
    assert await registry.register("m", "v1", model, files=[given]) == version


async def test_a_model_that_answers_otherwise_than_expected_is_refused_unless_that_is_accepted(registry):
    model = onnx_models.categories({7: 1.5})

    async def given(outputs: str) -> registry_pb2.Artifact:
        content = f'{{"inputs": {{"x": [7, 7]}}, "outputs": {{"y": {outputs}}}}}'.encode()
        sha256 = await registry.upload(content, registry_pb2.Artifact.TYPE_JSON)
        return registry_pb2.Artifact(name="validation.json", type=registry_pb2.Artifact.TYPE_JSON, sha256=sha256)

    error = await refused(registry.register("m", "v1", model, files=[await given("[1.5, 1.25]")]))
    assert (error.code, error.reason) == (Code.INVALID_ARGUMENT, "OUTPUTS_DIFFER")
    assert "'y' of row 1 is 1.5 instead of 1.25" in error.violations[0].description
    accepted = {"accepts_difference": 1.0}
    version = await registry.register("m", "v1", model, files=[await given("[1.5, 1.25]")], metrics=accepted)
    assert [one.name for one in version.metrics] == ["accepts_difference"]
    assert await registry.register("m", "v2", model, files=[await given("[1.5, 1.5]")])


@pytest.mark.parametrize(
    ("content", "why"),
    [
        pytest.param('[{"features": [1, 2]}]', "is a list, not an object", id="records"),
        pytest.param('{"inputs": {"x": [1]}, "outputs": {"scores": [1]}}', "of the input 'features'", id="no input"),
        pytest.param(
            '{"inputs": {"features": [[1, 2, 3, 4]]}, "outputs": {"z": [1]}}', "expects an output 'z'", id="no output"
        ),
    ],
)
async def test_expected_outputs_that_cannot_be_compared_are_refused(registry, content: str, why: str):
    sha256 = await registry.upload(content.encode(), registry_pb2.Artifact.TYPE_JSON)
    given = registry_pb2.Artifact(name="validation.json", type=registry_pb2.Artifact.TYPE_JSON, sha256=sha256)
    error = await refused(registry.register("m", "v1", onnx_models.linear(), files=[given]))
    assert (error.code, error.reason) == (Code.INVALID_ARGUMENT, "VALIDATION_UNREADABLE")
    assert (error.violations[0].field, why in error.violations[0].description) == ("version.artifacts[1]", True)


async def test_a_contract_of_its_own_is_tried_when_the_version_is_registered(registry):
    model = onnx_models.pairs()
    # By itself the file says that rows have any length, of which one is tried.
    error = await refused(registry.register("m", "v1", model))
    assert "it fails on a row of zeros" in error.violations[0].description
    contract = model.contract
    contract.inputs[0].shape[0] = 2
    assert (await registry.register("m", "v1", model, contract=contract)).contract.inputs[0].shape == [2]


async def test_an_input_may_be_named_alone_to_allow_nan_and_the_task_is_inferred(registry):
    contract = tensor_pb2.ServingContract(inputs=[tensor_pb2.TensorSpec(name="features", nan_allowed=True)])
    version = await registry.register("m", "v1", onnx_models.classifier(), contract=contract)
    assert version.contract.inputs[0].nan_allowed
    assert version.contract.task == tensor_pb2.ServingContract.TASK_CLASSIFICATION
    contract.inputs[0].name = "income"
    error = await refused(registry.register("m", "v2", onnx_models.classifier(), contract=contract))
    assert error.violations[0].description == "the model has no 'income'; it has: features"
