"""Who has spent more than a budget lets them: found out every few seconds, told to data planes with each report."""

from __future__ import annotations

from headrace.monitor.v1 import ingest_pb2

from headrace_monitor.usage import convert
from headrace_monitor.usage.decisions.budgets import overruns
from headrace_monitor.usage.store import UsageStore

EVERY_S = 2.0


class BudgetWatch:
    """Keeps what data planes are to know."""

    def __init__(self, store: UsageStore) -> None:
        self._store = store
        self.overruns: ingest_pb2.ReportCountersResponse.BudgetOverruns | None = None
        """None until the database has said."""

    async def step(self) -> None:
        """Find out. Raises Unavailable."""
        budgets = await self._store.budgets()
        now, spent = await self._store.spent({one.period for one in budgets})
        self.overruns = convert.to_overruns(overruns(budgets, spent, now))
