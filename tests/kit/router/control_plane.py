"""A whole control plane in the test's own process, and how to be its batchers, data planes and callers."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc.aio
from headrace.router.v1 import (
    budget_pb2_grpc,
    client_limits_pb2_grpc,
    control_pb2,
    control_pb2_grpc,
    precomputed_pb2_grpc,
    route_pb2,
    route_pb2_grpc,
    usage_pb2_grpc,
)
from headrace_router.control.service import start
from headrace_router.control.settings import ControlSettings
from headrace_servicekit.runtime import Runtime
from headrace_servicekit.testing import running

from tests.kit.router.registry_feed import RegistryFeed, digest_of

Phase = control_pb2.VersionReport


@dataclass
class Plane:
    """A running control plane and how to talk to it."""

    runtime: Runtime[ControlSettings]
    channel: grpc.aio.Channel

    @property
    def target(self) -> str:
        return self.runtime.servers[0].address

    @property
    def routes(self) -> Any:
        return route_pb2_grpc.RouteServiceStub(self.channel)

    @property
    def precomputed(self) -> Any:
        return precomputed_pb2_grpc.PrecomputedServiceStub(self.channel)

    @property
    def rate_limits(self) -> Any:
        return client_limits_pb2_grpc.RateLimitServiceStub(self.channel)

    @property
    def usage(self) -> Any:
        return usage_pb2_grpc.UsageServiceStub(self.channel)

    @property
    def budgets(self) -> Any:
        return budget_pb2_grpc.BudgetServiceStub(self.channel)

    @property
    def control(self) -> Any:
        return control_pb2_grpc.ControlServiceStub(self.channel)

    async def report(self, process: str, *ready: str, pool: str = "default", failed: str = "") -> None:
        """Be a batcher that holds these versions of digits ready."""
        reports = [Phase(digest=digest_of("digits", one), state=Phase.STATE_READY) for one in ready]
        if failed:
            broken = Phase(digest=digest_of("digits", failed), state=Phase.STATE_FAILED, reason="it does not load")
            reports.append(broken)
        await self.control.ReportVersions(
            control_pb2.ReportVersionsRequest(pool=pool, process=process, address=f"{process}:1", versions=reports),
            timeout=10,
        )

    async def acknowledge(self, data_plane: str, message: control_pb2.WatchTablesResponse) -> None:
        """Be a data plane that has let go of everything older than a message."""
        await self.control.AcknowledgeGenerations(
            control_pb2.AcknowledgeGenerationsRequest(
                data_plane=data_plane, incarnation=message.incarnation, generation=message.newest_generation
            ),
            timeout=10,
        )

    async def load_wanted(self, process: str = "p1") -> None:
        """Be a batcher that at once loads all that is wanted of it."""
        watch = self.control.WatchDemand(control_pb2.WatchDemandRequest(pool="default"), timeout=10)
        wanted = await anext(aiter(watch))
        watch.cancel()
        ready = [Phase(digest=one.version.digest, state=Phase.STATE_READY) for one in wanted.versions]
        await self.control.ReportVersions(
            control_pb2.ReportVersionsRequest(pool="default", process=process, versions=ready), timeout=10
        )

    async def get(self, model: str = "digits") -> route_pb2.GetRouteResponse:
        """Return a route and how it is."""
        return await self.routes.GetRoute(route_pb2.GetRouteRequest(name=f"routes/{model}"), timeout=10)

    async def write(
        self, route: route_pb2.Route, *, timeout: float = 10, **fields: Any
    ) -> route_pb2.UpdateRouteResponse:
        """Declare a route; fields are those of UpdateRouteRequest."""
        return await self.routes.UpdateRoute(route_pb2.UpdateRouteRequest(route=route, **fields), timeout=timeout)

    async def await_epoch(self, epoch: int, *, timeout: float = 15) -> route_pb2.RouteStatus:
        """Return how the route of digits is once what the registry said at an epoch is in force."""
        request = route_pb2.AwaitRegistryEpochRequest(name="routes/digits", registry_epoch=epoch)
        return (await self.routes.AwaitRegistryEpoch(request, timeout=timeout)).status

    def watch(self, data_plane: str = "plane-0") -> Any:
        """Begin to watch the tables as a data plane."""
        return self.control.WatchTables(control_pb2.WatchTablesRequest(data_plane=data_plane), timeout=60)

    async def told(self) -> control_pb2.WatchTablesResponse:
        """Return what a data plane that begins to watch is told first."""
        watch = self.watch()
        message = await watch.read()
        watch.cancel()
        return message

    async def serve(self, registry: RegistryFeed, *ready: str) -> None:
        """Have digits with v1 in production, and v1 and these versions ready on one batcher; v2 and v3 are known."""
        epoch = registry.put("digits", "v1", "v2", "v3", production="v1")
        await self.report("p1", "v1", *ready)
        await self.await_epoch(epoch)


def split(first: float, second: float, etag: str = "", rules: Sequence[route_pb2.Rule] = ()) -> route_pb2.Route:
    """Return a route of digits that divides units between v1 and v2."""
    return route_pb2.Route(
        name="routes/digits",
        etag=etag,
        variants=[
            route_pb2.Variant(name="control", version="v1", weight=first),
            route_pb2.Variant(name="treatment", version="v2", weight=second),
        ],
        rules=rules,
    )


@asynccontextmanager
async def control_plane(database_url: str, registry_target: str, **settings: object) -> AsyncIterator[Plane]:
    """Run a control plane until the block ends."""
    chosen = ControlSettings(
        database_url=database_url,
        registry_target=registry_target,
        drain_notice_s=0,
        grace_s=1,
        **settings,  # type: ignore[arg-type]
    )
    async with AsyncExitStack() as stack:
        runtime = await stack.enter_async_context(running("router.control", chosen, start))
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(runtime.servers[0].address))
        yield Plane(runtime, channel)
