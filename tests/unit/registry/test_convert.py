"""Every value of the registry has its place in the API, and what callers declare comes back as they wrote it."""

from dataclasses import replace
from uuid import UUID

import pytest
from headrace.registry.v1 import registry_pb2
from headrace.tensor.v1 import tensor_pb2
from headrace_registry.api import answers, convert
from headrace_registry.decisions import defaults
from headrace_registry.decisions.files import Artifact, ArtifactType
from headrace_registry.decisions.models import (
    Action,
    Contract,
    Device,
    Event,
    Format,
    Gate,
    Lineage,
    Metric,
    MetricSource,
    Model,
    ModelState,
    Stage,
    Task,
    TensorKind,
    TensorSpec,
    Version,
    VersionRef,
)
from headrace_servicekit.coordination.feeds import Change, Position
from headrace_servicekit.errors import InvalidArgument

from tests.kit.rows import each

SPEC = TensorSpec("x", "FP32", (4, -1), True, True, TensorKind.NUMERIC, (), -1.0, 0.0, True)
VERSION = Version(
    ref=VersionRef("digits", "v1"),
    serving=defaults.filled(defaults.Declared(max_batch_rows=16, max_wait_ms=2.5, instances=2, device=Device.GPU)),
    contract=Contract((SPEC,), (TensorSpec("y", "INT64"),), "y", Task.REGRESSION, ("a",)),
    artifacts=(Artifact("model.onnx", ArtifactType.ONNX, "a" * 64),),
    metrics=(Metric("accuracy", 0.5, MetricSource.MEASURED),),
    parameters={"a": "b"},
    lineage=Lineage("v0", "run", "data", "rev"),
    description="text",
)


def test_a_declared_version_survives_the_way_there_and_back():
    assert convert.declared_version(answers.to_version(VERSION), may_measure=True) == VERSION


def test_a_declared_model_survives_the_way_there_and_back():
    model = Model("digits", "text", {"a": "b"}, (Gate("x", minimum=0.0), Gate("y", maximum=1.0, measured_only=True)))
    assert convert.declared_model(answers.to_model(model)) == model
    for gates in (None, ()):
        assert convert.declared_model(answers.to_model(replace(model, gates=gates))).gates == gates


def test_bounds_of_zero_are_bounds():
    spec = answers.to_contract(VERSION.contract).inputs[0]
    assert spec.HasField("maximum")
    assert spec.maximum == 0.0
    assert not answers.to_contract(VERSION.contract).outputs[0].HasField("minimum")


def test_a_wait_of_zero_is_told():
    message = answers.to_version(replace(VERSION, serving=defaults.filled(defaults.Declared(max_wait_ms=0.0))))
    assert message.serving.HasField("max_wait")
    assert convert.declared_version(message, may_measure=False).serving.max_wait_ms == 0.0


@pytest.mark.parametrize(
    ("kind", "api"),
    [
        (Stage, registry_pb2.ModelVersion.Stage),
        (Action, registry_pb2.ModelEvent.Action),
        (ArtifactType, registry_pb2.Artifact.Type),
        (Format, registry_pb2.Format),
        (MetricSource, registry_pb2.Metric.Source),
        (Task, tensor_pb2.ServingContract.Task),
        (TensorKind, tensor_pb2.TensorSpec.Kind),
    ],
)
def test_every_value_of_an_enum_of_the_api_is_known(kind, api):
    specified = [name for name, _ in api.items() if not name.endswith("_UNSPECIFIED")]
    known = [member for member in kind if member.value != "unspecified"]
    assert len(specified) == len(known)


@each("action", Action)
def test_every_event_has_its_place(action):
    event = Event(3, 1, action, "ann", "why", VERSION.create_time, "v1", Stage.STAGING, None, "champion")
    message = answers.to_event(event)
    assert registry_pb2.ModelEvent.Action.Name(message.action) == f"ACTION_{action.name}"
    assert (message.from_stage, message.to_stage) == (registry_pb2.ModelVersion.STAGE_STAGING, 0)


def test_only_the_end_of_a_snapshot_has_a_token_within_it():
    state = ModelState(Model("digits"), (VERSION,), 7)
    within = answers.to_change(Change(state, None))
    end = answers.to_change(Change(None, Position(UUID(int=1), 7)))
    assert (within.resume_token, within.snapshot_complete, len(within.versions)) == ("", False, 1)
    assert end.resume_token
    assert end.snapshot_complete
    assert not end.HasField("model")


def test_versions_that_do_not_fit_into_a_watch_are_the_oldest_that_nothing_points_at():
    stages = [Stage.REGISTERED, Stage.ARCHIVED, Stage.PRODUCTION, Stage.ARCHIVED, Stage.ARCHIVED, Stage.STAGING]
    versions = tuple(
        replace(VERSION, ref=VersionRef("digits", f"v{9 - index}"), stage=stage) for index, stage in enumerate(stages)
    )
    model = Model("digits", aliases={"champion": "v6"}, rollback_targets=("v5",))
    state = ModelState(model, versions, 7)
    messages = [answers.to_version(version) for version in versions]
    size = max(message.ByteSize() for message in messages)

    def ids(max_bytes: int) -> list[str]:
        return [message.name[-2:] for message in answers.within(state, messages, max_bytes)]

    assert ids(6 * size) == ["v9", "v8", "v7", "v6", "v5", "v4"]
    assert ids(5 * size + 1) == ["v9", "v7", "v6", "v5", "v4"]
    assert ids(4 * size + 1) == ["v7", "v6", "v5", "v4"]


def test_the_first_message_of_an_upload_is_its_header():
    with pytest.raises(InvalidArgument, match="header"):
        convert.upload_header(registry_pb2.UploadArtifactRequest(chunk=b"x"))
