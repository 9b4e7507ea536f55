"""The router's control plane as a rollout needs it, and how other services are called."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import grpc.aio
from google.protobuf import duration_pb2, json_format
from headrace.router.v1 import (
    control_pb2,
    control_pb2_grpc,
    precomputed_pb2,
    precomputed_pb2_grpc,
    route_pb2,
    route_pb2_grpc,
)
from headrace_servicekit.error_details import from_rpc_error

from headrace_rollout.decisions.headroom import Look, Report, Work
from headrace_rollout.decisions.rollouts import Rollout

T = TypeVar("T")

CALL_S = 5.0
# A write waits until data planes acknowledge it; its versions are ready before.
WRITE_S = 15.0
LEASE = timedelta(seconds=90)


@dataclass(frozen=True, slots=True)
class Written:
    """A written route. waiting: connected data planes that have not acknowledged it; cut_off: disconnected ones, which
    may serve the previous route.
    """

    etag: str
    waiting: tuple[str, ...]
    cut_off: tuple[str, ...]


class Routes:
    """Client of the router's control plane. Every method raises the typed error of the call."""

    def __init__(self, channel: Any) -> None:
        self._routes = route_pb2_grpc.RouteServiceStub(channel)
        self._control = control_pb2_grpc.ControlServiceStub(channel)
        self._precomputed = precomputed_pb2_grpc.PrecomputedServiceStub(channel)

    async def route(self, model: str) -> tuple[route_pb2.Route, route_pb2.RouteStatus]:
        """Return the route of a model, and its status."""
        answer = await answered(
            self._routes.GetRoute(route_pb2.GetRouteRequest(name=f"routes/{model}"), timeout=CALL_S)
        )
        return answer.route, answer.status

    async def dry_run(self, route: route_pb2.Route, manager: str) -> route_pb2.DryRunRouteResponse:
        """Return what writing a route would do."""
        request = route_pb2.DryRunRouteRequest(route=route, manager=manager)
        return await answered(self._routes.DryRunRoute(request, timeout=CALL_S))

    async def write(self, rollout: Rollout, route: route_pb2.Route, *, release: bool = False) -> Written:
        """Write a route for a rollout and wait for the data planes. Repeating it is safe."""
        wanted = route_pb2.Route()
        wanted.CopyFrom(route)
        wanted.etag = rollout.etag
        request = route_pb2.UpdateRouteRequest(
            route=wanted,
            reason=f"{rollout.name}: {rollout.reason}"[:1000],
            request_id=rollout.request_id,
            manager=rollout.manager,
            release=release,
        )
        answer = await answered(self._routes.UpdateRoute(request, timeout=WRITE_S))
        late = [plane for plane in answer.status.data_planes if not plane.acknowledged]
        return Written(
            answer.route.etag,
            waiting=tuple(plane.name for plane in late if plane.connected),
            cut_off=tuple(plane.name for plane in late if not plane.connected),
        )

    async def write_for(self, manager: str, route: route_pb2.Route, reason: str, *, release: bool) -> float:
        """Write a route as it was read, with other weights, and wait for the data planes; return the share of units
        that moved. release: end the management of the route.
        """
        request = route_pb2.UpdateRouteRequest(route=route, reason=reason[:1000], manager=manager, release=release)
        return (await answered(self._routes.UpdateRoute(request, timeout=WRITE_S))).moved_share

    async def lease(self, rollout: Rollout, version: str) -> route_pb2.VersionReadiness:
        """Keep a version loaded for LEASE; return its readiness in the pool."""
        request = control_pb2.LeaseVersionRequest(
            model=rollout.model, version=version, pool=rollout.pool, holder=rollout.manager, ttl=duration_of(LEASE)
        )
        return (await answered(self._control.LeaseVersion(request, timeout=CALL_S))).readiness

    async def end_lease(self, rollout: Rollout, version: str) -> None:
        """End the lease of a version."""
        request = control_pb2.LeaseVersionRequest(
            model=rollout.model, version=version, pool=rollout.pool, holder=rollout.manager
        )
        await answered(self._control.LeaseVersion(request, timeout=CALL_S))

    async def look(self, pool: str) -> Look:
        """Return the counters of each batcher of a pool that is not draining, by process."""
        found: dict[str, Report] = {}
        request = route_pb2.ListBatchersRequest(pool=pool, page_size=1000)
        while True:
            answer = await answered(self._routes.ListBatchers(request, timeout=CALL_S))
            found |= {one.process: _report(one) for one in answer.batchers if not one.draining}
            if not answer.next_page_token:
                return found
            request.page_token = answer.next_page_token

    async def coverage(self, rollout: Rollout) -> float:
        """Return the ratio of entities with precomputed answers of the version to those of the baseline, at most 1.

        Compares counts only: equal counts are taken for the same entities.
        """
        request = precomputed_pb2.ListPrecomputedRequest(parent=f"models/{rollout.model}")
        answers = (await answered(self._precomputed.ListPrecomputed(request, timeout=CALL_S))).answers
        present = precomputed_pb2.PrecomputedAnswers.CONDITION_PRESENT
        entities = {one.version: one.active.entity_count for one in answers if one.condition == present}
        before = entities.get(rollout.baseline, 0)
        return min(1.0, entities.get(rollout.version, 0) / before) if before else 0.0


def _report(batcher: route_pb2.Batcher) -> Report:
    work = {
        one.digest: Work(
            one.model, one.version, one.load.answered_requests, one.load.compute.ToTimedelta().total_seconds()
        )
        for one in batcher.versions
    }
    return Report(batcher.report_time.ToDatetime().timestamp(), work)


def lack_of(readiness: route_pb2.VersionReadiness) -> str:
    """Return what is missing until every batcher of a pool has a version ready; empty if nothing is."""
    pool = f"pool {readiness.pool}"
    if not readiness.batchers:
        return f"{pool} has no batcher"
    if readiness.ready_batchers == readiness.batchers:
        return ""
    message = f"{readiness.ready_batchers} of {readiness.batchers} batchers of {pool} have version {readiness.version}"
    return f"{message}: {readiness.failure}" if readiness.failure else message


def route_text(route: route_pb2.Route) -> str:
    """Return the declared fields of a route as JSON, as a rollout stores it."""
    declared = route_pb2.Route()
    declared.CopyFrom(route)
    for name in ("etag", "update_time", "updated_by", "managed_by"):
        declared.ClearField(name)
    for variant in declared.variants:
        variant.ClearField("serving_version")
    return json_format.MessageToJson(declared, preserving_proto_field_name=True, indent=None)


def route_of(text: str) -> route_pb2.Route:
    """Return the route of a JSON text that a rollout stores."""
    return json_format.Parse(text, route_pb2.Route())


async def answered(call: Awaitable[T]) -> T:
    """Await a call; raise its typed error."""
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        raise from_rpc_error(error) from None


def duration_of(value: timedelta) -> duration_pb2.Duration:
    """Return a timedelta as a protobuf Duration."""
    duration = duration_pb2.Duration()
    duration.FromTimedelta(value)
    return duration
