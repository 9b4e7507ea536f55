"""The router for those of 0.1.0: batchers that report usage here, data planes that are answered who is limited."""

from __future__ import annotations

from hashlib import sha256
from typing import Any, NoReturn

import grpc.aio
from headrace.router.v1 import control_pb2, control_pb2_grpc, usage_pb2, usage_pb2_grpc
from headrace.telemetry.v1 import telemetry_pb2
from headrace_servicekit.client import channel
from headrace_servicekit.error_details import from_rpc_error
from headrace_servicekit.errors import Unavailable
from headrace_servicekit.peers import Peer
from headrace_servicekit.runtime import Runtime
from headrace_servicekit.tls import Tls

from headrace_monitor.handover.stored import Stored
from headrace_monitor.settings import MonitorSettings
from headrace_monitor.storage.schema import Database

CALL_S = 10.0
RETRY_S, MAX_RETRY_S = 0.5, 5.0

Answer = telemetry_pb2.ReportCountersResponse


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
