"""What data planes counted of both versions, and what of it is a version's and what its callers'. Pure.

Only answers that a version was asked to compute count, and faults: what a cache gives says nothing of a version, and a
new one has no cache yet.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from headrace_servicekit.errors import Code
from headrace_statistics.canary.counts import ArmCounts

# Codes that are certainly the version's fault, besides DEADLINE_EXCEEDED.
_FAULTS = frozenset((Code.UNKNOWN, Code.RESOURCE_EXHAUSTED, Code.INTERNAL, Code.UNAVAILABLE, Code.DATA_LOSS))
# Codes of refusals: the caller's mistake, or the fault of a version that accepts fewer inputs than the baseline or has
# inputs in quarantine. With a baseline in parallel both count alike, since callers' mistakes affect both versions. For
# a version that serves alone only the excess counts: over the worst minutes of the hour before and one caller's
# mistakes; without that history, over half of all requests.
_REFUSALS = frozenset((Code.INVALID_ARGUMENT, Code.NOT_FOUND, Code.FAILED_PRECONDITION, Code.OUT_OF_RANGE))


@dataclass(frozen=True, slots=True)
class Count:
    """A count of answers with equal labels. online: computed for the request by the version itself."""

    version: str
    variant: str
    online: bool
    code: int
    count: int
    invalid: int = 0
    degraded: int = 0
    first_bucket: int = 0
    durations: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Counts:
    """What came since the last ones. missing: data planes not heard of. erring_units, refused_units: new ones, by
    version and variant: the rollout before may have had the same variant. units: all so far.
    """

    time: datetime
    elapsed: timedelta
    counts: tuple[Count, ...]
    missing: tuple[str, ...] = ()
    erring_units: dict[tuple[str, str], int] = field(default_factory=dict)
    refused_units: dict[tuple[str, str], int] = field(default_factory=dict)
    units: dict[tuple[str, str], int] = field(default_factory=dict)

    def of(self, arm: tuple[str, str]) -> Iterator[Count]:
        """Yield those of a version under a variant."""
        return (one for one in self.counts if (one.version, one.variant) == arm)


@dataclass(frozen=True, slots=True)
class Arms:
    """Which variants are compared, and the versions that serve them. alone: the old one has no traffic any more. share:
    of both arms' traffic, that the candidate has.
    """

    candidate: tuple[str, str]
    baseline: tuple[str, str]
    alone: bool
    share: float = 0.0


def is_fault(code: int) -> bool:
    """Return whether a gRPC code is a version's fault, not its caller's."""
    return code in _FAULTS or code == Code.DEADLINE_EXCEEDED


def counted(counts: Counts, arm: tuple[str, str], slow: Sequence[int], tolerated_refusals: float) -> ArmCounts:
    """Return the counts of a variant. tolerated_refusals: which share of what it was asked may be refused uncounted."""
    answered, refused = answered_and_refused(counts.of(arm), slow)
    beyond = max(0, refused - math.floor(tolerated_refusals * (answered.requests + refused)))
    erring = counts.erring_units.get(arm, 0) + min(counts.refused_units.get(arm, 0), beyond)
    return answered.plus(ArmCounts(beyond, beyond, erring_units=erring, units=counts.units.get(arm, 0)))


def answered_and_refused(counts: Iterable[Count], slow: Sequence[int]) -> tuple[ArmCounts, int]:
    """Return what a version answered, or failed to, and how many requests it refused. slow: the buckets of durations
    from which on answers are slow, for each of `judgement.SLOWNESS`; none for no answer that counts as slow.
    """
    requests = errors = timeouts = invalid = refused = 0
    beyond = [0] * len(slow)
    for one in counts:
        if one.code == Code.OK:
            # What something stood in for is an error of the version.
            answered = one.count if one.online else one.degraded
            requests += answered
            errors += one.degraded
            invalid += min(one.invalid, answered)
            if one.online:
                for at, bucket in enumerate(slow):
                    beyond[at] += sum(one.durations[max(0, bucket - one.first_bucket) :])
        elif one.code == Code.DEADLINE_EXCEEDED:
            requests += one.count
            timeouts += one.count
        elif one.code in _FAULTS:
            requests += one.count
            errors += one.count
        elif one.code in _REFUSALS:
            refused += one.count
    tail, p90, median = (*(min(one, requests) for one in beyond), 0, 0, 0)[:3]
    counted = ArmCounts(requests, errors, timeouts, tail, invalid, slower_p90=p90, slower_median=median)
    return counted, refused
