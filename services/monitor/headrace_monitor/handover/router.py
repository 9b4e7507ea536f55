"""The router for those of 0.1.0: batchers that report usage here, data planes that are answered who is limited."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, NoReturn

import grpc.aio
from headrace.router.v1 import budget_pb2, client_limits_pb2, control_pb2, control_pb2_grpc, usage_pb2, usage_pb2_grpc
from headrace.telemetry.v1 import telemetry_pb2
from headrace_servicekit.client import channel
from headrace_servicekit.error_details import from_rpc_error
from headrace_servicekit.errors import Unavailable
from headrace_servicekit.peers import Peer
from headrace_servicekit.postgres.connections import Transactions
from headrace_servicekit.postgres.sql import load_queries
from headrace_servicekit.runtime import Runtime
from headrace_servicekit.tls import Tls

from headrace_monitor.settings import MonitorSettings
from headrace_monitor.storage.schema import Database

_SQL = load_queries("headrace_monitor.handover")
PAGE_ROWS = 2_000
_FIRST = datetime.min.replace(tzinfo=UTC)
_USE = ("model", "version", "client", "priority", "requests", "rows", "compute_us")
_POOL = ("pool", "present_us", "busy_us")
_LIMIT = ("client", "model", "requests_per_second", "burst", "shadow_mode", "outage")
Request = usage_pb2.TakeOverRequest
CALL_S = 10.0
RETRY_S, MAX_RETRY_S = 0.5, 5.0
Answer = telemetry_pb2.ReportCountersResponse


class Stored:
    """The rows of the database. Every call raises Unavailable while it is away."""

    def __init__(self, database: Transactions) -> None:
        self._database = database

    async def pages(self) -> AsyncIterator[Request]:
        """Yield what is to be handed over, in numbered pages; nothing once it is."""
        (state,) = await self._rows("state")
        if state["is_over"]:
            return
        number = 0
        async for page in self._pages(limits=not state["limits_are_over"]):
            page.page = number = number + 1
            yield page

    async def handed_over(self) -> None:
        """Note that the router has all of it."""
        async with self._database.transaction() as connection:
            await connection.execute(_SQL["handed_over"])

    async def _pages(self, *, limits: bool) -> AsyncIterator[Request]:
        budgets = map(_budget, await self._rows("budgets"))
        rate_limits = map(_rate_limit, await self._rows("rate_limits")) if limits else ()
        yield Request(budgets=budgets, rate_limits=rate_limits)
        last = ""
        while rows := await self._rows("processes", last, PAGE_ROWS):
            last = rows[-1]["process"]
            yield Request(processes=[Request.ReportingProcess(**row) for row in rows])
        hour = _FIRST
        while (hour := (await self._rows("next_hour", hour))[0][0]) is not None:
            for page in _hour(await self._rows("hour", hour), await self._rows("pools", hour)):
                yield page

    async def _rows(self, query: str, *arguments: Any) -> Sequence[Any]:
        return await self._database.repeatable(lambda connection: connection.fetch(_SQL[query], *arguments))


def _hour(uses: Sequence[Any], pools: Sequence[Any]) -> Iterator[Request]:
    page = Request()
    for row in pools:
        page.pool_hours.add(hour_s=_seconds(row), **{field: row[field] for field in _POOL})
    for number, row in enumerate(uses, 1):
        use = usage_pb2.ComputeUse(**{field: row[field] for field in _USE})
        page.usage_hours.add(hour_s=_seconds(row), pool=row["pool"], use=use)
        if number % PAGE_ROWS == 0:
            yield page
            page = Request()
    yield page


def _seconds(row: Any) -> int:
    return int(row["hour"].timestamp())


def _budget(row: Any) -> budget_pb2.Budget:
    return budget_pb2.Budget(
        name=f"budgets/{row['name']}",
        client=row["client"],
        model=row["model"],
        period=row["period"],
        compute_s=row["compute_us"] / 1e6,
        refuse_above_s=row["refuse_above_us"] / 1e6,
    )


def _rate_limit(row: Any) -> client_limits_pb2.RateLimit:
    return client_limits_pb2.RateLimit(name=f"rateLimits/{row['name']}", **{field: row[field] for field in _LIMIT})


class FormerClients:
    """What data planes and batchers of 0.1.0 are answered. control: a channel to the router's control plane; None
    where none is set. Run `hand_over` and `follow` for as long as the monitor lives.
    """

    def __init__(self, stored: Stored, control: Any | None) -> None:
        self._stored = stored
        self._usage: Any = None if control is None else usage_pb2_grpc.UsageServiceStub(control)
        self._control: Any = None if control is None else control_pb2_grpc.ControlServiceStub(control)
        self._handed_over = False
        # None until the router has answered.
        self._limits: Answer.RateLimits | None = None
        self._overruns: Answer.BudgetOverruns | None = None

    async def hand_over(self) -> None:
        """Give the router what is stored; it is repeated until that has worked. Raises ServiceError, AioRpcError."""
        async for page in self._stored.pages():
            await self._usage.TakeOver(page, timeout=CALL_S)
        await self._stored.handed_over()
        self._handed_over = True

    async def follow(self) -> NoReturn:
        """Watch for ever which clients the router limits; while it is away, those that are known are in force."""
        router = Peer("control", every_s=RETRY_S, max_backoff_s=MAX_RETRY_S, call="client limits")
        while True:
            if not self._handed_over:
                await router.call(self.hand_over)
            else:
                await router.hold(self._watch, ended="the control plane ended the watch")
            await router.pause()

    async def report_usage(self, request: usage_pb2.ReportUsageRequest) -> usage_pb2.ReportUsageResponse:
        """Pass a batcher's report on. Raises ServiceError."""
        if not self._handed_over:  # the router does not know yet which reports were counted
            raise Unavailable(
                "usage is the router's, which does not have what was counted here: see MONITOR_CONTROL_TARGET"
            )
        try:
            return await self._usage.ReportUsage(request, timeout=CALL_S)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from None

    def answer(self, request: telemetry_pb2.ReportCountersRequest) -> Answer:
        """Return the answer to a report of counters: of data planes of 0.1.0 with what they are to obey."""
        if request.watches_client_limits:
            return Answer()
        limits = self._limits
        if limits is not None and limits.revision == request.rate_limits_revision:
            limits = None
        return Answer(budgets=self._overruns, rate_limits=limits)

    async def _watch(self) -> None:
        call = self._control.WatchClientLimits(control_pb2.WatchClientLimitsRequest())
        try:
            async for message in call:
                limits = Answer.RateLimits(rate_limits=message.rate_limits)
                limits.revision = sha256(limits.SerializeToString(deterministic=True)).hexdigest()[:16]
                self._limits, self._overruns = limits, Answer.BudgetOverruns(overruns=message.budget_overruns)
        finally:
            call.cancel()


async def open_former_clients(runtime: Runtime[MonitorSettings], database: Database) -> FormerClients:
    """Hand over what is the router's, and follow which clients it limits."""
    settings = runtime.settings
    if not settings.control_target:
        return FormerClients(Stored(database), None)
    control = await runtime.enter(channel(settings.control_target, tls=Tls.of(settings)))
    former = FormerClients(Stored(database), control)

    async def follow() -> None:
        await database.there.wait()
        await former.follow()

    runtime.loop("former clients", follow)
    return former
