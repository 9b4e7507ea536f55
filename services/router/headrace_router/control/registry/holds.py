"""Holds in the registry on every version that a route names, so that it cannot be removed.

A hold is placed before a route names the version, so that either the route is refused or the deletion is. Each control
plane keeps all of them, under one name for all: to hold twice is to hold. A hold outlives a day without any control
plane; one that is not needed any more is released at once.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import grpc.aio
import structlog
from google.protobuf import duration_pb2
from headrace.registry.v1 import registry_pb2, registry_pb2_grpc
from headrace_servicekit.client import budget
from headrace_servicekit.clock import Clock
from headrace_servicekit.error_details import from_rpc_error
from headrace_servicekit.peers import Peer

from headrace_router.control.decisions.named import Named, named_versions
from headrace_router.control.state.view import View

log = structlog.get_logger()

TTL = timedelta(days=1)
RENEW_AFTER = timedelta(hours=1)
# For versions that the registry does not have (any more): it may have been restored, and get them again.
ASK_AGAIN_AFTER = timedelta(minutes=1)
LOOK_EVERY_S = 5.0
# The view changes at every turn of the controller; that often nothing changes here.
PAUSE_S = 0.5
CALL_S = 2.0
# A route that was written while the registry was away has its holds soon after it is back.
MAX_RETRY_S = 2.0
# What another control plane held may be named by a write of its own that is not known here yet.
ADOPTED_FOR = timedelta(seconds=5)
PAGE = 1000

# What the registry says of a version that it cannot keep: it has no such model or version, or gave its files up.
_NOT_KEPT = (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION)


@dataclass(frozen=True, slots=True)
class _Placed:
    """A hold. incarnation: of the registry that has it. release_from: it is not released earlier."""

    incarnation: str
    renew_at: datetime
    release_from: datetime


class RegistryHolds:
    """`run` for as long as the control plane lives."""

    def __init__(self, view: View, channel: Any, clock: Clock) -> None:
        self._view, self._clock = view, clock
        self._stub = registry_pb2_grpc.RegistryServiceStub(channel)
        self._placed: dict[Named, _Placed] = {}
        # About to be named by calls in progress, and by how many of them.
        self._awaited: Counter[Named] = Counter()
        # One at a time, so that no release undoes the hold that was placed after it was decided.
        self._calling = asyncio.Lock()
        self._holder = ""

    async def run(self) -> None:
        """Hold what is named, release what is not any more, for ever; without the registry, later."""
        registry = Peer("registry", every_s=PAUSE_S, max_backoff_s=MAX_RETRY_S, clock=self._clock, call="hold")
        while True:
            count = self._view.changed.count
            await registry.call(self.turn)
            await registry.pause()
            await self._view.changed.after(count, LOOK_EVERY_S)

    @contextlib.asynccontextmanager
    async def kept(self, model: str, versions: Collection[str], left_s: float | None) -> AsyncIterator[None]:
        """Hold versions that are about to be named, for as long as the block takes; what is named by then stays held.

        Raises what the registry says of a version that it cannot keep: NotFound or PreconditionFailed. A registry that
        is away deletes nothing either: the holds follow when it is back.
        """
        awaited = [(model, version) for version in versions]
        self._awaited.update(awaited)
        try:
            for version in awaited:
                await self._keep(version, left_s)
            yield
        finally:
            self._awaited.subtract(awaited)
            self._awaited += Counter()  # those at zero leave
            self._view.changed.wake()

    async def turn(self) -> None:
        """Do once all that is due. Raises AioRpcError when the registry does not answer; what is done stays done."""
        mirror, now = self._view.mirror, self._clock.now()
        if not mirror.loaded:
            return
        if self._holder != _holder(mirror.incarnation):
            await self._adopt(_holder(mirror.incarnation))
        named = named_versions(mirror.states(), mirror.leases, now)
        for version, incarnation in named.items():
            placed = self._placed.get(version)
            if placed is None or placed.incarnation != incarnation or placed.renew_at <= now:
                async with self._calling:
                    self._placed[version] = _Placed(incarnation, now + await self._hold(version), now)
        for version in [version for version, hold in self._placed.items() if version not in named]:
            if self._placed[version].release_from <= now:
                async with self._calling:
                    await self._release_unnamed(version)

    async def _keep(self, version: Named, left_s: float | None) -> None:
        """Place the hold on a version that is about to be named."""
        mirror, now = self._view.mirror, self._clock.now()
        state = mirror.state(version[0])
        incarnation = "" if state is None else state.registered.incarnation
        try:
            async with self._calling:
                await self._call_hold(version, _holder(mirror.incarnation), left_s)
                self._placed[version] = _Placed(incarnation, now + RENEW_AFTER, now)
        except grpc.aio.AioRpcError as error:
            if error.code() in _NOT_KEPT:
                raise from_rpc_error(error) from None
            log.warning("not held yet", model=version[0], version=version[1], reason=error.details())

    async def _release_unnamed(self, version: Named) -> None:
        """Release a hold, unless it came to be needed while others were placed."""
        mirror = self._view.mirror
        if version not in self._awaited and version not in named_versions(
            mirror.states(), mirror.leases, self._clock.now()
        ):
            await self._release(version)
            del self._placed[version]

    async def _adopt(self, holder: str) -> None:
        """Take over what control planes before this one held, so that it is released when no route names it."""
        declared = [state.model for state in self._view.mirror.states() if state.route is not None]
        found = [version for model in declared for version in await self._own(model, holder)]
        now = self._clock.now()
        adopted = {version: _Placed("", now, now + ADOPTED_FOR) for version in found}
        self._placed = adopted | {version: hold for version, hold in self._placed.items() if version in self._awaited}
        self._holder = holder

    async def _own(self, model: str, holder: str) -> list[Named]:
        own: list[Named] = []
        request = registry_pb2.ListHoldsRequest(parent=f"models/{model}", page_size=PAGE)
        while True:
            try:
                page = await self._stub.ListHolds(request, timeout=CALL_S)
            except grpc.aio.AioRpcError as error:
                if error.code() is grpc.StatusCode.NOT_FOUND:
                    return own
                raise
            own += [(model, hold.name.rpartition("/")[2]) for hold in page.holds if hold.holder == holder]
            if not page.next_page_token:
                return own
            request.page_token = page.next_page_token

    async def _hold(self, version: Named) -> timedelta:
        """Place or renew a hold; return when to do so again."""
        try:
            await self._call_hold(version, self._holder, None)
        except grpc.aio.AioRpcError as error:
            if error.code() not in _NOT_KEPT:
                raise
            return ASK_AGAIN_AFTER
        return RENEW_AFTER

    async def _call_hold(self, version: Named, holder: str, left_s: float | None) -> None:
        ttl = duration_pb2.Duration()
        ttl.FromTimedelta(TTL)
        request = registry_pb2.HoldVersionRequest(
            name=_name(version), holder=holder, ttl=ttl, reason=f"named by the route of {version[0]}"
        )
        await self._stub.HoldVersion(request, timeout=budget(left_s, CALL_S))

    async def _release(self, version: Named) -> None:
        request = registry_pb2.ReleaseHoldRequest(name=_name(version), holder=self._holder)
        try:
            await self._stub.ReleaseHold(request, timeout=CALL_S)
        except grpc.aio.AioRpcError as error:
            if error.code() not in _NOT_KEPT:
                raise


def _holder(incarnation: str) -> str:
    return f"router/{incarnation}"


def _name(version: Named) -> str:
    return f"models/{version[0]}/versions/{version[1]}"
