"""Requests that are late are sent to a second batcher too: when, and for how many."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from headrace_router.data.batchers.decisions.balance import Latency, RetryBudget
from headrace_router.data.batchers.work import ONLINE, Work
from headrace_router.data.request.deadlines import Deadlines

# Requests of routes with hedging that may be sent twice, as a share of theirs; how many of those can be saved up.
SHARE, BURST = 0.05, 10.0
# A request that tries an ejected batcher is sent to another one as well when it is not answered soon.
PROBE_DELAY_S, LONGEST_PROBE_DELAY_S = 0.05, 0.5


class Hedges:
    """The requests that may become late. double: sends one to a second batcher; returns whether it could."""

    def __init__(self, loop: asyncio.AbstractEventLoop, double: Callable[[Work], bool]) -> None:
        self.sent = 0
        """Hedges so far."""
        self._double = double
        self._budget = RetryBudget(SHARE, BURST, saved=0.0)
        self._times: Deadlines[Work] = Deadlines(loop, self._due)

    def arrange(self, work: Work, latency: Latency, now: float, *, probes: bool) -> None:
        """Have a work doubled unless it is discarded before it is late. latency: of answers of its version."""
        if probes:
            delay_s = min(max(latency.late_s, PROBE_DELAY_S), LONGEST_PROBE_DELAY_S)
        elif work.hedged is None or work.priority > ONLINE:
            return
        else:
            self._budget.earn()
            delay_s = latency.late_s if work.hedged.delay_s is None else work.hedged.delay_s
        if delay_s and now + delay_s < work.deadline:
            work.hedge_tick = self._times.add(work, now + delay_s)

    def discard(self, work: Work) -> None:
        """Forget a work that was answered or is no longer awaited."""
        self._times.discard(work, work.hedge_tick)
        work.hedge_tick = 0

    def close(self) -> None:
        """Forget all."""
        self._times.close()

    def _due(self, work: Work) -> None:
        work.hedge_tick = 0
        current = work.current
        if current is None or current.replica is None:
            return
        if current.probes:
            self._double(work)
        elif self._budget.spend():
            self.sent += self._double(work)
