"""Who has spent a budget: found out every few seconds, in the answers to data planes' reports."""

from __future__ import annotations

from headrace.telemetry.v1 import telemetry_pb2

from headrace_monitor.usage import convert
from headrace_monitor.usage.decisions.budgets import overruns
from headrace_monitor.usage.former_rate_limits import FormerRateLimits
from headrace_monitor.usage.store import UsageStore

EVERY_S = 2.0


class ClientLimits:
    """Who has spent more than a budget lets it; for data planes of 0.1.0 the rate limits too."""

    def __init__(self, store: UsageStore, rate_limits: FormerRateLimits) -> None:
        self._store, self._rate_limits = store, rate_limits
        # None until the database has said.
        self._overruns: telemetry_pb2.ReportCountersResponse.BudgetOverruns | None = None

    async def step(self) -> None:
        """Find out. Raises Unavailable."""
        budgets = await self._store.budgets()
        now, spent = await self._store.spent({one.period for one in budgets})
        self._overruns = convert.to_overruns(overruns(budgets, spent, now))

    def told(self, revision: str) -> telemetry_pb2.ReportCountersResponse:
        """Return the answer to a report of counters. revision: of the rate limits that the data plane has."""
        limits = self._rate_limits.known
        if limits is not None and limits.revision == revision:
            limits = None
        return telemetry_pb2.ReportCountersResponse(budgets=self._overruns, rate_limits=limits)
