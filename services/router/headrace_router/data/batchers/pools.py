"""Pools of batchers: which one gets a request, and what becomes of a request when one fails, hangs or is lost."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any

import structlog
from headrace.batcher.v1 import batcher_pb2
from headrace_servicekit.errors import Code, ServiceError
from headrace_servicekit.loops import periodic

from headrace_router.data.answer.refusals import (
    answer_cut_off,
    deadline_exceeded,
    no_backend,
    pool_full,
    pool_starting,
    quarantined_input,
)
from headrace_router.data.batchers.admission import REASON as QUARANTINED
from headrace_router.data.batchers.admission import PendingQueue, Quarantine, QueueLimits
from headrace_router.data.batchers.decisions.balance import RetryBudget, choose
from headrace_router.data.batchers.endpoints import Endpoints, fails
from headrace_router.data.batchers.frames import Limits, Replica
from headrace_router.data.batchers.hedges import Hedges
from headrace_router.data.batchers.members import Members, Target, resolve_by_dns
from headrace_router.data.batchers.work import DISAGREES, Attempt, Work, disagrees
from headrace_router.data.request.deadlines import Deadlines

log = structlog.get_logger()

# Answers that say nothing about the request: another replica may do better.
ELSEWHERE = frozenset(("NOT_LOADED", "STOPPING", "NO_BACKEND", "BATCHER_DISAGREES", "MODEL_LOADING"))
# The request itself may be why: it is not given to another replica.
SUSPECT = "BACKEND_CRASHED"
MAX_ATTEMPTS = 2
WATCH_EVERY_S = 0.25


class Pools:
    """All pools of one data plane. Everything but `run` is called on the loop and never waits.

    connect: opens a channel to an address. resolve: all addresses of a target. changed: called at each change with
    whether every pool has a batcher that takes requests. queue_limits: for batchers that are away for a moment.
    """

    def __init__(
        self,
        targets: dict[str, tuple[Target, ...]],
        *,
        connect: Callable[[str, Target], Any],
        limits: Limits,
        retry_share: float,
        resolve_every_s: float,
        rng: random.Random,
        loop: asyncio.AbstractEventLoop,
        changed: Callable[[bool], object] = lambda ready: None,
        resolve: Callable[[Target], Any] | None = None,
        queue_limits: QueueLimits | None = None,
    ) -> None:
        self._rng, self._loop, self._changed = rng, loop, changed
        self.members = Members(
            targets,
            self,
            connect=connect,
            resolve=resolve or resolve_by_dns,
            resolve_every_s=resolve_every_s,
            limits=limits,
            loop=loop,
        )
        self.replicas = self.members.replicas
        self.budget = RetryBudget(retry_share, float(limits.in_flight))
        self.quarantine = Quarantine(loop.time)
        self.disagreements = 0
        self._queue_limits = queue_limits or QueueLimits()
        self.pending = {pool: PendingQueue(self._queue_limits) for pool in targets}
        self.endpoints = Endpoints(self.replicas, rng=rng, now=loop.time)
        self._deadlines: Deadlines[Work] = Deadlines(loop, self._expire)
        self._queue_timeouts: Deadlines[Work] = Deadlines(loop, self._give_up)
        self.hedges = Hedges(loop, self._double)

    def retarget(self, targets: dict[str, tuple[Target, ...]]) -> None:
        """Go by other names from now on: batchers and pools come and go, no request fails for it."""
        for pool in targets:
            if pool not in self.pending:
                self.pending[pool] = PendingQueue(self._queue_limits)
        self.members.retarget(targets)
        self.endpoints.invalidate()
        self._changed(all(map(_takes_requests, self.replicas.values())))

    @property
    def in_flight(self) -> int:
        return sum([replica.in_flight for replicas in self.replicas.values() for replica in replicas])

    def submit(self, works: Iterable[Work]) -> None:
        """Send works to their pools; each `answer` is settled, with an error when nothing can take it."""
        for work in works:
            if work.answer.done():
                continue
            if work.digest in self.quarantine.versions and self.quarantine.refuses(work):
                work.answer.set_exception(quarantined_input())
                continue
            if not work.again:
                self.budget.earn()
            work.tick = self._deadlines.add(work, work.deadline)
            self._place(work)

    def withdraw(self, work: Work) -> None:
        """Withdraw a work whose answer is no longer awaited."""
        self._leave(work)
        for attempt in work.in_flight():
            self._drop(attempt)
        self._forget(work)

    def part(self, replica: Replica, attempt: Attempt, response: batcher_pb2.InferResponse) -> None:
        work, endpoint = attempt.work, attempt.endpoint
        if work.parts is None or work.parts.is_full or disagrees(work, response):
            self.disagreements += 1
            self._drop(attempt)
            self._settle(attempt, DISAGREES)
            return
        if attempt.probes:
            self._end_probe(attempt)
        if not work.parts.came and endpoint.answered(response.queue_us * 1e-6, attempt.sent, replica.load_seen):
            self.endpoints.invalidate()
        work.parts.put(response)

    def answered(self, replica: Replica, attempt: Attempt, response: batcher_pb2.InferResponse) -> None:
        work, endpoint, probed = attempt.work, attempt.endpoint, attempt.probes
        attempt.replica = None
        answers, in_parts = work.answers, work.parts
        if answers is not None and in_parts is None and not response.code:
            wrong = not answers.keep_contract(work.rows, work.outputs, response.outputs)
        else:
            wrong = disagrees(work, response)
        if wrong:
            self.disagreements += 1
            response = DISAGREES
        if probed:
            self._end_probe(attempt)
        if not response.code:
            # How long one in parts went on says more of its caller.
            if (in_parts is None or not in_parts.came) and endpoint.answered(
                response.queue_us * 1e-6, attempt.sent, replica.load_seen
            ):
                self.endpoints.invalidate()
        elif self._goes_on(replica, attempt, response, probed=probed):
            return
        self._settle(attempt, response)

    def _goes_on(
        self, replica: Replica, attempt: Attempt, response: batcher_pb2.InferResponse, *, probed: bool
    ) -> bool:
        """Note an error; return whether another attempt works on the request."""
        code, reason = response.code, response.reason
        if fails(code, reason):
            self.endpoints.failed(attempt, replica.load_seen)
        if reason == QUARANTINED:
            self.quarantine.add(attempt.work)
        if code == Code.INVALID_ARGUMENT:
            return False
        if attempt.beside() is not None:
            return True
        elsewhere = reason in ELSEWHERE or (probed and reason != SUSPECT)
        return elsewhere and self._again(attempt.work, away_from=replica)

    def lost(self, replica: Replica, attempts: Sequence[Attempt]) -> None:
        for attempt in attempts:
            work, attempt.replica = attempt.work, None
            if attempt.probes:
                self._end_probe(attempt)
            if not work.answer.done() and _begun(work):
                self._fail(work, answer_cut_off(work.pool))
            elif work.answer.done() or attempt.beside() is not None or self._again(work, away_from=replica):
                continue
            else:
                self._fail(work, no_backend(work.pool))

    def changed(self, replica: Replica) -> None:
        self.endpoints.invalidate()
        for pool, room in self.pending.items():
            for work in room.called(lambda digest, pool=pool: self.endpoints.serves(pool, digest)):
                self._leave(work)
                self._place(work)
        self._changed(all(map(_takes_requests, self.replicas.values())))

    def miss(self, pool: str) -> float | None:
        """Note that a request misses a batcher of a pool; return after how long one that is being started answers."""
        room, now = self.pending.get(pool), self._loop.time()
        if room is None:
            return None
        room.missed_at = now
        return room.ready_in_s(now)

    def missing(self, since: float) -> list[str]:
        """Return the pools without a batcher, or that are being started, that a request has missed since then."""
        now = self._loop.time()
        return [
            pool
            for pool, room in self.pending.items()
            if (room or room.missed_at >= since)
            and (room.ready_in_s(now) is not None or not _takes_requests(self.replicas.get(pool, ())))
        ]

    async def run(self) -> None:
        """Keep a stream to every batcher of every pool; never returns. At its end no request is left waiting."""
        try:
            async with asyncio.TaskGroup() as tasks:
                self.members.follow(tasks)
                tasks.create_task(periodic("watch batchers", self._watch, every_s=WATCH_EVERY_S), name="watch batchers")
        finally:
            for work in chain.from_iterable(self.pending.values()):
                self._leave(work)
                self._fail(work, no_backend(work.pool))
            for timers in (self._deadlines, self._queue_timeouts, self.hedges):
                timers.close()

    def _place(self, work: Work, away_from: Replica | None = None) -> None:
        serving, now = self.endpoints.of(work.pool, work.digest), self._loop.time()
        usable, probes = serving.usable, False
        if away_from is not None:
            usable = [one for one in usable if one.replica is not away_from]
        elif (due := self.endpoints.to_try(work, now)) is not None:
            probes = due.probing = True
            usable = [due]
        if not usable:
            if not self._wait(work):
                self._fail(work, self._missing(work.pool))
            return
        chosen = choose(usable, now, self._rng.random)
        if not chosen.replica.has_room(work):
            roomy = [other for other in usable if other.replica.has_room(work)]
            if not roomy:
                self._fail(work, pool_full(work.pool, chosen.replica.predicted_wait_s))
                return
            chosen = choose(roomy, now, self._rng.random)
        if (work.hedged is not None or probes) and not work.attempts:
            self.hedges.arrange(work, serving.latency, now, probes=probes)
        work.attempts += 1
        work.current = attempt = Attempt(work, chosen, now, probes=probes, is_hedge=False)
        chosen.replica.send(attempt)

    def _again(self, work: Work, away_from: Replica) -> bool:
        """Send a work to another replica, if time, budget and its attempts allow. Return whether it was dealt with."""
        if work.attempts >= MAX_ATTEMPTS or work.deadline <= self._loop.time() or work.answer.done() or _begun(work):
            return False
        usable = self.endpoints.of(work.pool, work.digest).usable
        if (all(one.replica is away_from for one in usable) and usable) or not self.budget.spend():
            return False
        if not usable:
            return self._wait(work)
        self._place(work, away_from)
        return True

    def _double(self, work: Work) -> bool:
        """Send a work to a second replica too, if there is one and the budget allows; the first answer counts."""
        if work.attempts >= MAX_ATTEMPTS or work.answer.done() or work.parts is not None:
            return False
        current = work.current
        held_by = None if current is None else current.replica
        if current is not None and held_by is not None and held_by.suspects(current):
            return False
        serving, now = self.endpoints.of(work.pool, work.digest), self._loop.time()
        others = [one for one in serving.usable if one.replica is not held_by and one.replica.has_room(work)]
        if not others or not self.budget.spend():
            return False
        chosen = choose(others, now, self._rng.random)
        work.attempts += 1
        work.hedge = hedge = Attempt(work, chosen, now, probes=False, is_hedge=True)
        chosen.replica.send(hedge)
        return True

    def _settle(self, attempt: Attempt, response: batcher_pb2.InferResponse) -> None:
        """Give the answer to its caller; another attempt that is still in flight is not needed any more."""
        work, other = attempt.work, attempt.beside()
        if other is not None:
            self.endpoints.outrun(other)
            self._drop(other)
        self._forget(work)
        if not work.answer.done():
            work.answer.set_result(response)

    def _forget(self, work: Work) -> None:
        """Stop watching the times of a work that is over, and release its attempts, which are over too.

        They name it: with both, tensors and answer would stay until the garbage collector comes by.
        """
        self._deadlines.discard(work, work.tick)
        if work.hedge_tick:
            self.hedges.discard(work)
        work.current = work.hedge = None

    def _drop(self, attempt: Attempt) -> None:
        """Take an attempt from the replica that it is in flight on, if it is."""
        if attempt.replica is not None:
            attempt.replica.withdraw(attempt)
            attempt.replica = None
            if attempt.probes:
                self._end_probe(attempt)

    def _end_probe(self, attempt: Attempt) -> None:
        """Let another request try the endpoint that this one has tried."""
        attempt.probes = attempt.endpoint.probing = False

    async def _watch(self) -> None:
        """Eject replicas that hang, and send what is in flight there elsewhere too."""
        now = self._loop.time()
        for replicas in self.replicas.values():
            for replica in replicas:
                for attempt in self.endpoints.unanswered(replica, now):
                    self._double(attempt.work)

    def _wait(self, work: Work) -> bool:
        """Let a work wait for a batcher that is away for a moment; return whether it may."""
        room, now = self.pending.get(work.pool), self._loop.time()
        known = work.pool in self.replicas  # it may have been removed
        until = None if room is None or not known else room.until(work, now)
        if room is None or until is None:
            return False
        room.enter(work, now, self._queue_timeouts.add(work, until))
        return True

    def _leave(self, work: Work) -> bool:
        """End a work's wait; return whether it waited."""
        room = self.pending.get(work.pool)
        tick = None if room is None else room.leave(work, self._loop.time())
        if tick is None:
            return False
        self._queue_timeouts.discard(work, tick)
        return True

    def _give_up(self, work: Work) -> None:
        if self._leave(work) and not self._wait(work):  # a pool that is being started has let it wait on
            self._fail(work, self._missing(work.pool))

    def _missing(self, pool: str) -> ServiceError:
        room = self.pending.get(pool)
        ready_in_s = None if room is None else room.ready_in_s(self._loop.time())
        return no_backend(pool) if ready_in_s is None else pool_starting(pool, ready_in_s)

    def _fail(self, work: Work, error: ServiceError) -> None:
        self._forget(work)
        if work.trace is not None and not work.attempts:
            work.trace.not_sent(work.pool, error.reason)
        if not work.answer.done():
            work.answer.set_exception(error)

    def _expire(self, work: Work) -> None:
        now = self._loop.time()
        try:
            self._leave(work)
            for attempt in work.in_flight():
                if not _begun(work):
                    self.endpoints.expired(attempt, now)
                self._drop(attempt)
        finally:  # nothing watches the work any more
            self._fail(work, deadline_exceeded())


def _takes_requests(replicas: Sequence[Replica]) -> bool:
    return any(replica.connected and not replica.draining for replica in replicas)


def _begun(work: Work) -> bool:
    """Return whether the caller may have a part of the answer already, so that no other replica can begin again."""
    return work.parts is not None and work.parts.came > 0
