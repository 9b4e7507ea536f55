"""Usage, budgets and rate limits of release 0.1.0: handed over to the router once, and its clients answered."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import grpc.aio
import pytest
from headrace.router.v1 import budget_pb2, client_limits_pb2, usage_pb2
from headrace.telemetry.v1 import telemetry_pb2
from headrace_servicekit.testing import eventually, patience

from tests.kit.monitor.counting_plane import CountingPlane
from tests.kit.monitor.service import Monitor, real_monitor
from tests.kit.registry.service import Registry, memory_registry
from tests.kit.router.control_plane import Plane, control_plane

SECOND_US = 1_000_000
NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
HOURS = tuple(NOW - timedelta(hours=ago) for ago in range(3))
TABLES = ("usage_hours", "usage_pools", "usage_processes", "budgets")
OLD = client_limits_pb2.RateLimit(
    name="rateLimits/old", client="ada", model="fraud", requests_per_second=7.5, shadow_mode=True, outage="OUTAGE_OPEN"
)


@pytest.fixture
async def router(second_postgres_url) -> AsyncIterator[tuple[Plane, Registry]]:
    async with (
        memory_registry() as registry,
        control_plane(second_postgres_url, registry.target) as plane,
    ):
        yield plane, registry


@pytest.fixture
async def stored(postgres_url) -> None:
    """What a monitor of 0.1.0 wrote: three hours of a client that is over its budget, rate limits, a batcher."""
    async with database(postgres_url) as connection:
        for table in TABLES:
            await connection.execute(f"alter table {table} disable trigger refuse_usage")
        await connection.execute("alter table rate_limits disable trigger refuse_rate_limits")
        for name in ("both", "old"):
            await connection.execute("insert into rate_limits values ($1, 'ada', 'fraud', 7.5, 0, true, 2)", name)
            await connection.execute("insert into budgets values ($1, 'ada', '*', 4, $2, 0)", name, SECOND_US)
        for hour in HOURS:
            await connection.execute(
                "insert into usage_hours values ($1, 'gpu', 'fraud', 'v1', 'ada', 1, 2, 8, $2)", hour, 2 * SECOND_US
            )
            await connection.execute("insert into usage_pools values ($1, 'gpu', 9000000, 2000000)", hour)
        await connection.execute("insert into usage_processes values ('p1', 7)")
        for table in TABLES:
            await connection.execute(f"alter table {table} enable trigger refuse_usage")
        await connection.execute("alter table rate_limits enable trigger refuse_rate_limits")


@contextlib.asynccontextmanager
async def database(url: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def report(monitor: Monitor, sequence: int) -> None:
    """Report two seconds as a batcher of 0.1.0."""
    use = usage_pb2.ComputeUse(
        model="fraud", version="v1", client="ada", priority=1, requests=1, rows=1, compute_us=2 * SECOND_US
    )
    request = usage_pb2.ReportUsageRequest(pool="gpu", process="p1", sequence=sequence, present_us=1, uses=[use])
    await _former(monitor, "ReportUsage", usage_pb2.ReportUsageResponse)(request, timeout=patience(20))


async def answered(monitor: Monitor, revision: str = "") -> telemetry_pb2.ReportCountersResponse:
    """Return what a data plane of 0.1.0 is answered."""
    counters = CountingPlane().report()
    counters.rate_limits_revision = revision
    former = _former(monitor, "ReportCounters", telemetry_pb2.ReportCountersResponse)
    return await former(counters, timeout=patience(20))


def _former(monitor: Monitor, method: str, answer: Any) -> Any:
    return monitor.channel.unary_unary(
        f"/headrace.monitor.v1.IngestService/{method}",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=answer.FromString,
    )


async def used_s(plane: Plane) -> float:
    return (await plane.usage.GetUsage(usage_pb2.GetUsageRequest(), timeout=patience(20))).compute_s


async def spent_s(plane: Plane) -> float:
    """Return what the client has spent of the first budget, by name, in this month."""
    listed = await plane.budgets.ListBudgets(budget_pb2.ListBudgetsRequest(), timeout=patience(20))
    return sum(one.compute_s for one in listed.budgets[0].spent)


async def _spent(plane: Plane, expected: Any) -> bool:
    return await spent_s(plane) == expected


async def budgets(plane: Plane) -> dict[str, float]:
    listed = await plane.budgets.ListBudgets(budget_pb2.ListBudgetsRequest(), timeout=patience(20))
    return {one.budget.name: one.budget.compute_s for one in listed.budgets}


async def test_what_is_stored_is_the_router_s_once_and_reports_of_0_1_0_are_passed_on(
    router, stored, postgres_url, s3, tmp_path
):
    plane, registry = router
    newer = budget_pb2.Budget(name="budgets/both", client="ada", model="*", period="PERIOD_MONTH", compute_s=90.0)
    await plane.budgets.PutBudget(budget_pb2.PutBudgetRequest(budget=newer), timeout=patience(20))
    where: Any = {"registry": registry.target, "control_target": plane.target}
    async with real_monitor(postgres_url, s3, tmp_path, **where) as monitor:
        await eventually(lambda: _has(plane, {"budgets/both": 90.0, "budgets/old": 1.0}, 6.0), within=patience(20))
        of_month = pytest.approx(sum(2.0 for hour in HOURS if hour.month == NOW.month))
        await eventually(lambda: _spent(plane, of_month), within=patience(20))
        limits = client_limits_pb2.ListRateLimitsRequest()
        assert OLD in (await plane.rate_limits.ListRateLimits(limits, timeout=patience(20))).rate_limits
        await eventually(lambda: _reported(monitor, 7), within=patience(20))  # the monitor of 0.1.0 counted it
        assert await used_s(plane) == pytest.approx(6.0)
        await report(monitor, 8)
        assert await used_s(plane) == pytest.approx(8.0)
    await plane.budgets.DeleteBudget(budget_pb2.DeleteBudgetRequest(name="budgets/old"), timeout=patience(20))
    async with real_monitor(postgres_url, s3, tmp_path, **where) as monitor:
        await eventually(lambda: _reported(monitor, 9), within=patience(20))
        assert await _has(plane, {"budgets/both": 90.0}, 10.0)


async def _has(plane: Plane, expected: dict[str, float], seconds: float) -> bool:
    return await budgets(plane) == expected and await used_s(plane) == pytest.approx(seconds)


async def _reported(monitor: Monitor, sequence: int) -> bool:
    try:
        await report(monitor, sequence)
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.UNAVAILABLE:  # until it is handed over
            return False
        raise
    return True


async def test_data_planes_of_0_1_0_are_answered_which_clients_the_router_limits_and_later_ones_are_not(
    router, stored, postgres_url, s3, tmp_path
):
    plane, registry = router
    where: Any = {"registry": registry.target, "control_target": plane.target}
    async with real_monitor(postgres_url, s3, tmp_path, **where) as monitor:

        async def complete() -> bool:
            answer = await answered(monitor)
            limits = [one.name for one in answer.rate_limits.rate_limits]
            over = [(one.client, one.action) for one in answer.budgets.overruns]
            lower = client_limits_pb2.BudgetOverrun.ACTION_LOWER
            return limits == ["rateLimits/both", "rateLimits/old"] and over == [("ada", lower)]

        await eventually(complete, within=patience(20))
        has = (await answered(monitor)).rate_limits.revision
        assert not (await answered(monitor, has)).HasField("rate_limits")
        later = CountingPlane().report()
        later.watches_client_limits = True
        sent = await _former(monitor, "ReportCounters", telemetry_pb2.ReportCountersResponse)(later, timeout=20)
        assert sent == telemetry_pb2.ReportCountersResponse()


async def test_what_a_monitor_of_0_1_0_writes_beside_a_newer_one_fails(postgres_url):
    writes = (
        "insert into rate_limits values ('l', 'a', 'm', 1, 0, false, 1)",
        *(f"delete from {table}" for table in ("rate_limits", *TABLES)),
    )
    async with database(postgres_url) as connection:
        for write in writes:
            with pytest.raises(asyncpg.CannotConnectNowError, match="newer monitor"):
                await connection.execute(write)
