"""The messages of KEDA's contract, by name and number. Its proto has no package of ours, so nothing is generated."""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

SERVICE = "externalscaler.ExternalScaler"
_FILE = "headrace_autoscaler/keda/externalscaler.proto"
_Field = descriptor_pb2.FieldDescriptorProto
_STRING, _INT64, _DOUBLE, _BOOL = _Field.TYPE_STRING, _Field.TYPE_INT64, _Field.TYPE_DOUBLE, _Field.TYPE_BOOL
_MESSAGES: dict[str, tuple[tuple[str, Any], ...]] = {
    "ScaledObjectRef": (("name", _STRING), ("namespace", _STRING), ("scalerMetadata", "*ScalerMetadataEntry")),
    "IsActiveResponse": (("result", _BOOL),),
    "GetMetricSpecResponse": (("metricSpecs", "*MetricSpec"),),
    "MetricSpec": (("metricName", _STRING), ("targetSize", _INT64), ("targetSizeFloat", _DOUBLE)),
    "GetMetricsRequest": (("scaledObjectRef", "ScaledObjectRef"), ("metricName", _STRING)),
    "GetMetricsResponse": (("metricValues", "*MetricValue"),),
    "MetricValue": (("metricName", _STRING), ("metricValue", _INT64), ("metricValueFloat", _DOUBLE)),
}
# Of each method: what it takes, what it gives, and whether that is a stream.
METHODS = {
    "IsActive": ("ScaledObjectRef", "IsActiveResponse", False),
    "StreamIsActive": ("ScaledObjectRef", "IsActiveResponse", True),
    "GetMetricSpec": ("ScaledObjectRef", "GetMetricSpecResponse", False),
    "GetMetrics": ("GetMetricsRequest", "GetMetricsResponse", False),
    "StreamMetricSpec": ("ScaledObjectRef", "GetMetricSpecResponse", True),
}


def _described() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name=_FILE, package="externalscaler", syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, (field, kind) in enumerate(fields, 1):
            _add_field(message, field, number, kind)
    entry = file.message_type[0].nested_type.add(name="ScalerMetadataEntry")
    entry.options.map_entry = True
    _add_field(entry, "key", 1, _STRING)
    _add_field(entry, "value", 2, _STRING)
    service = file.service.add(name=SERVICE.rpartition(".")[2])
    for name, (takes, gives, streams) in METHODS.items():
        service.method.add(
            name=name,
            input_type=f".externalscaler.{takes}",
            output_type=f".externalscaler.{gives}",
            server_streaming=streams,
        )
    return file


def _add_field(message: descriptor_pb2.DescriptorProto, name: str, number: int, kind: Any) -> None:
    field = message.field.add(name=name, number=number, json_name=name, label=_Field.LABEL_OPTIONAL)
    if not isinstance(kind, str):
        field.type = kind
        return
    if kind.startswith("*"):
        field.label = _Field.LABEL_REPEATED
    inner = kind.lstrip("*")
    within = "ScaledObjectRef." if inner.endswith("Entry") else ""
    field.type, field.type_name = _Field.TYPE_MESSAGE, f".externalscaler.{within}{inner}"


# A separate descriptor pool: KEDA's own stubs in the same process define the same names.
_POOL = descriptor_pool.DescriptorPool()
_POOL.AddSerializedFile(_described().SerializeToString())


def message(name: str) -> Any:
    """Return the class of a message."""
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"externalscaler.{name}"))


IsActiveResponse, MetricSpec, MetricValue = message("IsActiveResponse"), message("MetricSpec"), message("MetricValue")
GetMetricSpecResponse, GetMetricsResponse = message("GetMetricSpecResponse"), message("GetMetricsResponse")
