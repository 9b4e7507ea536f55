"""`grpc.health.v1` for the front door: the health of the whole installation, asked of each service.

The front door marks what it passes on; without its mark the question is about this process alone.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from headrace_servicekit.client import channel
from headrace_servicekit.clock import Clock
from headrace_servicekit.errors import NotFound, Unavailable
from headrace_servicekit.health import NOT_SERVING, SERVICE_UNKNOWN, SERVING, Health, HealthServicer
from headrace_servicekit.identity import FRONT_DOOR_HEADER
from headrace_servicekit.loops import until
from headrace_servicekit.runtime import Runtime
from headrace_servicekit.tls import Tls

from headrace_router.control.settings import ControlSettings, parse_targets

REGISTRY_SERVICE = "headrace.registry.v1.RegistryService"
ROUTE_SERVICE = "headrace.router.v1.RouteService"
PRECOMPUTED_SERVICE = "headrace.router.v1.PrecomputedService"
RATE_LIMIT_SERVICE = "headrace.router.v1.RateLimitService"
BUDGET_SERVICE = "headrace.router.v1.BudgetService"
USAGE_SERVICE = "headrace.router.v1.UsageService"
# What callers of 0.1.0 ask for.
FORMER_USAGE_SERVICE = "headrace.monitor.v1.UsageService"
# Data planes answer both; their health knows the first.
PREDICTION_SERVICE, INFERENCE_SERVICE = "headrace.router.v1.RouterService", "inference.GRPCInferenceService"

CACHED_S = 1.0
ASK_TIMEOUT_S = 0.5
WATCH_EVERY_S = 0.5

ServingStatus = health_pb2.HealthCheckResponse.ServingStatus
Ask = Callable[[], Awaitable[bool]]


class Installation:
    """The health of every public service, each asked at most once a second however many want to know.

    asks: by full name of the service, how to learn whether it serves; an exception or silence means that it does not.
    """

    def __init__(self, asks: Mapping[str, Ask], clock: Clock) -> None:
        self._asks, self._clock = dict(asks), clock
        self._answers: dict[str, tuple[float, bool]] = {}
        self._locks = {service: asyncio.Lock() for service in asks}

    async def status(self, name: str) -> ServingStatus | None:
        """Return the status of one service, of all together (empty name), or None for a name that is not public."""
        if name and name not in self._asks:
            return None
        names = [name] if name else list(self._asks)
        answers = await asyncio.gather(*(self._serves(one) for one in names))
        return SERVING if all(answers) else NOT_SERVING

    async def watch(self, name: str) -> AsyncIterator[ServingStatus]:
        """Yield the status of a name now and at every change, for ever."""
        last = None
        while True:
            status = await self.status(name)
            status = SERVICE_UNKNOWN if status is None else status
            if status != last:
                yield status
                last = status
            await self._clock.sleep(WATCH_EVERY_S)

    async def _serves(self, service: str) -> bool:
        async with self._locks[service]:
            asked_at, serves = self._answers.get(service, (float("-inf"), False))
            if self._clock.monotonic() - asked_at < CACHED_S:
                return serves
            try:
                async with asyncio.timeout(ASK_TIMEOUT_S):
                    serves = await self._asks[service]()
            except (TimeoutError, grpc.aio.AioRpcError):
                serves = False
            self._answers[service] = (self._clock.monotonic(), serves)
            return serves


def ask_peer(channel: Any, service: str) -> Ask:
    """Return how to ask another process for the health of a service; one that does not know the name is asked for all
    it has."""
    stub: Any = health_pb2_grpc.HealthStub(channel)

    async def ask() -> bool:
        try:
            answer = await stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=ASK_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.NOT_FOUND:
                raise
            answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=ASK_TIMEOUT_S)
        return answer.status == SERVING

    return ask


class EdgeHealthServicer(health_pb2_grpc.HealthServicer):
    """Answers for the installation to the front door, and for this process to everybody else."""

    def __init__(self, health: Health, installation: Installation, stopping: asyncio.Event) -> None:
        self._own, self._installation, self._stopping = HealthServicer(health), installation, stopping

    async def Check(self, request, context):
        if not _from_front_door(context):
            return await self._own.Check(request, context)
        status = await self._installation.status(request.service)
        if status is None:
            raise NotFound(f"service '{request.service}' not found", reason="SERVICE_NOT_FOUND")
        return health_pb2.HealthCheckResponse(status=status)

    async def Watch(self, request, context):
        if not _from_front_door(context):
            async with contextlib.aclosing(self._own.Watch(request, context)) as answers:
                async for answer in answers:
                    yield answer
            return
        statuses = until(self._stopping, self._installation.watch(request.service))
        async with contextlib.aclosing(statuses):  # type: ignore[type-var]
            async for status in statuses:
                yield health_pb2.HealthCheckResponse(status=status)
        raise Unavailable("this control plane is stopping: watch again", reason="STOPPING", retry_after_s=0.2)


def _from_front_door(context: Any) -> bool:
    return any(key == FRONT_DOOR_HEADER for key, _ in context.invocation_metadata())


async def installation_of(runtime: Runtime[ControlSettings], tls: Tls | None) -> Installation:
    """Return the health of every public service: this one's own, and how to ask the others."""

    async def own() -> bool:
        return runtime.health.status("") == SERVING

    asks: dict[str, Ask] = dict.fromkeys(
        (ROUTE_SERVICE, RATE_LIMIT_SERVICE, BUDGET_SERVICE, USAGE_SERVICE, FORMER_USAGE_SERVICE), own
    )
    if runtime.settings.valkey_url:
        asks[PRECOMPUTED_SERVICE] = own
    targets = {REGISTRY_SERVICE: runtime.settings.registry_target, **parse_targets(runtime.settings.health_targets)}
    for service, target in targets.items():
        # Asked also while NOT_SERVING: that is the answer.
        peer = await runtime.enter(channel(target, tls=tls, health_checked=False))
        asks[service] = ask_peer(peer, service)
    if PREDICTION_SERVICE in asks:
        asks[INFERENCE_SERVICE] = asks[PREDICTION_SERVICE]
    return Installation(asks, runtime.clock)
