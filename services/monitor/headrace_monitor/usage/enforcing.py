"""What data planes hold clients to: found out every few seconds, told to them in answer to their reports."""

from __future__ import annotations

from headrace.telemetry.v1 import telemetry_pb2

from headrace_monitor.usage import convert
from headrace_monitor.usage.decisions.budgets import overruns
from headrace_monitor.usage.rate_limits import RateLimitStore
from headrace_monitor.usage.store import UsageStore

EVERY_S = 2.0


class ClientLimits:
    """Who has spent more than a budget lets it, and the rate limits: what data planes are to know."""

    def __init__(self, store: UsageStore, rate_limits: RateLimitStore) -> None:
        self._store, self._rate_limits = store, rate_limits
        # None until the database has said.
        self._overruns: telemetry_pb2.ReportCountersResponse.BudgetOverruns | None = None
        self._limits: telemetry_pb2.ReportCountersResponse.RateLimits | None = None

    async def step(self) -> None:
        """Find out. Raises Unavailable."""
        self._limits = convert.to_rate_limits(await self._rate_limits.all())
        budgets = await self._store.budgets()
        now, spent = await self._store.spent({one.period for one in budgets})
        self._overruns = convert.to_overruns(overruns(budgets, spent, now))

    def told(self, revision: str) -> telemetry_pb2.ReportCountersResponse:
        """Return the answer to a report of counters. revision: of the rate limits that the data plane has."""
        limits = self._limits
        if limits is not None and limits.revision == revision:
            limits = None
        return telemetry_pb2.ReportCountersResponse(budgets=self._overruns, rate_limits=limits)
