"""Who serves which version in which pool, how they do, and so what may be expected of them.

Who fails is left alone for a while, and then tried by one request at a time. Seconds throughout, on the loop's clock.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

import structlog
from headrace_servicekit.errors import Code

from headrace_router.data.batchers.decisions.balance import Estimates, Latency, choose, expected_wait_s
from headrace_router.data.batchers.work import Attempt, Work

if TYPE_CHECKING:
    from headrace_router.data.batchers.frames import Replica

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Serving:
    """Who serves one version in one pool. usable: get requests. ejected: are left alone. failing: whether all fail."""

    usable: list[Endpoint[Replica]]
    ejected: list[Endpoint[Replica]]
    failing: bool
    latency: Latency


class Endpoints:
    """Reads the replicas of all pools. Whoever changes one says so by `invalidate`."""

    def __init__(
        self, replicas: Mapping[str, Sequence[Replica]], *, rng: random.Random, now: Callable[[], float]
    ) -> None:
        self.ejections = 0
        """Times that a replica was ejected for a version so far."""
        self._replicas, self._rng, self._now = replicas, rng, now
        self._estimates = Estimates()
        self._serving: dict[tuple[str, str], Serving] = {}

    def of(self, pool: str, digest: str) -> Serving:
        """Return who serves a version."""
        key = (pool, digest)
        serving = self._serving.get(key)
        if serving is None:
            latency = self._estimates.of(digest, pool)
            members = self._replicas.get(pool, ())
            endpoints = [replica.endpoint(digest, latency) for replica in members if replica.serves(digest)]
            usable, ejected = partition(endpoints)
            failing = bool(endpoints) and all(one.until for one in endpoints)
            serving = self._serving[key] = Serving(usable, ejected, failing, latency)
        return serving

    def invalidate(self) -> None:
        """Forget who serves: something changed."""
        self._serving.clear()

    def serves(self, pool: str, digest: str) -> bool:
        """Return whether a batcher of the pool has the version ready."""
        return bool(self.of(pool, digest).usable)

    def needs_s(self, pool: str, digest: str) -> float:
        """Return how long an answer of a version probably takes; infinite when nobody has it, or all fail."""
        serving, now = self.of(pool, digest), self._now()
        if not serving.usable or (serving.failing and not any(one.due(now) for one in serving.usable)):
            return math.inf
        wait_s = expected_wait_s(choose(serving.usable, now, self._rng.random).replica, now)
        return wait_s + serving.latency.needs_s()

    def renews(self, pool: str, digest: str) -> bool:
        """Return whether one request may find out anew how long an answer takes."""
        return self.of(pool, digest).latency.renews(self._now())

    def to_try(self, work: Work, now: float) -> Endpoint[Replica] | None:
        """Return who is to be tried by this work because nobody knows whether it still fails, or None."""
        serving = self.of(work.pool, work.digest)
        if not (serving.ejected or serving.failing):
            return None
        return next(
            (one for one in (*serving.ejected, *serving.usable) if one.due(now) and one.replica.has_room(work)), None
        )

    def expired(self, attempt: Attempt, now: float) -> None:
        """Note that an attempt was not answered by its deadline.

        A batcher that has answered others meanwhile has had it wait: behind those of the same client, who take turns
        with others', or behind more than it can do. That says nothing of the batcher that others should suffer for.
        """
        endpoint, waited_s = attempt.endpoint, now - attempt.sent
        if endpoint.answered_since(attempt.sent):
            return
        if is_late(waited_s, endpoint.latency.needs_s()):
            self.failed(attempt, now)
        endpoint.latency.add_late(waited_s, now)
        endpoint.outrun(attempt.sent, now)

    def outrun(self, attempt: Attempt) -> None:
        """Note that another replica answered before the one that has an attempt."""
        attempt.endpoint.outrun(attempt.sent, self._now())
        if attempt.probes:
            self.eject(attempt, "it is late")

    def failed(self, attempt: Attempt, now: float) -> None:
        """Note that the replica which had an attempt failed on it."""
        if attempt.endpoint.failed(attempt.sent, now):
            self._note(attempt, "it fails")

    def eject(self, attempt: Attempt, why: str) -> None:
        """Leave the endpoint of an attempt alone for a while."""
        attempt.endpoint.eject(self._now())
        self._note(attempt, why)

    def unanswered(self, replica: Replica, now: float) -> Sequence[Attempt]:
        """Eject a replica that says nothing while others answer, and return what is in flight there."""
        attempts = [one for one in replica.attempts() if not replica.suspects(one)] if replica.in_flight else ()
        if not attempts:
            return ()
        oldest = attempts[0]
        serving = self.of(oldest.work.pool, oldest.work.digest)
        quiet_s = now - max(replica.load_seen, oldest.sent)
        if not is_silent(quiet_s, serving.latency.needs_s()):
            return ()
        if not any(one.replica is not replica and now - one.replica.load_seen < quiet_s for one in serving.usable):
            return ()
        for attempt in attempts:
            endpoint = attempt.endpoint
            if not endpoint.until or endpoint.due(now):
                self.eject(attempt, "it says nothing")
        return attempts

    def _note(self, attempt: Attempt, why: str) -> None:
        work, endpoint = attempt.work, attempt.endpoint
        self.ejections += 1
        self.invalidate()
        log.warning(
            "batcher ejected",
            pool=work.pool,
            address=endpoint.replica.address,
            version=work.digest[:12],
            reason=why,
            seconds=round(endpoint.until - self._now(), 1),
        )


# Failures in a row, or as a share of about the last twenty answers, for which a batcher is ejected.
IN_A_ROW = 5
SHARE = 0.5
WEIGHT = 0.05
# How long: doubled each time, and begun anew after a while without an ejection.
FIRST_S, LONGEST_S = 1.0, 30.0
FORGIVEN_S = 60.0
# What was measured counts half after this long: a slow batcher is tried again now and then.
HALF_LIFE_S = 2.0
SOON_S = 0.1
# A batcher that says nothing for this long, while others answer, is taken for hanging; or for three times as long as an
# answer takes, if that is longer. Where no answer was measured yet, it may be a slow model.
SILENT_S, SILENT_UNMEASURED_S, SILENT_FACTOR = 2.0, 4.0, 3.0
# A deadline that passed says something of the batcher only after four times what an answer takes, and this long.
LATE_S, LATE_FACTOR = 0.25, 4.0

_FAILURES = frozenset((Code.UNAVAILABLE, Code.INTERNAL, Code.UNKNOWN, Code.DATA_LOSS))
# About the version or a batcher that stops, which says so itself, or that loads a version again that was not asked for.
_NOT_ITS_FAULT = frozenset(("NOT_LOADED", "STOPPING", "MODEL_LOADING"))

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
            self._share = self._share * (1 - WEIGHT) if self._share > 0.01 else 0.0
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
        self._share += WEIGHT * (1 - self._share)
        if not self.until and self._streak < IN_A_ROW and self._share < SHARE:
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
        weight = WEIGHT if gap_s < SOON_S else max(WEIGHT, 1.0 - 0.5 ** (gap_s / HALF_LIFE_S))
        self.took_s += weight * (took_s - self.took_s)
        self.measured_at = now


def fails(code: int, reason: str) -> bool:
    """Return whether an answer says that something is wrong with the version at that batcher."""
    return code in _FAILURES and reason not in _NOT_ITS_FAULT


def is_late(waited_s: float, needs_s: float) -> bool:
    """Return whether a deadline passed that a batcher that does well would have kept."""
    return waited_s >= max(LATE_S, LATE_FACTOR * needs_s)


def is_silent(quiet_s: float, needs_s: float) -> bool:
    """Return whether a batcher has said nothing for too long while others answer. needs_s: 0 when not measured."""
    return quiet_s >= (max(SILENT_S, SILENT_FACTOR * needs_s) if needs_s else SILENT_UNMEASURED_S)


S = TypeVar("S", bound=Endpoint)


def partition(endpoints: Sequence[S]) -> tuple[list[S], list[S]]:
    """Return those that get requests, and those that are left alone: at most half of them, and never all.

    When all fail, nobody is worse than the others, and all get requests.
    """
    ejected = [one for one in endpoints if one.until]
    if not ejected or len(ejected) == len(endpoints):
        return list(endpoints), []
    most = max(1, len(endpoints) // 2)
    alone = sorted(ejected, key=lambda one: -one.until)[:most]
    return [one for one in endpoints if one not in alone], alone
