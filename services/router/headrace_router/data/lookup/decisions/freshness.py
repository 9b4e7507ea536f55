"""Which stored answer may be given: a decision over ages, in seconds."""

from __future__ import annotations

import math
from dataclasses import dataclass

from headrace_router.data.tables.decisions.lookup_policy import Policy

JITTER = 0.1
"""Largest share by which an entry's own time is shorter than the ttl: entries made together do not end together."""
FUTURE_S = 1.0
"""An entry that is this much younger than now says nothing about its age: one of two clocks was set."""


@dataclass(slots=True)
class Bounds:
    """Oldest answers that a request may be given, in seconds; negative for none at all.

    cached: fresh ones. revalidated: past their time, while a new one is computed. on_error: when nothing can answer.
    precomputed: of those.
    """

    cached: float
    revalidated: float
    on_error: float
    precomputed: float


@dataclass(slots=True)
class StoredAnswer:
    """A stored answer. age_s: never negative. layer: that had it, `memory` or `valkey`."""

    outputs: bytes
    age_s: float
    precomputed: bool
    layer: str


@dataclass(slots=True)
class Choice:
    """What is given. stale: past its time, so that a new one is to be computed. too_old: why nothing is given."""

    kept: StoredAnswer | None
    stale: bool = False
    too_old: bool = False


_NOTHING = Choice(None)


def bounds(policy: Policy, ttl_s: float, key: bytes | None, max_age_s: float | None, parts_s: float = 0.0) -> Bounds:
    """Return the bounds of one request.

    key: its last byte draws the jitter; None when the request is not cached. max_age_s: the caller's; an answer of that
    age is the oldest given, and 0 accepts no stored answer. parts_s: how old what a cached answer is made of may have
    been when it was made, which counts for the caller as its age does.
    """
    oldest = math.inf if max_age_s is None else max_age_s if max_age_s > 0 else -1.0
    precomputed = min(policy.max_precomputed_age_s, oldest)
    if key is None:
        return Bounds(-1.0, -1.0, -1.0, precomputed)
    oldest -= parts_s
    return Bounds(
        min(own_ttl_s(ttl_s, key), oldest),
        min(ttl_s + policy.stale_while_revalidate_s, oldest) if policy.stale_while_revalidate_s else -1.0,
        min(ttl_s + policy.stale_on_error_s, oldest) if policy.stale_on_error_s else -1.0,
        precomputed,
    )


def own_ttl_s(ttl_s: float, key: bytes) -> float:
    """Return how long an entry is fresh: up to a tenth less than the ttl, the same in every data plane."""
    return ttl_s * (1.0 - JITTER * key[-1] / 255)


def keep_s(policy: Policy, ttl_s: float) -> float:
    """Return for how long an answer may be of use to anybody."""
    late = max(policy.stale_while_revalidate_s, policy.stale_on_error_s)
    return max(ttl_s + late, policy.longest_stale_s)


def choose(bound: Bounds, cached: StoredAnswer | None, precomputed: StoredAnswer | None) -> Choice:
    """Return the younger of what may be given; else a cached one that is past its time."""
    if cached is None and precomputed is None:
        return _NOTHING
    usable = [
        one
        for one, oldest in ((cached, bound.cached), (precomputed, bound.precomputed))
        if one is not None and one.age_s <= oldest
    ]
    if usable:
        return Choice(min(usable, key=_age))
    if cached is not None and cached.age_s <= bound.revalidated:
        return Choice(cached, stale=True)
    return Choice(None, too_old=cached is not None or precomputed is not None)


def age_s(now_ms: float, computed_at_ms: int) -> float | None:
    """Return the age of an entry; None for one from the future, whose age nobody knows."""
    age = (now_ms - computed_at_ms) / 1000
    return max(0.0, age) if age >= -FUTURE_S else None


def _age(kept: StoredAnswer) -> float:
    return kept.age_s
