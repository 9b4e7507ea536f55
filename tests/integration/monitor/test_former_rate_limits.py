"""Rate limits of release 0.1.0: handed over to the router once, called by former names, sent to its data planes."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from headrace.monitor.v1 import usage_pb2_grpc
from headrace.router.v1 import client_limits_pb2 as pb
from headrace.router.v1 import client_limits_pb2_grpc
from headrace.telemetry.v1 import telemetry_pb2
from headrace_servicekit.errors import InvalidArgument
from headrace_servicekit.identity import CLIENT_HEADER, MODELS_HEADER, identity
from headrace_servicekit.server import Server
from headrace_servicekit.testing import eventually, patience, serving

from tests.kit.clients.refusals import refused
from tests.kit.monitor.counting_plane import CountingPlane
from tests.kit.monitor.service import Monitor, real_monitor
from tests.kit.registry.service import memory_registry


class Router(client_limits_pb2_grpc.RateLimitServiceServicer):
    """Serves RateLimitService. limits: by name. puts: who put what."""

    def __init__(self) -> None:
        self.limits: dict[str, pb.RateLimit] = {}
        self.puts: list[tuple[str, str]] = []

    async def PutRateLimit(self, request, context):
        limit = request.rate_limit
        if not limit.client:
            raise InvalidArgument("rate_limit.client: name one", reason="RATE_LIMIT_INVALID")
        self.puts.append((identity().client, limit.name))
        self.limits[limit.name] = limit
        return pb.PutRateLimitResponse(rate_limit=limit)

    async def ListRateLimits(self, request, context):
        return pb.ListRateLimitsResponse(rate_limits=[self.limits[name] for name in sorted(self.limits)])

    async def DeleteRateLimit(self, request, context):
        self.limits.pop(request.name, None)
        return pb.DeleteRateLimitResponse()


@pytest.fixture
async def router() -> AsyncIterator[tuple[Router, Server]]:
    router = Router()
    async with serving(
        lambda server: client_limits_pb2_grpc.add_RateLimitServiceServicer_to_server(router, server)
    ) as server:
        yield router, server


@contextlib.asynccontextmanager
async def monitor_of(postgres_url, s3, folder, control_target: str) -> AsyncIterator[Monitor]:
    async with (
        memory_registry() as registry,
        real_monitor(postgres_url, s3, folder, registry=registry.target, control_target=control_target) as monitor,
    ):
        yield monitor


async def stored(postgres_url: str, *names: str) -> None:
    """Have rate limits in the database as a monitor of 0.1.0 wrote them."""
    connection = await asyncpg.connect(postgres_url)
    try:
        await connection.execute("alter table rate_limits disable trigger refuse_rate_limits")
        for name in names:
            await connection.execute("insert into rate_limits values ($1, 'ada', 'fraud', 7.5, 0, true, 2)", name)
        await connection.execute("alter table rate_limits enable trigger refuse_rate_limits")
    finally:
        await connection.close()


async def answered(monitor: Monitor, revision: str = "") -> telemetry_pb2.ReportCountersResponse:
    """Return what a data plane of 0.1.0 is answered."""
    report = CountingPlane().report()
    report.rate_limits_revision = revision
    former = monitor.channel.unary_unary(
        "/headrace.monitor.v1.IngestService/ReportCounters",
        request_serializer=telemetry_pb2.ReportCountersRequest.SerializeToString,
        response_deserializer=telemetry_pb2.ReportCountersResponse.FromString,
    )
    return await former(report, timeout=patience(20))


async def test_those_of_the_database_are_the_router_s_once_and_data_planes_of_0_1_0_are_sent_what_it_has(
    router, postgres_url, s3, tmp_path
):
    known, server = router
    known.limits["rateLimits/both"] = newer = pb.RateLimit(name="rateLimits/both", client="eve", model="*")
    await stored(postgres_url, "both", "old")

    async def sent(monitor: Monitor) -> list[str]:
        return [one.name for one in (await answered(monitor)).rate_limits.rate_limits]

    async with monitor_of(postgres_url, s3, tmp_path, server.address) as monitor:

        async def handed_over() -> bool:
            return await sent(monitor) == ["rateLimits/both", "rateLimits/old"]

        await eventually(handed_over, within=patience(20))
        old = known.limits["rateLimits/old"]
        assert (old.client, old.model, old.requests_per_second, old.shadow_mode, old.outage) == (
            "ada", "fraud", 7.5, True, pb.RateLimit.OUTAGE_OPEN,
        )  # fmt: skip
        assert known.limits["rateLimits/both"] == newer
        has = (await answered(monitor)).rate_limits.revision
        assert not (await answered(monitor, has)).HasField("rate_limits")
    del known.limits["rateLimits/old"]
    async with monitor_of(postgres_url, s3, tmp_path, server.address) as monitor:

        async def what_the_router_has() -> bool:
            return await sent(monitor) == ["rateLimits/both"]

        await eventually(what_the_router_has, within=patience(20))
    assert known.puts == [("internal", "rateLimits/old")]


async def test_calls_by_the_former_names_are_passed_on_for_their_caller(router, postgres_url, s3, tmp_path):
    known, server = router
    ann = ((CLIENT_HEADER, "ann"), (MODELS_HEADER, "*"))
    limit = pb.RateLimit(name="rateLimits/l", client="ada", model="fraud", requests_per_second=5.0)
    async with monitor_of(postgres_url, s3, tmp_path, server.address) as monitor:
        stub: Any = usage_pb2_grpc.UsageServiceStub(monitor.channel)
        made = await stub.PutRateLimit(pb.PutRateLimitRequest(rate_limit=limit), timeout=patience(20), metadata=ann)
        assert (made.rate_limit, known.puts) == (limit, [("ann", "rateLimits/l")])
        listed = await stub.ListRateLimits(pb.ListRateLimitsRequest(), timeout=patience(20), metadata=ann)
        assert list(listed.rate_limits) == [limit]
        none = pb.PutRateLimitRequest(rate_limit=pb.RateLimit(name="rateLimits/x"))
        assert (
            await refused(stub.PutRateLimit(none, timeout=patience(20), metadata=ann))
        ).reason == "RATE_LIMIT_INVALID"
        await stub.DeleteRateLimit(pb.DeleteRateLimitRequest(name=limit.name), timeout=patience(20), metadata=ann)
    assert known.limits == {}


async def test_what_a_monitor_of_0_1_0_writes_beside_a_newer_one_fails(postgres_url):
    connection = await asyncpg.connect(postgres_url)
    try:
        for write in ("insert into rate_limits values ('l', 'a', 'm', 1, 0, false, 1)", "delete from rate_limits"):
            with pytest.raises(asyncpg.CannotConnectNowError, match="newer monitor"):
                await connection.execute(write)
    finally:
        await connection.close()
