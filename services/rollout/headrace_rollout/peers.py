"""The services that a rollout is made with: the router's control plane and the registry, as a rollout needs them."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import grpc.aio
from google.protobuf import duration_pb2, json_format
from headrace.registry.v1 import approval_pb2, approval_pb2_grpc, registry_pb2, registry_pb2_grpc
from headrace.router.v1 import (
    control_pb2,
    control_pb2_grpc,
    precomputed_pb2,
    precomputed_pb2_grpc,
    route_pb2,
    route_pb2_grpc,
)
from headrace_servicekit.error_details import from_rpc_error
from headrace_servicekit.errors import PreconditionFailed

from headrace_rollout.decisions.headroom import Look, Report, Work
from headrace_rollout.decisions.rollouts import Rollout

T = TypeVar("T")

CALL_S = 5.0
# A write waits until data planes acknowledge it; its versions are ready before.
WRITE_S = 15.0
LEASE = timedelta(seconds=90)
# Renewed long before; it keeps promotions by hand away, so it must not outlive a rollout for long.
HOLD = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Written:
    """A route that was written. waiting: data planes that are connected and have not acknowledged it; cut_off: those
    that are not, and may serve what was before.
    """

    etag: str
    waiting: tuple[str, ...]
    cut_off: tuple[str, ...]


class Routes:
    """The router's control plane. Every method raises the typed error that it answers."""

    def __init__(self, channel: Any) -> None:
        self._routes = route_pb2_grpc.RouteServiceStub(channel)
        self._control = control_pb2_grpc.ControlServiceStub(channel)
        self._precomputed = precomputed_pb2_grpc.PrecomputedServiceStub(channel)

    async def route(self, model: str) -> tuple[route_pb2.Route, route_pb2.RouteStatus]:
        """Return the route of a model, and what is in force."""
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

    async def give_back(self, route: route_pb2.Route, reason: str) -> None:
        """Write a route as it was read, with other weights, and wait for the data planes."""
        request = route_pb2.UpdateRouteRequest(route=route, reason=reason[:1000])
        await answered(self._routes.UpdateRoute(request, timeout=WRITE_S))

    async def lease(self, rollout: Rollout, version: str) -> route_pb2.VersionReadiness:
        """Keep a version loaded for a while, and return how far its pool is with it."""
        request = control_pb2.LeaseVersionRequest(
            model=rollout.model, version=version, pool=rollout.pool, holder=rollout.manager, ttl=_duration(LEASE)
        )
        return (await answered(self._control.LeaseVersion(request, timeout=CALL_S))).readiness

    async def end_lease(self, rollout: Rollout, version: str) -> None:
        """Let a version go."""
        request = control_pb2.LeaseVersionRequest(
            model=rollout.model, version=version, pool=rollout.pool, holder=rollout.manager
        )
        await answered(self._control.LeaseVersion(request, timeout=CALL_S))

    async def look(self, pool: str) -> Look:
        """Return what each batcher of a pool has done that goes on taking requests."""
        found: dict[str, Report] = {}
        request = route_pb2.ListBatchersRequest(pool=pool, page_size=1000)
        while True:
            answer = await answered(self._routes.ListBatchers(request, timeout=CALL_S))
            found |= {one.process: _report(one) for one in answer.batchers if not one.draining}
            if not answer.next_page_token:
                return found
            request.page_token = answer.next_page_token

    async def coverage(self, rollout: Rollout) -> float:
        """Return of how many entities, beside those of the version before, there are precomputed answers; at most 1.

        As many entities are taken for the same ones.
        """
        request = precomputed_pb2.ListPrecomputedRequest(parent=f"models/{rollout.model}")
        answers = (await answered(self._precomputed.ListPrecomputed(request, timeout=CALL_S))).answers
        present = precomputed_pb2.PrecomputedAnswers.CONDITION_PRESENT
        entities = {one.version: one.active.entity_count for one in answers if one.condition == present}
        before = entities.get(rollout.baseline, 0)
        return min(1.0, entities.get(rollout.version, 0) / before) if before else 0.0


class Registry:
    """The registry. Every method raises the typed error that it answers."""

    def __init__(self, channel: Any) -> None:
        self._stub = registry_pb2_grpc.RegistryServiceStub(channel)
        self._approvals = approval_pb2_grpc.ApprovalServiceStub(channel)

    async def model(self, model: str) -> registry_pb2.Model:
        """Return a model."""
        request = registry_pb2.GetModelRequest(name=f"models/{model}")
        return (await answered(self._stub.GetModel(request, timeout=CALL_S))).model

    async def version(self, model: str, version: str) -> registry_pb2.ModelVersion:
        """Return a version."""
        request = registry_pb2.GetModelVersionRequest(name=f"models/{model}/versions/{version}")
        return (await answered(self._stub.GetModelVersion(request, timeout=CALL_S))).version

    async def hold(self, rollout: Rollout) -> None:
        """Keep the version of a rollout from being removed."""
        request = registry_pb2.HoldVersionRequest(
            name=f"models/{rollout.model}/versions/{rollout.version}",
            holder=rollout.manager,
            ttl=_duration(HOLD),
            reason=f"rolled out by {rollout.client or 'somebody'}",
        )
        await answered(self._stub.HoldVersion(request, timeout=CALL_S))

    async def release(self, rollout: Rollout) -> None:
        """End that."""
        request = registry_pb2.ReleaseHoldRequest(
            name=f"models/{rollout.model}/versions/{rollout.version}", holder=rollout.manager
        )
        await answered(self._stub.ReleaseHold(request, timeout=CALL_S))

    async def promote(self, rollout: Rollout) -> None:
        """Have the registry name the version where the variant looks, unless it does.

        Raises PreconditionFailed, reason MOVED_BY_HAND, when it names another one than before the rollout, and Aborted
        when the model changed meanwhile.
        """
        model = await self.model(rollout.model)
        named = _named(model, rollout)
        if named == rollout.version:
            return
        if named != rollout.baseline:
            raise PreconditionFailed(f"version {named} was put there by hand", reason="MOVED_BY_HAND")
        reason = f"{rollout.name}: {rollout.reason}"[:1000]
        if rollout.reference == "follow_alias":
            alias = registry_pb2.SetAliasRequest(
                name=f"models/{rollout.model}/aliases/{rollout.alias}",
                version=rollout.version,
                reason=reason,
                etag=model.etag,
            )
            await answered(self._stub.SetAlias(alias, timeout=CALL_S))
            return
        request = registry_pb2.PromoteModelVersionRequest(
            name=f"models/{rollout.model}/versions/{rollout.version}",
            target_stage=registry_pb2.ModelVersion.STAGE_PRODUCTION,
            reason=reason,
            etag=model.etag,
            rollout=rollout.manager,
        )
        await answered(self._stub.PromoteModelVersion(request, timeout=CALL_S))

    async def check_promotion(self, rollout: Rollout) -> None:
        """Raise what the registry would say if the version were promoted now."""
        if rollout.reference != "follow_production":
            return
        request = registry_pb2.PromoteModelVersionRequest(
            name=f"models/{rollout.model}/versions/{rollout.version}",
            target_stage=registry_pb2.ModelVersion.STAGE_PRODUCTION,
            rollout=rollout.manager,
            promotion_request=rollout.promotion_request,
            validate_only=True,
        )
        await answered(self._stub.PromoteModelVersion(request, timeout=CALL_S))

    async def approved(self) -> list[approval_pb2.PromotionRequest]:
        """Return the requests for promotion that wait for their rollout."""
        found: list[approval_pb2.PromotionRequest] = []
        request = approval_pb2.ListPromotionRequestsRequest(state=approval_pb2.PromotionRequest.STATE_APPROVED)
        while True:
            answer = await answered(self._approvals.ListPromotionRequests(request, timeout=CALL_S))
            found += answer.requests
            if not answer.next_page_token:
                return found
            request.page_token = answer.next_page_token

    async def claim(self, rollout: Rollout) -> None:
        """Have the request for promotion, that a rollout is the effect of, be this rollout's."""
        if rollout.promotion_request:
            request = approval_pb2.ClaimPromotionRequestRequest(name=rollout.promotion_request, rollout=rollout.manager)
            await answered(self._approvals.ClaimPromotionRequest(request, timeout=CALL_S))

    async def named(self, rollout: Rollout) -> str:
        """Return the version that the registry has where the variant looks: in production, or behind its alias."""
        return _named(await self.model(rollout.model), rollout)


def _named(model: registry_pb2.Model, rollout: Rollout) -> str:
    if rollout.reference == "follow_alias":
        return model.aliases.get(rollout.alias, "")
    return model.production_version


def _report(batcher: route_pb2.Batcher) -> Report:
    work = {
        one.digest: Work(
            one.model, one.version, one.load.answered_requests, one.load.compute.ToTimedelta().total_seconds()
        )
        for one in batcher.versions
    }
    return Report(batcher.report_time.ToDatetime().timestamp(), work)


def lack_of(readiness: route_pb2.VersionReadiness) -> str:
    """Return what a pool lacks until each of its batchers can answer for a version; empty when nothing."""
    pool = f"pool {readiness.pool}"
    if not readiness.batchers:
        return f"{pool} has no batcher"
    if readiness.ready_batchers == readiness.batchers:
        return ""
    told = f"{readiness.ready_batchers} of {readiness.batchers} batchers of {pool} have version {readiness.version}"
    return f"{told}: {readiness.failure}" if readiness.failure else told


def route_text(route: route_pb2.Route) -> str:
    """Return a route as a rollout keeps it: as it was declared."""
    kept = route_pb2.Route()
    kept.CopyFrom(route)
    for name in ("etag", "update_time", "updated_by", "managed_by"):
        kept.ClearField(name)
    for variant in kept.variants:
        variant.ClearField("serving_version")
    return json_format.MessageToJson(kept, preserving_proto_field_name=True, indent=None)


def route_of(text: str) -> route_pb2.Route:
    """Return the route that a rollout keeps."""
    return json_format.Parse(text, route_pb2.Route())


async def answered(call: Awaitable[T]) -> T:
    """Return what a call returns; raise the typed error that it answers."""
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        raise from_rpc_error(error) from None


def _duration(value: timedelta) -> duration_pb2.Duration:
    duration = duration_pb2.Duration()
    duration.FromTimedelta(value)
    return duration
