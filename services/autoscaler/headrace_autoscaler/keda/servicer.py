"""KEDA's external scaler: whether a pool is active, and how many replicas it needs.

The metric is the replica count that the latest decision or the overflow of other pools needs, with a target of 1, so
that KEDA's HPA wants the same count. Without a recent decision GetMetrics fails, and KEDA holds the count; the pool
is reported as active then.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from headrace_servicekit.clock import Clock
from headrace_servicekit.errors import Unavailable
from headrace_servicekit.resource_names import invalid, is_id
from headrace_servicekit.server import Server

from headrace_autoscaler.storage.decisions import Decisions
from headrace_autoscaler.storage.pools import Pools
from headrace_autoscaler.storage.values import DecisionRow

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
POOL_KEY = "pool"
METRIC = "headrace-replicas"
LOOK_EVERY_S = 1.0
# An older decision is ignored: no leader is alive to renew it.
STALE_AFTER = timedelta(seconds=90)


class ExternalScaler:
    """KEDA's external scaler contract over the stored decisions. stopping: ends the streams."""

    def __init__(self, pools: Pools, decisions: Decisions, clock: Clock, stopping: asyncio.Event) -> None:
        self._pools, self._decisions, self._clock, self._stopping = pools, decisions, clock, stopping

    def serve_on(self, server: Server) -> None:
        """Register the methods at a server."""
        handlers = {}
        for name, (takes, gives, streams) in METHODS.items():
            make = grpc.unary_stream_rpc_method_handler if streams else grpc.unary_unary_rpc_method_handler
            handlers[name] = make(
                getattr(self, name),
                request_deserializer=message(takes).FromString,
                response_serializer=message(gives).SerializeToString,
            )
        server.add_registered_method_handlers(SERVICE, handlers)

    async def IsActive(self, request: Any, context: Any) -> Any:
        return IsActiveResponse(result=await self._is_active(await self._pool(request)))

    async def StreamIsActive(self, request: Any, context: Any) -> AsyncIterator[Any]:
        pool, sent = await self._pool(request), None
        while not self._stopping.is_set():
            active = await self._is_active(pool)
            if active is not sent:
                yield IsActiveResponse(result=active)
                sent = active
            await self._clock.sleep(LOOK_EVERY_S)
        raise _stopping()

    async def GetMetricSpec(self, request: Any, context: Any) -> Any:
        return _spec(await self._pool(request))

    async def StreamMetricSpec(self, request: Any, context: Any) -> AsyncIterator[Any]:
        yield _spec(await self._pool(request))
        await self._stopping.wait()  # it never changes
        raise _stopping()

    async def GetMetrics(self, request: Any, context: Any) -> Any:
        pool = await self._pool(request.scaledObjectRef)
        if request.metricName not in ("", _metric(pool)):
            raise invalid("metricName", f"'{request.metricName}' is not the metric of the pool, {_metric(pool)}")
        latest = await self._latest(pool)
        if latest is None:
            raise Unavailable(
                f"pool '{pool}' was not decided lately: keep what it has", reason="NO_DECISION", retry_after_s=2.0
            )
        value = MetricValue(
            metricName=_metric(pool), metricValue=latest.desired, metricValueFloat=float(latest.desired)
        )
        return GetMetricsResponse(metricValues=[value])

    async def _pool(self, reference: Any) -> str:
        """Return the pool that a ScaledObject names. Raises InvalidArgument, and NotFound for one without a policy."""
        pool = reference.scalerMetadata.get(POOL_KEY, "")
        if not is_id(pool):
            raise invalid(f"scalerMetadata.{POOL_KEY}", f"must name a pool, as `{POOL_KEY}: default`; it is '{pool}'")
        try:
            await self._pools.pool(pool)
        except Unavailable:
            pass  # the caller's next query raises it
        return pool

    async def _is_active(self, pool: str) -> bool:
        """Return whether the pool needs replicas. True if unknown: KEDA removes all replicas of an inactive pool."""
        try:
            latest = await self._latest(pool)
        except Unavailable:
            return True
        return latest is None or latest.desired > 0

    async def _latest(self, pool: str) -> DecisionRow | None:
        """Return the latest decision; None if it is older than STALE_AFTER."""
        latest = await self._decisions.find(pool, None)
        if latest is None or self._clock.now() - latest.create_time > STALE_AFTER:
            return None
        return latest


def _metric(pool: str) -> str:
    return f"{METRIC}-{pool}"


def _spec(pool: str) -> Any:
    spec = MetricSpec(metricName=_metric(pool), targetSize=1, targetSizeFloat=1.0)
    return GetMetricSpecResponse(metricSpecs=[spec])


def _stopping() -> Unavailable:
    return Unavailable("the autoscaler is stopping: ask another one", reason="STOPPING", retry_after_s=0.5)


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
