"""Who serves which version in which pool, how they do, and so what may be expected of them."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from headrace_router.data.batchers.balance import choose, expected_wait_s
from headrace_router.data.batchers.estimates import Estimates, Latency
from headrace_router.data.batchers.frames import Replica
from headrace_router.data.batchers.standings import Standing, is_late, is_silent, parted
from headrace_router.data.batchers.work import Work

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Serving:
    """Who serves one version in one pool. usable: get requests. ejected: are left alone. failing: whether all fail."""

    usable: list[Standing[Replica]]
    ejected: list[Standing[Replica]]
    failing: bool
    latency: Latency


class Roster:
    """Reads the replicas of all pools. Whoever changes one says so by `look_again`."""

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
            standings = [replica.standing(digest, latency) for replica in members if replica.serves(digest)]
            usable, ejected = parted(standings)
            failing = bool(standings) and all(one.until for one in standings)
            serving = self._serving[key] = Serving(usable, ejected, failing, latency)
        return serving

    def look_again(self) -> None:
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

    def to_try(self, work: Work, now: float) -> Standing[Replica] | None:
        """Return who is to be tried by this work because nobody knows whether it still fails, or None."""
        serving = self.of(work.pool, work.digest)
        if not (serving.ejected or serving.failing):
            return None
        return next(
            (one for one in (*serving.ejected, *serving.usable) if one.due(now) and one.replica.has_room(work)), None
        )

    def expired(self, work: Work, now: float) -> None:
        """Note that a work was not answered by its deadline.

        A batcher that has answered others meanwhile has had it wait: behind those of the same client, who take turns
        with others', or behind more than it can do. That says nothing of the batcher that others should suffer for.
        """
        standing, waited_s = work.standing, now - work.sent
        if standing is None or standing.answered_since(work.sent):
            return
        if is_late(waited_s, standing.latency.needs_s()):
            self.failed(work, now)
        standing.latency.add_late(waited_s, now)
        standing.outrun(work.sent, now)

    def outrun(self, work: Work) -> None:
        """Note that another replica answered before the one that has a work."""
        if work.standing is not None:
            work.standing.outrun(work.sent, self._now())
        if work.probes:
            self.eject(work, "it is late")

    def failed(self, work: Work, now: float) -> None:
        """Note that the replica which had a work failed on it."""
        standing = work.standing
        if standing is not None and standing.failed(work.sent, now):
            self._note(work, standing, "it fails")

    def eject(self, work: Work, why: str) -> None:
        """Leave the replica that has a work alone for a while."""
        if work.standing is not None:
            work.standing.eject(self._now())
            self._note(work, work.standing, why)

    def unanswered(self, replica: Replica, now: float) -> Sequence[Work]:
        """Eject a replica that says nothing while others answer, and return what is in flight there."""
        works = [work for work in replica.works() if not replica.suspects(work)] if replica.in_flight else ()
        if not works:
            return ()
        oldest = works[0]
        serving = self.of(oldest.pool, oldest.digest)
        quiet_s = now - max(replica.load_seen, oldest.sent)
        if not is_silent(quiet_s, serving.latency.needs_s()):
            return ()
        if not any(one.replica is not replica and now - one.replica.load_seen < quiet_s for one in serving.usable):
            return ()
        for work in works:
            standing = work.standing
            if standing is not None and (not standing.until or standing.due(now)):
                self.eject(work, "it says nothing")
        return works

    def _note(self, work: Work, standing: Standing[Replica], why: str) -> None:
        self.ejections += 1
        self.look_again()
        log.warning(
            "batcher ejected",
            pool=work.pool,
            address=standing.replica.address,
            version=work.digest[:12],
            reason=why,
            seconds=round(standing.until - self._now(), 1),
        )
