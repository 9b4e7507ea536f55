"""Which replica gets the next request, who is left alone, how long answers take, what may be in flight or repeated.

Decisions over plain numbers and times; seconds throughout, on the loop's clock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

# Guess for a replica that has not yet reported how long its rows take.
ROW_GUESS_S = 0.0002


class Loaded(Protocol):
    """What is known of a replica: its last word on its load, when that came, and what we have in flight there."""

    rows: int
    predicted_wait_s: float
    load_seen: float
    rows_in_flight: int

    @property
    def in_flight(self) -> int:
        """Return how many of our requests are there."""
        ...


class Candidate(Protocol):
    """A version at a replica, and how long its answers take there."""

    @property
    def replica(self) -> Loaded:
        """Return the replica."""
        ...

    def expected_s(self, now: float) -> float:
        """Return how long an answer takes without the wait in the queue."""
        ...


C = TypeVar("C", bound=Candidate)


def expected_wait_s(replica: Loaded, now: float) -> float:
    """Return the wait that a new request would probably have.

    The replica's own prediction runs down as time passes; what we sent counts on top, at the pace that its prediction
    implies, because its last word may not include it.
    """
    pace = replica.predicted_wait_s / replica.rows if replica.rows > 0 else ROW_GUESS_S
    left = replica.predicted_wait_s - (now - replica.load_seen)
    return max(0.0, left) + replica.rows_in_flight * pace


def choose(candidates: Sequence[C], now: float, draw: Callable[[], float]) -> C:
    """Return the one of two candidates picked at random where a request costs less: near the best choice, without a
    herd running to it.

    draw: uniform in [0, 1). candidates: at least one.
    """
    count = len(candidates)
    if count == 1:
        return candidates[0]
    first = int(draw() * count)
    second = int(draw() * (count - 1))
    second += second >= first
    one, other = candidates[first], candidates[second]
    return one if cost_s(one, now) <= cost_s(other, now) else other


def cost_s(candidate: Candidate, now: float) -> float:
    """Return what a request more costs there: the wait, and what answers take for everybody who is there.

    By the second part those who are there are divided in proportion to how fast each replica answers (Finagle calls it
    peak EWMA); the first part alone would give a replica that answers late, but has no queue, as many as any other.
    """
    replica = candidate.replica
    return expected_wait_s(replica, now) + candidate.expected_s(now) * (1 + replica.in_flight)


class RetryBudget:
    """Keeps repeated requests to a share of all: each request earns `share`, each retry spends one.

    burst: the most that can be saved up, so that the requests of a lost replica can all be repeated at once. saved:
    what a quiet process begins with; by default the burst.
    """

    __slots__ = ("_burst", "_saved", "_share", "refused", "spent")

    def __init__(self, share: float, burst: float, saved: float | None = None) -> None:
        self._share, self._burst, self._saved = share, burst, burst if saved is None else saved
        self.spent = 0
        self.refused = 0

    def earn(self) -> None:
        """Count a first attempt."""
        if self._saved < self._burst:
            self._saved += self._share

    def spend(self) -> bool:
        """Take one retry; return False when the budget is used up."""
        if self._saved < 1.0:
            self.refused += 1
            return False
        self._saved -= 1.0
        self.spent += 1
        return True


# Share that a new measurement has in mean and deviation: about the last twenty count.
WEIGHT = 0.05
# Mean and this many mean deviations are near the 95th percentile, for latencies between even and exponential.
DEVIATIONS = 2.5
QUANTILE = 0.95
# One step of the quantile, as a share of it: up for what was later, a nineteenth of it down for what was not.
STEP_UP = 0.05
STEP_DOWN = STEP_UP * (1 - QUANTILE) / QUANTILE
# An estimate that keeps requests away is tested by one of them when nothing was measured for so long.
RENEW_S = 5.0
MAX_LATENCIES = 4096


class Latency:
    """What is known of the answers of one version in one pool. Seconds throughout.

    mean_s, deviation_s: from being sent to the answer, without the wait in the queue. late_s: the 95th percentile, with
    it. measured_at: on the loop's clock. known: whether mean and deviation go on from what they are.
    """

    __slots__ = ("deviation_s", "known", "late_s", "mean_s", "measured_at")

    def __init__(self) -> None:
        self.mean_s = 0.0
        self.deviation_s = 0.0
        self.late_s = 0.0
        self.measured_at = 0.0
        self.known = False

    def add(self, took_s: float, queue_s: float, now: float) -> None:
        """Take one answer into account: how long it took in all, and how much of that it waited in the queue."""
        own_s = took_s - queue_s if took_s > queue_s else 0.0
        if not self.known:
            self.mean_s, self.deviation_s, self.known = own_s, own_s / 2, True
            self.late_s = self.late_s or took_s * 1.5
        off_s = own_s - self.mean_s
        self.mean_s += WEIGHT * off_s
        self.deviation_s += WEIGHT * ((off_s if off_s > 0.0 else -off_s) - self.deviation_s)
        self.late_s *= 1 + STEP_UP if took_s > self.late_s else 1 - STEP_DOWN
        self.measured_at = now

    def add_late(self, waited_s: float, now: float) -> None:
        """Take one into account that was given up unanswered: it would have taken at least so long."""
        if waited_s > self.needs_s():
            self.add(waited_s, 0.0, now)

    def needs_s(self) -> float:
        """Return the time that an answer takes nineteen times out of twenty, once it is not queued any more."""
        return self.mean_s + DEVIATIONS * self.deviation_s

    def renews(self, now: float) -> bool:
        """Return whether one request may try what the estimate advises against; for others it counts as measured.

        What it finds takes the place of mean and deviation: one measurement in so long would take minutes to outweigh
        what a slow spell has left there.
        """
        if now - self.measured_at < RENEW_S:
            return False
        self.measured_at, self.known = now, False
        return True


class Estimates:
    """Latencies by version digest and pool; the oldest go first when there are too many."""

    def __init__(self) -> None:
        self._latencies: dict[tuple[str, str], Latency] = {}

    def of(self, digest: str, pool: str) -> Latency:
        """Return what is known of a version in a pool; nothing at first."""
        key = (digest, pool)
        found = self._latencies.get(key)
        if found is None:
            if len(self._latencies) >= MAX_LATENCIES:
                del self._latencies[next(iter(self._latencies))]
            found = self._latencies[key] = Latency()
        return found


# A client may have this many times what is free: alone it fills eight ninths, and the next client finds room. The
# classes below ONLINE may have as much as is free, so one of their clients fills half at most.
SHARE, SHARE_BELOW_ONLINE = 8, 1


class Window:
    """Counts what is in flight by client. requests, size_bytes: the bounds; one request alone may be of any size.

    The rule is Choudhury's and Hahne's dynamic threshold (IEEE/ACM Transactions on Networking, 1998): what a client may
    have shrinks as the window fills, so that some of it always stays free for others, and no client has to be asked or
    known before.
    """

    __slots__ = ("_held", "_left", "_left_bytes", "_limit", "_limit_bytes")

    def __init__(self, requests: int, size_bytes: int) -> None:
        self._limit, self._limit_bytes = requests, size_bytes
        self._left, self._left_bytes = requests, size_bytes
        self._held: dict[tuple[str, bool], list[int]] = {}

    def held(self, client: str, *, online: bool) -> int:
        """Return how many requests of a client are in flight."""
        held = self._held.get((client, online))
        return 0 if held is None else held[0]

    def has_room(self, client: str, size_bytes: int, *, online: bool) -> bool:
        """Return whether one more request of a client may go."""
        if not self._held:
            return True
        left, left_bytes = self._left, self._left_bytes
        if left <= 0 or size_bytes > left_bytes:
            return False
        held = self._held.get((client, online))
        if held is None:
            return True
        share = SHARE if online else SHARE_BELOW_ONLINE
        return held[0] < share * left and held[1] + size_bytes <= share * left_bytes

    def add(self, client: str, size_bytes: int, *, online: bool) -> None:
        """Count a request that goes."""
        self._left -= 1
        self._left_bytes -= size_bytes
        held = self._held.get((client, online))
        if held is None:
            self._held[client, online] = [1, size_bytes]
        else:
            held[0] += 1
            held[1] += size_bytes

    def remove(self, client: str, size_bytes: int, *, online: bool) -> None:
        """Count a request that was answered or given up."""
        self._left += 1
        self._left_bytes += size_bytes
        held = self._held[client, online]
        held[0] -= 1
        held[1] -= size_bytes
        if not held[0]:
            del self._held[client, online]

    def clear(self) -> None:
        """Forget all that is in flight."""
        self._held.clear()
        self._left, self._left_bytes = self._limit, self._limit_bytes


# Failures in a row, or as a share of about the last twenty answers, for which a batcher is ejected.
IN_A_ROW = 5
FAILED_SHARE = 0.5
ANSWER_WEIGHT = 0.05
# How long: doubled each time, and reset after a while without an ejection.
FIRST_S, LONGEST_S = 1.0, 30.0
FORGIVEN_S = 60.0
# What was measured counts half after this long: a slow batcher is tried again now and then.
HALF_LIFE_S = 2.0
SOON_S = 0.1
R = TypeVar("R")


class Endpoint(Generic[R]):
    """One version at one batcher.

    latency: of its answers, by whatever batcher of the pool. took_s: from being sent to the answer, without the wait in
    the queue, lately. until: ejected until then, and to be tried by one request afterwards; 0.0 when it is not ejected.
    probing: whether one request tries it now.
    """

    __slots__ = (
        "_answered_before", "_changed_at", "_ejections", "_outrun_at", "_share", "_streak", "latency", "measured_at",
        "probing", "replica", "took_s", "until",
    )  # fmt: skip

    def __init__(self, replica: R, latency: Latency) -> None:
        self.replica, self.latency = replica, latency
        self.took_s = self.measured_at = 0.0
        self.until = 0.0
        self.probing = False
        self._streak, self._share, self._ejections = 0, 0.0, 0
        self._changed_at = 0.0
        # For `answered_since`. Answers leave only `measured_at`: they are many, and those given up are few.
        self._outrun_at = self._answered_before = 0.0

    def answered(self, queue_s: float, sent: float, now: float) -> bool:
        """Note a good answer to what was sent then and waited so long in the queue. Return whether it ends an
        ejection."""
        took_s = now - sent
        self.latency.add(took_s, queue_s, now)
        self._measure(took_s - queue_s if took_s > queue_s else 0.0, now)
        if self._share:
            self._streak = 0
            self._share = self._share * (1 - ANSWER_WEIGHT) if self._share > 0.01 else 0.0
        if not self.until or sent < self._changed_at:
            return False
        self.until, self._changed_at, self._share = 0.0, now, 0.0
        return True

    def outrun(self, sent: float, now: float) -> None:
        """Note that what was sent then is given up unanswered: it would have taken at least so long."""
        if now - sent > self.took_s:
            self._answered_before = self._answered_at()
            self._measure(now - sent, now)
            self._outrun_at = now

    def answered_since(self, then: float) -> bool:
        """Return whether there was a good answer after that time."""
        return self._answered_at() > then

    def failed(self, sent: float, now: float) -> bool:
        """Note a failure of what was sent then. Return whether it begins an ejection."""
        if sent < self._changed_at or now < self.until:
            return False
        self._streak += 1
        self._share += ANSWER_WEIGHT * (1 - self._share)
        if not self.until and self._streak < IN_A_ROW and self._share < FAILED_SHARE:
            return False
        self.eject(now)
        return True

    def eject(self, now: float) -> None:
        """Leave it alone for a while, longer than the last time."""
        if now - self._changed_at > FORGIVEN_S and not self.until:
            self._ejections = 0
        self.until = now + min(FIRST_S * 2**self._ejections, LONGEST_S)
        self._ejections = min(self._ejections + 1, 10)
        self._changed_at = now
        self._streak = 0

    def due(self, now: float) -> bool:
        """Return whether one request may try it."""
        return 0.0 < self.until <= now and not self.probing

    def expected_s(self, now: float) -> float:
        """Return how long an answer takes without the wait in the queue; the less, the longer nothing was measured."""
        age_s = now - self.measured_at
        return self.took_s if age_s < SOON_S else self.took_s * 0.5 ** (age_s / HALF_LIFE_S)

    def _answered_at(self) -> float:
        return self._answered_before if self.measured_at == self._outrun_at else self.measured_at

    def _measure(self, took_s: float, now: float) -> None:
        # The longer nothing was measured, the more a measurement counts.
        gap_s = now - self.measured_at
        weight = ANSWER_WEIGHT if gap_s < SOON_S else max(ANSWER_WEIGHT, 1.0 - 0.5 ** (gap_s / HALF_LIFE_S))
        self.took_s += weight * (took_s - self.took_s)
        self.measured_at = now
