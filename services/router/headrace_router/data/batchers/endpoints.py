"""Who serves which version in which pool, how they do, and so what may be expected of them.

Who fails is left alone for a while, and then tried by one request at a time. Seconds throughout, on the loop's clock.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import structlog
from headrace_servicekit.errors import Code

from headrace_router.data.batchers.decisions.balance import Endpoint, Estimates, Latency, choose, expected_wait_s
from headrace_router.data.batchers.frames import Replica
from headrace_router.data.batchers.work import Attempt, Work

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Serving:
    """Who serves one version in one pool. usable: get requests. ejected: are left alone. failing: whether all fail."""

    usable: list[Endpoint[Replica]]
    ejected: list[Endpoint[Replica]]
    failing: bool
    latency: Latency


class Endpoints:
    """Reads the replicas of all pools. Each change is followed by `invalidate`."""

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
        """Return how long an answer of a version probably takes; infinite when no replica has it, or all fail."""
        serving, now = self.of(pool, digest), self._now()
        if not serving.usable or (serving.failing and not any(one.due(now) for one in serving.usable)):
            return math.inf
        wait_s = expected_wait_s(choose(serving.usable, now, self._rng.random).replica, now)
        return wait_s + serving.latency.needs_s()

    def renews(self, pool: str, digest: str) -> bool:
        """Return whether one request may measure again how long an answer takes."""
        return self.of(pool, digest).latency.renews(self._now())

    def to_try(self, work: Work, now: float) -> Endpoint[Replica] | None:
        """Return the replica that this work tries because it may have recovered, or None."""
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


# A batcher that says nothing for this long, while others answer, is taken for hanging; or for three times as long as an
# answer takes, if that is longer. Where no answer was measured yet, it may be a slow model.
SILENT_S, SILENT_UNMEASURED_S, SILENT_FACTOR = 2.0, 4.0, 3.0
# A deadline that passed says something of the batcher only after four times what an answer takes, and this long.
LATE_S, LATE_FACTOR = 0.25, 4.0

_FAILURES = frozenset((Code.UNAVAILABLE, Code.INTERNAL, Code.UNKNOWN, Code.DATA_LOSS))
# About the version or a batcher that stops, which says so itself, or that loads a version again that was not asked for.
_NOT_ITS_FAULT = frozenset(("NOT_LOADED", "STOPPING", "MODEL_LOADING"))


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

    When all fail, none is worse than the others, and all get requests.
    """
    ejected = [one for one in endpoints if one.until]
    if not ejected or len(ejected) == len(endpoints):
        return list(endpoints), []
    most = max(1, len(endpoints) // 2)
    alone = sorted(ejected, key=lambda one: -one.until)[:most]
    return [one for one in endpoints if one not in alone], alone
