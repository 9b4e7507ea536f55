"""Rate limits as the control plane has them, and which of them hold for a request. Pure."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from headrace.router.v1 import client_limits_pb2

from headrace_router.data.rate_limits.decisions.bucket import Rate
from headrace_router.outage import Outage

EVERYBODY = EVERY_MODEL = "*"
# Of a limit that states none. A bucket for one token is full until a request takes it, and gains nothing meanwhile.
LEAST_BURST = 2


@dataclass(frozen=True, slots=True)
class RateLimit:
    """Requests of a client to a model, or to all together. shadow_mode: what is beyond it is only counted."""

    name: str
    client: str
    model: str
    rate: Rate
    shadow_mode: bool
    outage: Outage


class RateLimits:
    """All that are in force."""

    def __init__(self, limits: Iterable[RateLimit] = ()) -> None:
        self._by_whom: dict[tuple[str, str], list[RateLimit]] = defaultdict(list)
        for limit in limits:
            self._by_whom[limit.client, limit.model].append(limit)

    def __len__(self) -> int:
        return sum(map(len, self._by_whom.values()))

    def __iter__(self) -> Iterator[RateLimit]:
        for limits in self._by_whom.values():
            yield from limits

    def of(self, client: str, model: str) -> tuple[RateLimit, ...]:
        """Return what holds for a client's requests to a model: those that name it, else those of everybody."""
        found: list[RateLimit] = []
        for which in (model, EVERY_MODEL):
            named = self._by_whom.get((client, which)) or self._by_whom.get((EVERYBODY, which), ())
            found.extend(named)
        return tuple(found)


def rate_limits(messages: Iterable[client_limits_pb2.RateLimit]) -> RateLimits:
    """Return rate limits from messages; one that cannot be read limits no client."""
    return RateLimits(
        RateLimit(
            one.name.removeprefix("rateLimits/"),
            one.client,
            one.model,
            Rate(one.requests_per_second, one.burst or max(LEAST_BURST, math.ceil(one.requests_per_second))),
            one.shadow_mode,
            Outage(one.outage) if one.outage in set(Outage) else Outage.LOCAL,
        )
        for one in messages
        if one.requests_per_second > 0 and one.burst >= 0
    )
