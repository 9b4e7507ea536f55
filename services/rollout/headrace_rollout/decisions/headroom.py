"""Whether a pool has room for what a step makes it compute: pure functions of its traffic and of what its batchers did.

A version that takes over a share of the traffic computes what its cache does not have yet, where the version before had
it. The more of its time a pool spends on executions, the less it can take. That batches grow with the load, and each
request then takes less, is left out: a step is rather slowed than a pool overloaded, and it is measured as it grows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from headrace_rollout.decisions.policies import percent

# Batchers report every two seconds: less time than this is noise.
SHORTEST_S = 2.0
# Fewer answers of a version say nothing of what its cache has.
ENOUGH_ANSWERS = 200
# Of the way to a step: less is not worth a write of the route.
LEAST_PART = 0.1
# Where a share is cut, so that it reads well.
_SHARE_DIGITS = 4


@dataclass(frozen=True, slots=True)
class VariantTraffic:
    """Answers and faults of a variant in so many seconds. online: computed for their request; bad: faults; precomputed:
    read from what was computed beforehand.
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
    """What a batcher has done of a version since it holds it."""

    model: str
    version: str
    answered: int
    compute_s: float


@dataclass(frozen=True, slots=True)
class Report:
    """What a batcher had done by a time, by digest of the version."""

    time_s: float
    work: Mapping[str, Work]


Look = Mapping[str, Report]
"""The latest report of each batcher of a pool, by process."""


@dataclass(frozen=True, slots=True)
class PoolLoad:
    """How busy a pool is. busy: seconds of execution in a second, over its batchers. request_s: of one request."""

    batchers: int
    busy: float
    request_s: float

    @property
    def utilisation(self) -> float:
        """Share of its time that a batcher executes."""
        return self.busy / self.batchers

    def room_rps(self, most: float) -> float:
        """Return how many requests a second may be computed besides until batchers are as busy as `most`."""
        return max(0.0, most * self.batchers - self.busy) / self.request_s


@dataclass(frozen=True, slots=True)
class Fit:
    """The share that a version can have now, and why no more; empty when it is all that was asked for."""

    share: float
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Room:
    """What a larger share costs, and what there is. rps: requests per second of both versions. kept_share: of the
    requests that the new version gets, what it answers without computing. extra_share: of them, what is computed that
    the version before would not compute. pool: None when nothing is known of it, and where nothing is asked of it.
    """

    rps: float = 0.0
    kept_share: float = 0.0
    extra_share: float = 0.0
    pool: PoolLoad | None = None

    def extra_rps(self, share: float) -> float:
        """Return the requests per second that are computed besides when a share of the traffic changes its version."""
        return self.rps * self.extra_share * share

    def fit(self, share: float, wanted: float, most: float, *, whole: bool) -> Fit:
        """Return how much of the way from a share to another one fits. whole: all of it, or nothing."""
        extra = self.extra_rps(wanted - share)
        if self.pool is None or extra <= 0:
            return Fit(wanted)
        room = self.pool.room_rps(most)
        if extra <= room:
            return Fit(wanted)
        reason = (
            f"{percent(wanted):g} % of the traffic would have the pool compute {extra:.3g} requests/s more, and there"
            f" is room for {room:.3g}: its batchers ({self.pool.batchers}) are busy for {self.pool.utilisation:.0%} of"
            f" the time, and may be for {most:.0%}"
        )
        part = 0.0 if whole else room / extra
        if part < LEAST_PART:
            return Fit(share, reason)
        scale = 10**_SHARE_DIGITS
        return Fit(max(share, math.floor((share + (wanted - share) * part) * scale) / scale), reason)


def room_of(baseline: VariantTraffic, candidate: VariantTraffic, coverage: float, pool: PoolLoad | None = None) -> Room:
    """Return the room from what both versions answered of late. coverage: of the entities for which the version before
    has precomputed answers, the share for which the new one has them too.
    """
    requests = baseline.requests + candidate.requests
    if candidate.requests >= ENOUGH_ANSWERS:
        kept = 1 - candidate.computed_share
    else:
        # Its cache is empty.
        kept = coverage * baseline.precomputed / baseline.requests if baseline.requests else 0.0
    extra = max(0.0, 1 - kept - baseline.computed_share) if baseline.requests else 0.0
    seconds = max(baseline.seconds, candidate.seconds)
    return Room(requests / seconds if seconds > 0 else 0.0, kept, extra, pool)


def executed(look: Look, model: str, version: str) -> bool:
    """Return whether any batcher has executed a version, so that it is known how long a request of it takes."""
    return any(one.answered > 0 and one.compute_s > 0 for one in _of(look, model, version))


def load_between(first: Look, last: Look, model: str, version: str) -> PoolLoad | None:
    """Return how busy a pool was between two looks; None while no batcher has reported for long enough, or where the
    version was never executed.

    A batcher that is new is left out until it has reported twice. What was unloaded meanwhile counts as idle.
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
    """Return the seconds of execution in a second between two reports of a batcher."""
    nothing = Work("", "", 0, 0.0)
    done_s = sum(
        max(0.0, one.compute_s - before.work.get(digest, nothing).compute_s) for digest, one in after.work.items()
    )
    return done_s / (after.time_s - before.time_s)
