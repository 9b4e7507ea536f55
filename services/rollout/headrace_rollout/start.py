"""Start of a rollout: its plan, the obstacles, and the start itself."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from headrace.router.v1 import route_pb2
from headrace_servicekit.errors import PreconditionFailed, ServiceError

from headrace_rollout.alerts import FreezeAlerts
from headrace_rollout.decisions import growth, policies, progress, routes
from headrace_rollout.decisions.headroom import Room, VariantTraffic
from headrace_rollout.decisions.policies import Policy
from headrace_rollout.decisions.rollouts import Event, Rollout, Transition
from headrace_rollout.peers import Routes, route_of, route_text
from headrace_rollout.pool_costs import HeadRoom
from headrace_rollout.registry import Registry
from headrace_rollout.store import Request, Store
from headrace_rollout.traffic import TrafficReader

# Creation time of a draft.
_NOT_YET = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A requested rollout. variant: empty for the only one with traffic. policy: None for the model's template.

    promotion_request: name of the approved request in the registry; empty for none.
    """

    model: str
    version: str
    variant: str
    policy: Policy | None
    client: str
    reason: str
    promotion_request: str = ""


@dataclass(frozen=True, slots=True)
class Draft:
    """A rollout before its start. obstacles: errors that a start would raise. traffic: recent traffic of the variant;
    None if not requested or unknown. room: head-room of the pool, as far as it is known. kept_back: why it would not
    take its first step after the start; empty if it would.
    """

    rollout: Rollout
    route: route_pb2.Route
    obstacles: tuple[ServiceError, ...]
    moved_shares: tuple[float, ...]
    traffic: VariantTraffic | None
    ready_batchers: int
    batchers: int
    room: Room = field(default_factory=Room)
    kept_back: str = ""


class Starting:
    """The use cases behind PlanRollout and StartRollout."""

    def __init__(
        self,
        store: Store,
        routes: Routes,
        registry: Registry,
        traffic: TrafficReader,
        headroom: HeadRoom,
        alerts: FreezeAlerts,
    ) -> None:
        self._store, self._routes, self._registry = store, routes, registry
        self._traffic, self._headroom, self._alerts = traffic, headroom, alerts

    async def start(self, wanted: Wanted, request: Request) -> Rollout:
        """Start a rollout, or return the one that the request has started. Raises the first obstacle."""
        earlier = await self._store.repeated(request)
        if earlier is not None:
            return earlier
        draft = await self.draft(wanted)
        if draft.obstacles:
            raise draft.obstacles[0]
        message = f"{wanted.client or 'an unknown client'} rolls out version {wanted.version}"
        message += f" by {draft.rollout.policy.strategy.value.replace('_', '-')}"
        event = Event("started", f"{message}: {wanted.reason}" if wanted.reason else message, wanted.client)

        def began(id_: int, now: datetime) -> Transition:
            return Transition(replace(draft.rollout, id=id_, create_time=now), (event,))

        return await self._store.start(began, request)

    async def check(self, wanted: Wanted, request: Request, *, becomes: route_pb2.Route) -> None:
        """Raise the first obstacle of a start, before any change; none if the request has started its rollout.

        becomes: the route after its current manager has released it.
        """
        if await self._store.repeated(request) is None:
            rollout, route = await self._drafted(wanted, becomes)
            for obstacle in [*self._known_obstacles(rollout, route), *await self._asked_obstacles(rollout)]:
                raise obstacle

    async def production(self, model: str) -> str:
        """Return the production version of a model in the registry; empty for none."""
        return (await self._registry.model(model)).production_version

    async def plan(self, wanted: Wanted) -> Draft:
        """Return the draft of a rollout with recent traffic and head-room. Raises as `draft`."""
        draft = await self.draft(wanted)
        traffic = await self._traffic.of(wanted.model, draft.rollout.variant)
        room = await self._headroom.measured(draft.rollout) if traffic is not None else Room()
        kept_back = growth.kept_back(draft.rollout, self._alerts.surroundings(wanted.model))
        return replace(draft, traffic=traffic, room=room, kept_back=kept_back)

    async def draft(self, wanted: Wanted) -> Draft:
        """Return the draft of a rollout with its obstacles.

        Raises NotFound, InvalidArgument naming the field, and PreconditionFailed if no draft is possible: reason
        ROLLOUT_RUNNING, ROUTE_MANAGED, VARIANT_AMBIGUOUS or NOT_SERVING.
        """
        rollout, route = await self._drafted(wanted)
        obstacles = [*self._known_obstacles(rollout, route), *await self._asked_obstacles(rollout)]
        moved, ready, batchers = await self._shares(rollout, route) if not obstacles else ((), 0, 0)
        return Draft(rollout, route, tuple(obstacles), moved, None, ready, batchers)

    async def _drafted(self, wanted: Wanted, becomes: route_pb2.Route | None = None) -> tuple[Rollout, route_pb2.Route]:
        policy = policies.completed(wanted.policy or await self._store.template(wanted.model) or policies.DEFAULT)
        route, status = await self._routes.route(wanted.model)
        await self._check_free(wanted.model, route.managed_by if becomes is None else "")
        route = becomes or route
        variant = routes.variant_of(route, wanted.variant)
        baseline = variant.serving_version
        if not baseline or status.state == route_pb2.RouteStatus.STATE_NOT_SERVING:
            raise PreconditionFailed(
                f"nothing serves variant '{variant.name}' yet: promote a version first", reason="NOT_SERVING"
            )
        await self._registry.version(wanted.model, wanted.version)
        reference, alias = routes.reference(route, variant.name)
        rollout = Rollout(
            id=0,
            model=wanted.model,
            version=wanted.version,
            baseline=baseline,
            variant=variant.name,
            pool=variant.pool or "default",
            reference=reference,
            alias=alias,
            policy=policy,
            original=route_text(route),
            etag=route.etag,
            client=wanted.client,
            start_reason=wanted.reason,
            create_time=_NOT_YET,
            reason="waits until the version is ready",
            promotion_request=wanted.promotion_request,
        )
        return rollout, route

    async def _check_free(self, model: str, managed_by: str) -> None:
        """Raise PreconditionFailed, reason ROLLOUT_RUNNING or ROUTE_MANAGED: the route is not as it will be."""
        running = await self._store.rollouts(before=2**62, model=model, running=True, limit=1)
        if running:
            raise progress.already_running(model, running[0].id)
        if managed_by:
            message = f"the route of '{model}' is managed by {managed_by}: stop that first"
            raise PreconditionFailed(message, reason="ROUTE_MANAGED", metadata={"managed_by": managed_by})

    def _known_obstacles(self, rollout: Rollout, route: route_pb2.Route) -> list[ServiceError]:
        found: list[ServiceError] = []
        if rollout.version == rollout.baseline:
            message = f"version {rollout.version} serves variant '{rollout.variant}' already"
            found.append(PreconditionFailed(message, reason="ALREADY_SERVING"))
        if any(one.name == routes.VARIANT for one in route.variants):
            message = f"the route has a variant called '{routes.VARIANT}', which rollouts add: rename it"
            found.append(PreconditionFailed(message, reason="VARIANT_TAKEN"))
        try:
            if rollout.policy.shadow is not None:
                routes.check_shadowing(route)
            if rollout.policy.steps:
                routes.check_unit(route, sticky=rollout.policy.sticky)
        except PreconditionFailed as error:
            found.append(error)
        return found

    async def _asked_obstacles(self, rollout: Rollout) -> list[ServiceError]:
        """Return what the registry would say against the version; nothing where it is never asked to promote it."""
        if not rollout.policy.steps:
            return []
        try:
            await self._registry.check_promotion(rollout)
        except PreconditionFailed as error:
            return [error]
        return []

    async def _shares(self, rollout: Rollout, route: route_pb2.Route) -> tuple[tuple[float, ...], int, int]:
        """Ask the control plane what the first stage would do; raises what a write of it would meet."""
        steps = rollout.policy.steps
        first = routes.staged(route_of(rollout.original), progress.prepared(rollout, "", _NOT_YET, Room()).rollout)
        seen = await self._routes.dry_run(first, "rollouts/0")
        readiness = next((one for one in seen.versions if one.version == rollout.version), None)
        shares, before = [], 0.0
        for step in steps:
            shares.append(routes.moved(route, rollout.variant, step.share - before))
            before = step.share
        if readiness is None:
            return tuple(shares), 0, 0
        return tuple(shares), readiness.ready_batchers, readiness.batchers
