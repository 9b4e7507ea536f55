"""Where a route looks for answers before they are computed, and when it asks twice, as values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from headrace.router.v1 import route_pb2

LookupMode = route_pb2.Lookup.Mode
LookupKey = route_pb2.Lookup.Key


@dataclass(frozen=True, slots=True)
class Lookup:
    """Where answers are looked for before they are computed; None leaves a part as it is.

    ttl: how long an answer is fresh in the cache; zero keeps nothing. stale_while_revalidate, stale_on_error: how much
    older it may be and still be given, while a new one is computed, and when nothing else can answer.
    max_precomputed_age: oldest precomputed answer that is given.
    """

    mode: LookupMode | None = None
    key: LookupKey | None = None
    ttl: timedelta | None = None
    stale_while_revalidate: timedelta | None = None
    stale_on_error: timedelta | None = None
    max_precomputed_age: timedelta | None = None
    cache_large_inputs: bool | None = None

    def write_to(self, route: route_pb2.Route) -> None:
        """Put what is given in the place of what a route has."""
        for name in ("mode", "key", "cache_large_inputs"):
            given = getattr(self, name)
            if given is not None:
                setattr(route.lookup, name, given)
        for name in ("ttl", "stale_while_revalidate", "stale_on_error", "max_precomputed_age"):
            given = getattr(self, name)
            if given is not None:
                getattr(route.lookup, name).FromTimedelta(given)


@dataclass(frozen=True, slots=True)
class Hedging:
    """When a request goes to a second batcher too. after: None means the 95th percentile of what was measured."""

    after: timedelta | None = None

    def write_to(self, route: route_pb2.Route) -> None:
        """Let a route hedge so."""
        route.hedging.SetInParent()
        if self.after is not None:
            route.hedging.delay.FromTimedelta(self.after)
