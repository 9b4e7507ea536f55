"""Enums by the numbers of the API, and back."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, TypeVar

from headrace.registry.v1 import registry_pb2
from headrace.tensor.v1 import tensor_pb2

from headrace_registry.decisions.files import ArtifactType
from headrace_registry.decisions.models import (
    Action,
    BatchDimension,
    Device,
    Format,
    MetricSource,
    Stage,
    Task,
    TensorKind,
)

E = TypeVar("E", bound=StrEnum)


def _by_number(kind: type[E], api: Any, prefix: str) -> dict[int, E]:
    """Return the values of an enum by the numbers of the API's enum, whose names are the prefix and the value."""
    return {api.Value(f"{prefix}{member.value.upper()}"): member for member in kind}


def _numbers(by_number: Mapping[int, E]) -> dict[E, Any]:
    return {member: number for number, member in by_number.items()}


STAGES = _by_number(Stage, registry_pb2.ModelVersion.Stage, "STAGE_")
SOURCES = _by_number(MetricSource, registry_pb2.Metric.Source, "SOURCE_")
TYPES = _by_number(ArtifactType, registry_pb2.Artifact.Type, "TYPE_")
ACTIONS = _by_number(Action, registry_pb2.ModelEvent.Action, "ACTION_")
TASKS = _by_number(Task, tensor_pb2.ServingContract.Task, "TASK_")
KINDS = _by_number(TensorKind, tensor_pb2.TensorSpec.Kind, "KIND_")
BATCH_DIMENSIONS = _by_number(BatchDimension, tensor_pb2.TensorSpec.BatchDimension, "BATCH_DIMENSION_")
FORMATS: dict[int, Format] = {
    registry_pb2.FORMAT_UNSPECIFIED: Format.ONNX,
    **_by_number(Format, registry_pb2.Format, "FORMAT_"),
}
DEVICES: dict[int, Device] = {
    registry_pb2.ServingSettings.DEVICE_UNSPECIFIED: Device.ANY,
    registry_pb2.ServingSettings.DEVICE_CPU: Device.CPU,
    registry_pb2.ServingSettings.DEVICE_GPU: Device.GPU,
}

STAGE_NUMBERS = _numbers(STAGES)
SOURCE_NUMBERS = _numbers(SOURCES)
TYPE_NUMBERS = _numbers(TYPES)
ACTION_NUMBERS = _numbers(ACTIONS)
TASK_NUMBERS = _numbers(TASKS)
KIND_NUMBERS = _numbers(KINDS)
BATCH_DIMENSION_NUMBERS = _numbers(BATCH_DIMENSIONS)
FORMAT_NUMBERS = _numbers(FORMATS)
DEVICE_NUMBERS = _numbers(DEVICES)
