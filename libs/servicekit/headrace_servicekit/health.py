"""Health with named components, answered as `grpc.health.v1`.

The wheel's async servicer is not used: when one of several watchers of a name leaves, it forgets the others, and its
watches never end, so that every graceful stop lasts the whole grace period.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass

import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc

from headrace_servicekit.clock import Clock
from headrace_servicekit.coordination.wakeup import Wakeup
from headrace_servicekit.errors import NotFound
from headrace_servicekit.loops import end_if_cancelled

log = structlog.get_logger()

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICE_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN

CHECK_PERIOD_S = 1.0
# Until a dependency was well once it is asked sooner: a database gets its schema a moment after the first question.
FIRST_PERIOD_S = 0.05
CHECK_TIMEOUT_S = 1.0
# A dependency that refuses or breaks is away: that counts at once. One that is silent may only be slow, or this machine
# may be, so what was well stays so until it was silent three times in a row, which is three seconds (decision 54).
SILENT_IN_A_ROW = 3


@dataclass(slots=True)
class _Component:
    required: bool
    healthy: bool = False
    reason: str = "not checked yet"


class Health:
    """The readiness of one process: the empty name is all required components together.

    It begins NOT_SERVING, becomes SERVING after `open()` while every required component is healthy, and is NOT_SERVING
    for good after `drain()`.
    """

    def __init__(self) -> None:
        self._components: dict[str, _Component] = {}
        self._services: set[str] = set()
        self._open = False
        self._draining = False
        self._closed = False
        self._changed = Wakeup()

    @property
    def ready(self) -> bool:
        """Return whether the process wants calls."""
        return self._open and not self._draining and all(c.healthy for c in self._components.values() if c.required)

    def add(self, name: str, *, required: bool = True) -> None:
        """Add a component, unhealthy until `set` says otherwise. One that is not required never costs readiness."""
        if not name or name in self._components:
            raise ValueError(f"health component {name!r} is empty or exists")
        self._components[name] = _Component(required)
        self._notify()

    def add_service(self, name: str) -> None:
        """Make the full name of a gRPC service answer with the readiness of the process."""
        self._services.add(name)

    def set(self, name: str, healthy: bool, reason: str = "") -> None:
        """Record the state of a component; a change is logged with its reason and reaches every watcher."""
        component = self._components[name]
        if component.healthy == healthy:
            component.reason = reason
            return
        before, component.healthy, component.reason = self.ready, healthy, reason
        log.log(20 if healthy else 30, "component changed", component=name, healthy=healthy, reason=reason or None)
        if self.ready != before:
            log.log(20 if self.ready else 30, "readiness changed", ready=self.ready)
        self._notify()

    def open(self) -> None:
        """Allow SERVING: everything is up."""
        self._open = True
        self._notify()

    def drain(self) -> None:
        """Answer NOT_SERVING from now on, whatever the components say."""
        self._draining = True
        self._notify()

    def close(self) -> None:
        """End every watch, so that the server can stop."""
        self._closed = True
        self._notify()

    def components(self) -> dict[str, tuple[bool, str]]:
        """Return (healthy, reason) of every component."""
        return {name: (c.healthy, c.reason) for name, c in self._components.items()}

    def status(self, name: str) -> health_pb2.HealthCheckResponse.ServingStatus | None:
        """Return the status of a component, a gRPC service, or all (empty name); None when there is no such name."""
        if not name or name in self._services:
            return SERVING if self.ready else NOT_SERVING
        component = self._components.get(name)
        if component is None:
            return None
        return SERVING if component.healthy and not self._draining else NOT_SERVING

    async def watch(self, name: str) -> AsyncGenerator[health_pb2.HealthCheckResponse.ServingStatus, None]:
        """Yield the status of a name now and at every change, until the server stops."""
        last = None
        while True:
            count = self._changed.count
            status = self.status(name)
            status = SERVICE_UNKNOWN if status is None else status
            if status != last:
                yield status
                last = status
            if self._closed:
                return
            await self._changed.after(count)

    def _notify(self) -> None:
        self._changed.wake()


class HealthServicer(health_pb2_grpc.HealthServicer):
    """`grpc.health.v1.Health` over a Health."""

    def __init__(self, health: Health) -> None:
        self._health = health

    async def Check(self, request, context):
        status = self._health.status(request.service)
        if status is None:
            raise NotFound(f"service '{request.service}' not found", reason="SERVICE_NOT_FOUND")
        return health_pb2.HealthCheckResponse(status=status)

    async def Watch(self, request, context):
        async with contextlib.aclosing(self._health.watch(request.service)) as statuses:
            async for status in statuses:
                yield health_pb2.HealthCheckResponse(status=status)


async def serving(health: Health, name: str) -> None:
    """Return once a name, the empty one for all, is SERVING."""
    async with contextlib.aclosing(health.watch(name)) as statuses:
        async for status in statuses:
            if status == SERVING:
                return


async def poll(health: Health, name: str, probe: Callable[[], Awaitable[object]], clock: Clock) -> None:
    """Ask `probe` every second, for ever; at first sooner, until it was healthy once.

    Healthy is an answer other than False. An exception is unhealthy; so is no answer within a second, three times in a
    row where it was healthy before. The reason is kept.
    """
    silent, period_s = 0, FIRST_PERIOD_S
    while True:
        asked = clock.monotonic()
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_S):
                answer = await probe()
            silent = 0
            health.set(name, answer is not False, "" if answer is not False else "check answered no")
        except Exception as error:
            silent = silent + 1 if _is_silence(error) else 0
            was_healthy, _ = health.components()[name]
            health.set(name, was_healthy and 0 < silent < SILENT_IN_A_ROW, _reason(error, silent))
        end_if_cancelled()
        period_s = CHECK_PERIOD_S if health.components()[name][0] else min(period_s, CHECK_PERIOD_S)
        # One that was silent for its second is asked again at once.
        await clock.sleep(period_s - (clock.monotonic() - asked if silent else 0))
        period_s *= 2


def _is_silence(error: BaseException) -> bool:
    """Return whether a probe failed for want of an answer; an error of ours that stands for one counts likewise."""
    return isinstance(error, TimeoutError) or isinstance(error.__cause__, TimeoutError)


def _reason(error: BaseException, silent: int) -> str:
    if isinstance(error, TimeoutError) and not str(error):
        return f"no answer within {CHECK_TIMEOUT_S:g} s" + (f", {silent} times in a row" if silent > 1 else "")
    return f"{type(error).__name__}: {error}"
