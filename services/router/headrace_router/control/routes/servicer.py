"""RouteService: how people and controllers read and declare routes."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

from headrace.router.v1 import route_pb2, route_pb2_grpc
from headrace.router.v1.route_pb2 import PurgeCacheRequest, UpdateRouteRequest
from headrace_servicekit.errors import FieldViolation, InvalidArgument, PreconditionFailed, ServiceError, Unavailable
from headrace_servicekit.identity import identity, model_not_found, visible

from headrace_router.control.decisions.assignment import assign
from headrace_router.control.decisions.preview import preview
from headrace_router.control.decisions.readiness import Report
from headrace_router.control.decisions.routes import Unit
from headrace_router.control.decisions.states import RouteState
from headrace_router.control.messages import answers, batchers, convert, pages
from headrace_router.control.routes.contracts import Contracts
from headrace_router.control.routes.purges import Purge, Purging
from headrace_router.control.routes.writes import CatchUp, Declaration, Writing
from headrace_router.control.state.feeds import not_loaded
from headrace_router.control.state.view import View
from headrace_router.control.state.waits import Waits
from headrace_router.control.storage.store import Store

# Each holds the fallbacks that were declared, up to some megabytes: a page of them is never read whole.
EVENTS_AT_ONCE = 16


class RouteServicer(route_pb2_grpc.RouteServiceServicer):
    """Convert, call, convert. history: where changes are kept."""

    def __init__(
        self,
        view: View,
        writing: Writing,
        purging: Purging,
        contracts: Contracts,
        waits: Waits,
        history: Store,
        catch_up: CatchUp,
    ) -> None:
        self._view, self._writing, self._purging, self._waits = view, writing, purging, waits
        self._contracts = contracts
        self._history, self._catch_up = history, catch_up

    async def GetRoute(self, request, context):
        model = convert.model_of_route(request.name)
        await self._view.freshen()
        state = await self._state(model, context)
        return route_pb2.GetRouteResponse(route=_route(state), status=self._status(state))

    async def ListRoutes(self, request, context):
        if not self._view.mirror.loaded:
            raise not_loaded()
        after, size = pages.last_of(request.page_token), pages.page_size(request.page_size)
        mirror = self._view.mirror
        models = visible(sorted(state.model for state in mirror.states() if state.model > after))
        states = [state for model in models[: size + 1] if (state := mirror.state(model)) is not None]
        page = pages.Page(size, _route, lambda state: state.model)
        page.take(states)
        return route_pb2.ListRoutesResponse(routes=page.messages, next_page_token=page.token)

    async def ListRouteEvents(self, request, context):
        model = convert.model_of_route(request.parent, "parent")
        before, size = pages.number_of(request.page_token), pages.page_size(request.page_size)
        await self._state(model, context)
        page = pages.Page(size, answers.event_to_proto, lambda record: str(record.number))
        records = await self._history.changes(model, EVENTS_AT_ONCE, before)
        while page.take(records) and len(records) == EVENTS_AT_ONCE:
            records = await self._history.changes(model, EVENTS_AT_ONCE, records[-1].number)
        return route_pb2.ListRouteEventsResponse(events=page.messages, next_page_token=page.token)

    async def DryRunRoute(self, request, context):
        route = convert.route_from_proto(request.route)
        manager, subjects = convert.manager_of(request.manager), convert.subjects_from_proto(request.examples)
        if not self._view.mirror.loaded:
            raise not_loaded()
        # What the caller has just written or registered must be known here too.
        await self._view.freshen()
        await self._catch_up(route.model, context.time_remaining())
        await self._contracts.learn(route)
        state = self._existing(route.model)
        seen = preview(
            state,
            route,
            read_etag=request.route.etag,
            manager=manager,
            subjects=subjects,
            fleet=self._view.fleet(),
            fits=self._contracts.fits,
        )
        return answers.preview_to_proto(seen, replace(route, managed_by=state.declared.managed_by))

    async def UpdateRoute(self, request, context):
        if not self._view.mirror.loaded:
            raise not_loaded()
        writer = convert.writer_from_proto(request, identity())
        route = convert.route_from_proto(request.route)
        wanted = Declaration(
            route=replace(route, managed_by="" if request.release else writer.manager),
            read_etag=request.route.etag,
            writer=writer,
            request_id=convert.text(request.request_id, "request_id", convert.MAX_REQUEST_ID_CHARS),
            fingerprint=_fingerprint(request),
        )
        if request.validate_only:
            change = await self._writing.check(wanted, context.time_remaining)
        else:
            change = (await self._writing.update(wanted, context.time_remaining)).change
        return route_pb2.UpdateRouteResponse(
            route=answers.route_to_proto(change.route, answers.serving_by(change.table)),
            status=self._status(self._existing(route.model)),
            moved_share=change.moved_share,
        )

    async def AssignUnit(self, request, context):
        state = await self._state(convert.model_of_route(request.name), context)
        active = state.active
        if active is None:
            reason = self._view.status(state).reason
            raise Unavailable(
                f"nothing serves '{state.model}' yet: {reason}", reason="MODEL_NOT_READY", retry_after_s=1.0
            )
        found = assign(active.table, state.salt, convert.subject_from_proto(request))
        if found.bucket is None and not found.rule:
            raise _no_unit(active.table.unit)
        return route_pb2.AssignUnitResponse(
            variant=found.variant,
            version=found.version,
            bucket=found.bucket or 0,
            generation=active.number,
            rule=found.rule,
        )

    async def PurgeCache(self, request, context):
        wanted = Purge(
            model=convert.model_of_route(request.name),
            version=convert.name(request.version, "version") if request.version else "",
            client=identity().client,
            reason=convert.text(request.reason, "reason", convert.MAX_REASON_CHARS),
            request_id=convert.text(request.request_id, "request_id", convert.MAX_REQUEST_ID_CHARS),
            fingerprint=_fingerprint(request),
        )
        if not self._view.mirror.loaded:
            raise not_loaded()
        done = await self._purging.purge(wanted, context.time_remaining)
        status = self._status(self._existing(wanted.model))
        return route_pb2.PurgeCacheResponse(version=done.version, cache_epoch=done.cache_epoch, status=status)

    async def AwaitRegistryEpoch(self, request, context):
        model = convert.model_of_route(request.name)
        if request.registry_epoch < 0:
            raise InvalidArgument(
                "registry_epoch: must not be negative",
                violations=[FieldViolation("registry_epoch", "must not be negative")],
            )
        await self._state(model, context)
        status = await self._waits.epoch(model, request.registry_epoch, context.time_remaining())
        await self._waits.acknowledged(status.generation, context.time_remaining())
        return route_pb2.AwaitRegistryEpochResponse(status=self._status(self._existing(model)))

    async def ListBatchers(self, request, context):
        pool = convert.pool_of(request.pool) if request.pool else ""
        after, size = pages.last_of(request.page_token), pages.page_size(request.page_size)
        if not self._view.mirror.loaded:
            raise not_loaded()
        await self._view.freshen()
        fleet = self._view.fleet()
        reports = [one for one in fleet.batchers(pool) if _place(one) > after][: size + 1]
        names = self._view.names({digest for one in reports for digest in (*one.versions, *one.occupancy.unwanted)})
        sees, lease = identity().sees, self._view.timing.lease
        shown = {digest: name for digest, name in names.items() if sees(name[0])}
        page = pages.Page(size, lambda one: batchers.batcher_to_proto(one, shown, one.expires_at - lease), _place)
        page.take(reports)
        return route_pb2.ListBatchersResponse(
            batchers=page.messages,
            next_page_token=page.token,
            read_time=answers.timestamp(fleet.now),
        )

    async def _state(self, model: str, context) -> RouteState:
        """Return the state of a model; one that is not known here may have been registered a moment ago."""
        if not self._view.mirror.loaded:
            raise not_loaded()
        if self._view.mirror.state(model) is None:
            await self._catch_up(model, context.time_remaining())
        return self._existing(model)

    def _existing(self, model: str) -> RouteState:
        state = self._view.mirror.state(model)
        if state is None:
            raise model_not_found(model)
        return state

    def _status(self, state: RouteState) -> route_pb2.RouteStatus:
        return answers.status_to_proto(self._view.status(state))


def _place(report: Report) -> str:
    """Return the place of a batcher in the list."""
    return "\n".join((report.pool, report.address, report.process))


def _fingerprint(request: UpdateRouteRequest | PurgeCacheRequest) -> bytes:
    """Return what tells a repeated request from another one with the same id."""
    content = type(request)()
    content.CopyFrom(request)  # type: ignore[arg-type]
    content.ClearField("request_id")
    kind = b"" if isinstance(request, UpdateRouteRequest) else request.DESCRIPTOR.full_name.encode()
    return sha256(kind + content.SerializeToString(deterministic=True)).digest()


def _route(state: RouteState) -> route_pb2.Route:
    return answers.route_to_proto(state.declared, answers.serving_by(state.active.table if state.active else None))


def _no_unit(unit: Unit) -> ServiceError:
    """Return the error for a request without the id that the route assigns by."""
    if unit is Unit.REQUEST:
        return PreconditionFailed(
            "the route assigns every request by itself: no unit keeps its variant", reason="UNIT_IS_REQUEST"
        )
    field = "entity_id" if unit is Unit.ENTITY else "user_id"
    description = "must not be empty: the route assigns by it"
    return InvalidArgument(f"{field}: {description}", violations=[FieldViolation(field, description)])
