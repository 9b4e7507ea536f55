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
from headrace_servicekit.clock import Clock
from headrace_servicekit.errors import Unavailable
from headrace_servicekit.resource_names import invalid, is_id
from headrace_servicekit.server import Server

from headrace_autoscaler.keda import messages
from headrace_autoscaler.storage.decisions import Decisions
from headrace_autoscaler.storage.pools import Pools
from headrace_autoscaler.storage.values import DecisionRow

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
        for name, (takes, gives, streams) in messages.METHODS.items():
            make = grpc.unary_stream_rpc_method_handler if streams else grpc.unary_unary_rpc_method_handler
            handlers[name] = make(
                getattr(self, name),
                request_deserializer=messages.message(takes).FromString,
                response_serializer=messages.message(gives).SerializeToString,
            )
        server.add_registered_method_handlers(messages.SERVICE, handlers)

    async def IsActive(self, request: Any, context: Any) -> Any:
        return messages.IsActiveResponse(result=await self._is_active(await self._pool(request)))

    async def StreamIsActive(self, request: Any, context: Any) -> AsyncIterator[Any]:
        pool, sent = await self._pool(request), None
        while not self._stopping.is_set():
            active = await self._is_active(pool)
            if active is not sent:
                yield messages.IsActiveResponse(result=active)
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
        value = messages.MetricValue(
            metricName=_metric(pool), metricValue=latest.desired, metricValueFloat=float(latest.desired)
        )
        return messages.GetMetricsResponse(metricValues=[value])

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
    spec = messages.MetricSpec(metricName=_metric(pool), targetSize=1, targetSizeFloat=1.0)
    return messages.GetMetricSpecResponse(metricSpecs=[spec])


def _stopping() -> Unavailable:
    return Unavailable("the autoscaler is stopping: ask another one", reason="STOPPING", retry_after_s=0.5)
