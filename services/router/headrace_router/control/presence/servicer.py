"""ControlService: what data planes and batchers ask."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

from headrace.router.v1 import control_pb2, control_pb2_grpc
from headrace_servicekit.errors import FieldViolation, InvalidArgument, Unavailable
from headrace_servicekit.loops import until

from headrace_router.control.messages import answers, batchers, convert
from headrace_router.control.presence.data_planes import DataPlanes, incarnation_mismatch
from headrace_router.control.presence.leases import Leases
from headrace_router.control.state.client_limits import ClientLimitFeed
from headrace_router.control.state.feeds import not_loaded
from headrace_router.control.state.view import View


class ControlServicer(control_pb2_grpc.ControlServiceServicer):
    """Convert, call, convert. stopping: set when the process drains; watches end then and go elsewhere."""

    def __init__(
        self, view: View, presence: DataPlanes, leasing: Leases, client_limits: ClientLimitFeed, stopping: asyncio.Event
    ) -> None:
        self._view, self._presence, self._leasing, self._stopping = view, presence, leasing, stopping
        self._client_limits = client_limits

    async def WatchTables(self, request, context):
        data_plane = convert.identifier(request.data_plane, "data_plane")
        self._check_loaded()
        await self._presence.welcome(data_plane)
        async with aclosing(until(self._stopping, self._view.tables.watch(data_plane))) as messages:  # type: ignore[type-var]
            async for message in messages:
                yield message
        raise _stopping()

    async def AcknowledgeGenerations(self, request, context):
        data_plane = convert.identifier(request.data_plane, "data_plane")
        self._check_loaded()
        self._check_incarnation(request.incarnation)
        if request.generation > self._view.mirror.newest_generation:  # another control plane may have sent it just now
            await self._view.read()
            self._check_incarnation(request.incarnation)  # or another store has taken over
        newest = self._view.mirror.newest_generation
        if not 0 <= request.generation <= newest:
            description = f"must be between 0 and the newest, {newest}"
            raise InvalidArgument(f"generation: {description}", violations=[FieldViolation("generation", description)])
        await self._presence.acknowledge(data_plane, request.generation)
        return control_pb2.AcknowledgeGenerationsResponse()

    async def WatchDemand(self, request, context):
        pool = convert.pool_of(request.pool)
        self._check_loaded()
        async with aclosing(until(self._stopping, self._view.demand.watch(pool))) as messages:  # type: ignore[type-var]
            async for message in messages:
                yield message
        raise _stopping()

    async def WatchClientLimits(self, request, context):
        async with aclosing(until(self._stopping, self._client_limits.watch(request.revision))) as messages:  # type: ignore[type-var]
            async for message in messages:
                yield message
        raise _stopping()

    async def LeaseVersion(self, request, context):
        model, version = convert.name(request.model, "model"), convert.name(request.version, "version")
        pool, holder = convert.pool_of(request.pool), convert.identifier(request.holder, "holder")
        ttl = convert.ttl(request.ttl)
        self._check_loaded()
        expires_at, readiness = await self._leasing.lease(model, version, pool, holder, ttl, context.time_remaining())
        return control_pb2.LeaseVersionResponse(
            lease_expire_time=answers.timestamp(expires_at) if expires_at is not None else None,
            readiness=answers.readiness_to_proto(readiness, self._view.serves(model, readiness.needed)),
            digest=readiness.needed.digest,
        )

    async def ReportVersions(self, request, context):
        pool = convert.pool_of(request.pool)
        process = convert.identifier(request.process, "process")
        address = convert.text(request.address, "address", convert.MAX_ID_CHARS)
        held, occupancy = batchers.reported_from_proto(request)
        self._check_loaded()
        expires_at = self._presence.report(pool, process, address, held, occupancy)
        return control_pb2.ReportVersionsResponse(lease_expire_time=answers.timestamp(expires_at))

    def _check_incarnation(self, given: str) -> None:
        if given != self._view.mirror.incarnation:
            raise incarnation_mismatch(self._view.mirror.incarnation)

    def _check_loaded(self) -> None:
        if not self._view.mirror.loaded:
            raise not_loaded()


def _stopping() -> Unavailable:
    return Unavailable("the control plane is stopping: watch another one", reason="STOPPING", retry_after_s=0.2)
