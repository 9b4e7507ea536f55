"""Holds clients to their requests a second: of each limit a token for each request, taken in advance or from Valkey.

A request whose tokens were taken in advance costs a look-up. Without one it waits for the answer to one command; what a
bucket does not have is then refused for a moment without asking. While Valkey does not answer, each limit says what
holds.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from headrace_router.data.answer.refusals import rate_limit_unavailable, rate_limited
from headrace_router.data.rate_limits.decisions import bucket
from headrace_router.data.rate_limits.decisions.bucket import Rate
from headrace_router.data.rate_limits.decisions.limits import RateLimits
from headrace_router.data.rate_limits.token_requests import Buckets, LimitedClient, TokenRequests
from headrace_router.outage import Outage

# Pairs of client and model that are remembered; of more, all are looked up again.
MAX_REMEMBERED = 20_000


class RateLimiter:
    """Who may send how much; a prometheus_client collector. buckets: None where there is no Valkey. incarnation: of the
    control plane's store. processes: data planes of this front door, each of which has its part while it counts alone.
    """

    def __init__(
        self,
        buckets: Buckets | None,
        incarnation: Callable[[], str],
        *,
        processes: int,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._requests = None if buckets is None else TokenRequests(buckets, incarnation, loop)
        self._processes, self._now = processes, loop.time
        self._limits = RateLimits()
        self.limited = False
        """Whether anybody is."""
        self._clients: dict[tuple[str, str], LimitedClient] = {}
        self._of: dict[tuple[str, str], tuple[LimitedClient, ...]] = {}
        self._beyond, self._alone = Counter[str](), Counter[str]()

    def enforce(self, limits: RateLimits) -> None:
        """Take other limits in the place of those before."""
        self._limits, self.limited = limits, len(limits) > 0
        self._of.clear()
        self._clients.clear()
        names = {one.name for one in limits}
        for counts in (self._beyond, self._alone):
            for name in counts.keys() - names:
                del counts[name]

    def take(self, client: str, model: str) -> Awaitable[None] | None:
        """Take a token of each limit of a client; return what is to be awaited where one is missing.

        That raises ResourceExhausted where a limit has none, Unavailable where a closed limit has no count.
        """
        clients = self._of.get((client, model))
        if clients is None:
            clients = self._limited(client, model)
        now = self._now()
        for at, one in enumerate(clients):
            share = one.share
            if not share.take(now):
                for before in clients[:at]:
                    before.share.give_back()
                return self._take_all(clients)
            if self._requests is not None and share.runs_low(now):
                self._requests.want(one)
        return None

    def lease(self, client: str, model: str, tokens: int) -> int:
        """Take up to so many tokens of each limit of a client in advance, without asking; return how many."""
        clients, now = self._clients_of(client, model), self._now()
        granted = min((tokens, *(one.share.available(now) for one in clients)))
        for one in clients:
            one.share.lease(granted)
            if self._requests is not None and one.share.runs_low(now):
                self._requests.want(one)
        return granted

    def give_back(self, client: str, model: str, tokens: int) -> None:
        """Give back what was taken in advance, while it is good."""
        for one in self._clients_of(client, model):
            one.share.give_back(tokens)

    def _clients_of(self, client: str, model: str) -> tuple[LimitedClient, ...]:
        found = self._of.get((client, model))
        return self._limited(client, model) if found is None else found

    def _limited(self, client: str, model: str) -> tuple[LimitedClient, ...]:
        """Look up under which limits a client is."""
        if len(self._of) >= MAX_REMEMBERED or len(self._clients) >= MAX_REMEMBERED:
            self._of.clear()
            self._clients.clear()
        # The installation's own requests have no client.
        limits = self._limits.of(client, model) if client else ()
        for limit in limits:
            if (limit.name, client) not in self._clients:
                self._clients[limit.name, client] = LimitedClient(limit, client, self._now())
        found = self._of[client, model] = tuple(self._clients[limit.name, client] for limit in limits)
        return found

    async def _take_all(self, clients: Sequence[LimitedClient]) -> None:
        taken: list[LimitedClient] = []
        try:
            for one in clients:
                await self._take(one, taken)
        except BaseException:
            for one in taken:
                one.share.give_back()
            raise

    async def _take(self, one: LimitedClient, taken: list[LimitedClient]) -> None:
        """Let a request through, with a token or without. taken: gets the client whose token was spent."""
        share, now = one.share, self._now()
        if share.take(now):
            taken.append(one)
            return
        if now >= share.closed_until:
            requests = self._requests
            granted = None if requests is None or requests.late else await requests.token(one)
            if granted is None:
                self._decide_alone(one)
                return
            if granted:
                taken.append(one)
                return
            now = self._now()
        self._refuse(one, share.next_at - now)

    def _decide_alone(self, one: LimitedClient) -> None:
        """Let a request through, or refuse it, where the other data planes' counts are unavailable."""
        limit = one.limit
        self._alone[limit.name] += 1
        if limit.outage is Outage.LOCAL:
            rate = Rate(limit.rate.per_s / self._processes, max(1.0, limit.rate.burst / self._processes))
            tokens, next_s, one.full_at = bucket.take(rate, one.full_at, 1, self._now())
            if not tokens:
                self._refuse(one, next_s)
        elif limit.outage is Outage.CLOSED and not limit.shadow_mode:
            raise rate_limit_unavailable(limit.name)

    def _refuse(self, one: LimitedClient, next_s: float) -> None:
        limit = one.limit
        self._beyond[limit.name] += 1
        if not limit.shadow_mode:
            raise rate_limited(limit.name, one.client, limit.model, limit.rate.per_s, next_s)

    def collect(self) -> Iterator[Metric]:
        """Yield the metric families. Called by prometheus_client."""
        beyond = CounterMetricFamily(
            "headrace_router_rate_limited", "Requests beyond a rate limit.", labels=("rate_limit", "shadow_mode")
        )
        alone = CounterMetricFamily(
            "headrace_router_rate_limit_alone",
            "Requests under a rate limit that no other data plane's requests were counted with.",
            labels=("rate_limit",),
        )
        for limit in self._limits:
            beyond.add_metric((limit.name, str(limit.shadow_mode).lower()), self._beyond[limit.name])
            alone.add_metric((limit.name,), self._alone[limit.name])
        yield from (beyond, alone)
        asks = 0 if self._requests is None else self._requests.asks
        yield CounterMetricFamily("headrace_router_rate_limit_asks", "Commands that asked for tokens.", value=asks)
        yield GaugeMetricFamily("headrace_router_rate_limits", "Rate limits in force.", value=len(self._limits))
