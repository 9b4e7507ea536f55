"""Head-room of a pool for a rollout step: pure functions of the traffic and of the batchers' counters.

A new version computes answers that the baseline had cached, so a step adds load. Head-room is the execution time that
the pool has left. The model ignores that larger batches make each request cheaper: it rather slows a step than
overloads a pool, and the load is measured again as the share grows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from headrace_rollout.decisions.policies import percent

# Batchers report every two seconds: less time than this is noise.
SHORTEST_S = 2.0
# With fewer answers of a version its cache hit ratio is unknown.
ENOUGH_ANSWERS = 200
# Smallest fraction of the way to a step that is worth a write of the route.
LEAST_PART = 0.1
# Decimal places of a limited share.
_SHARE_DIGITS = 4


@dataclass(frozen=True, slots=True)
class VariantTraffic:
    """Request counts of a variant over `seconds`. online: computed for the request; bad: failed; precomputed: answered
    from precomputed predictions.
    """

    seconds: float
    requests: int
    online: int
    bad: int
    precomputed: int = 0

    @property
    def computed_share(self) -> float:
        """Share of the requests that were computed; 0 without requests."""
        return (self.online + self.bad) / self.requests if self.requests else 0.0


@dataclass(frozen=True, slots=True)
class Work:
    """Counters of a version in a batcher since it was loaded. compute_s: execution time."""

    model: str
    version: str
    answered: int
    compute_s: float


@dataclass(frozen=True, slots=True)
class Report:
    """Counters of a batcher at a time, by version digest."""

    time_s: float
    work: Mapping[str, Work]


Look = Mapping[str, Report]
"""The latest report of each batcher of a pool, by process."""


@dataclass(frozen=True, slots=True)
class PoolLoad:
    """Load of a pool. busy: execution seconds per second, summed over its batchers. request_s: execution time per
    request.
    """

    batchers: int
    busy: float
    request_s: float

    @property
    def utilisation(self) -> float:
        """Mean share of its time that a batcher executes."""
        return self.busy / self.batchers

    def room_rps(self, most: float) -> float:
        """Return the additional requests per second until the utilisation reaches `most`."""
        return max(0.0, most * self.batchers - self.busy) / self.request_s


@dataclass(frozen=True, slots=True)
class Fit:
    """The share that a version can have now. reason: why it is less than requested; empty if it is not."""

    share: float
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Room:
    """The cost of a larger share, and the pool's load. rps: requests per second of both versions. kept_share: share of
    the new version's requests answered from cache or precomputed predictions. extra_share: share that it computes and
    the baseline would not. pool: None if its load is unknown or not needed.
    """

    rps: float = 0.0
    kept_share: float = 0.0
    extra_share: float = 0.0
    pool: PoolLoad | None = None

    def extra_rps(self, share: float) -> float:
        """Return the additional computed requests per second when a share of the traffic moves to the new version."""
        return self.rps * self.extra_share * share

    def fit(self, share: float, wanted: float, most: float, *, whole: bool) -> Fit:
        """Return the largest share from `share` to `wanted` that fits. whole: all of `wanted` or no change."""
        extra = self.extra_rps(wanted - share)
        if self.pool is None or extra <= 0:
            return Fit(wanted)
        free_rps = self.pool.room_rps(most)
        if extra <= free_rps:
            return Fit(wanted)
        reason = (
            f"{percent(wanted):g} % of the traffic would have the pool compute {extra:.3g} requests/s more, and there"
            f" is room for {free_rps:.3g}: its batchers ({self.pool.batchers}) are busy for"
            f" {self.pool.utilisation:.0%} of the time, and may be for {most:.0%}"
        )
        part = 0.0 if whole else free_rps / extra
        if part < LEAST_PART:
            return Fit(share, reason)
        scale = 10**_SHARE_DIGITS
        return Fit(max(share, math.floor((share + (wanted - share) * part) * scale) / scale), reason)


def room_of(baseline: VariantTraffic, candidate: VariantTraffic, coverage: float, pool: PoolLoad | None = None) -> Room:
    """Return the head-room from the recent traffic of both versions. coverage: share of the entities with precomputed
    predictions of the baseline that have one of the new version too.
    """
    requests = baseline.requests + candidate.requests
    if candidate.requests >= ENOUGH_ANSWERS:
        stored = 1 - candidate.computed_share
    else:
        # Its cache is empty.
        stored = coverage * baseline.precomputed / baseline.requests if baseline.requests else 0.0
    extra = max(0.0, 1 - stored - baseline.computed_share) if baseline.requests else 0.0
    seconds = max(baseline.seconds, candidate.seconds)
    return Room(requests / seconds if seconds > 0 else 0.0, stored, extra, pool)


def executed(look: Look, model: str, version: str) -> bool:
    """Return whether any batcher has executed a version, so that its execution time per request is known."""
    return any(one.answered > 0 and one.compute_s > 0 for one in _of(look, model, version))


def load_between(first: Look, last: Look, model: str, version: str) -> PoolLoad | None:
    """Return the load of a pool between two samples; None before any batcher has reported for SHORTEST_S, or if the
    version was never executed.

    A new batcher is left out until it has reported twice. Versions unloaded meanwhile count as idle.
    """
    if not executed(last, model, version):
        return None
    own = list(_of(last, model, version))
    pairs = [(first[process], report) for process, report in last.items() if process in first]
    known = [(before, after) for before, after in pairs if after.time_s - before.time_s >= SHORTEST_S]
    if not known:
        return None
    request_s = sum(one.compute_s for one in own) / sum(one.answered for one in own)
    return PoolLoad(len(known), sum(_busy(before, after) for before, after in known), request_s)


def _of(look: Look, model: str, version: str) -> Iterator[Work]:
    for report in look.values():
        yield from (one for one in report.work.values() if (one.model, one.version) == (model, version))


def _busy(before: Report, after: Report) -> float:
    """Return the execution seconds per second between two reports of a batcher."""
    nothing = Work("", "", 0, 0.0)
    done_s = sum(
        max(0.0, one.compute_s - before.work.get(digest, nothing).compute_s) for digest, one in after.work.items()
    )
    return done_s / (after.time_s - before.time_s)
