"""A batcher's queue, door, rules and estimates in simulated time: seeded clients, a given service time, no event loop.

seen = simulate([Sender("quiet", per_s=400), Sender("noisy", per_s=4000)], service_s=lambda rows: 0.002 + 0.0005 * rows)
seen["quiet"].in_time
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from headrace_batcher.decisions import policy, priority
from headrace_batcher.decisions.admission import Admission
from headrace_batcher.decisions.at_backend import AtBackend
from headrace_batcher.decisions.policy import Cut, Limits, Refusal
from headrace_batcher.decisions.queue import WorkQueue
from headrace_batcher.decisions.service_times import ServiceTimes
from headrace_batcher.decisions.work import ONLINE, Work

from tests.kit.batcher.scripted_backend import WorkMaker


@dataclass(frozen=True, slots=True)
class Sender:
    """A client that sends at random times, whatever becomes of its requests. deadline_s: that each of them has."""

    name: str
    per_s: float
    rows: int = 1
    deadline_s: float = 0.1
    priority: int = ONLINE


@dataclass(slots=True)
class Served:
    """What became of the requests of one sender. latencies_s: of those answered in time, in order of answering."""

    sent: int = 0
    refused: int = 0
    expired: int = 0
    late: int = 0
    latencies_s: list[float] = field(default_factory=list)
    answered_at: list[tuple[float, int]] = field(default_factory=list)
    late_at: list[float] = field(default_factory=list)

    @property
    def in_time(self) -> int:
        """Return the goodput: requests answered within their deadlines."""
        return len(self.latencies_s)

    def percentile_s(self, at: float) -> float:
        """Return a percentile of the latencies."""
        return float(np.percentile(self.latencies_s, at))


def simulate(
    senders: Sequence[Sender],
    *,
    service_s: Callable[[int], float],
    limits: Limits | None = None,
    seconds: float = 20.0,
    seed: int = 1,
    slowness: Callable[[float], float] = lambda now: 1.0,
    noise: float = 0.0,
) -> dict[str, Served]:
    """Return what every sender saw. slowness: by how much executions that begin then take longer than service_s.

    noise: standard deviation of the logarithm of what an execution takes.
    """
    rng = np.random.default_rng(seed)
    return _Simulation(limits or Limits(), service_s, slowness, noise, rng).run(senders, seconds)


class _Simulation:
    def __init__(
        self,
        limits: Limits,
        service_s: Callable[[int], float],
        slowness: Callable[[float], float],
        noise: float,
        rng: np.random.Generator,
    ) -> None:
        self._limits = limits
        self._service_s = service_s
        self._slowness = slowness
        self._noise, self._rng = noise, rng
        self._times = ServiceTimes()
        for rows in {1, *limits.preferred_rows, limits.max_rows}:  # as warming up does
            self._times.observe(rows, service_s(rows), 0.0)
        self._queue = WorkQueue(limits.max_rows)
        self._admission = Admission(self._queue, limits, self._times, self._wait_s)
        self._make = WorkMaker()
        self._at_backend = AtBackend(limits.instances)
        # First come, first served.
        self._free_at = [0.0] * limits.instances
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._numbers = itertools.count()
        self._seen: dict[str, Served] = {}
        self._look_at = math.inf

    def run(self, senders: Sequence[Sender], seconds: float) -> dict[str, Served]:
        for sender in senders:
            self._seen[sender.name] = Served()
            gaps = self._rng.exponential(1.0 / sender.per_s, size=int(sender.per_s * seconds))
            for at in np.cumsum(gaps):
                self._at(float(at), lambda now, sender=sender: self._arrive(sender, now))
        while self._events:
            now, _, what = heapq.heappop(self._events)
            what(now)
            self._dispatch(now)
        return self._seen

    def _at(self, time: float, what: Callable[[float], None]) -> None:
        heapq.heappush(self._events, (time, next(self._numbers), what))

    def _arrive(self, sender: Sender, now: float) -> None:
        seen = self._seen[sender.name]
        seen.sent += 1
        work = self._make(
            [0.0] * sender.rows,
            arrived=now,
            deadline=now + sender.deadline_s,
            priority=sender.priority,
            client=sender.name,
        )
        admitted = self._admission.admit(work)
        if isinstance(admitted, Refusal):
            seen.refused += 1
            return
        for other in admitted:
            self._queue.remove(other)
            self._seen[other.client].refused += 1
        estimate = self._times.estimate(self._limits.max_rows, now)
        work.act_by = policy.act_by(now, self._limits.max_wait_s, work.deadline, estimate)
        self._queue.push(work)

    def _dispatch(self, now: float) -> None:
        queue = self._queue
        rows = max(1, min(queue.priority_rows(ONLINE) or queue.rows, self._limits.max_rows))
        batch_s = self._times.estimate(rows, now)
        for work in queue.expire(policy.next_end(self._finishes(now), batch_s, self._limits, now)):
            self._seen[work.client].expired += 1
        while True:
            step = priority.next_step(
                queue.snapshot(now), self._finishes(now), self._limits, self._times.learnt, queue.callers, now
            )
            if not isinstance(step, Cut):
                if now < step.until < self._look_at:
                    self._look_at = step.until
                    self._at(step.until, self._look_again)
                return
            self._execute(queue.take(step, self._room_beside), now)

    def _look_again(self, now: float) -> None:
        self._look_at = math.inf

    def _execute(self, batch: list[Work], now: float) -> None:
        rows = sum(work.rows for work in batch)
        instance = min(range(self._limits.instances), key=self._free_at.__getitem__)
        started = max(now, self._free_at[instance])
        varied = float(np.exp(self._rng.normal(0.0, self._noise))) if self._noise else 1.0
        ended = self._free_at[instance] = started + self._service_s(rows) * self._slowness(started) * varied
        sent = self._at_backend.send(rows, now)

        def end(now: float) -> None:
            began = sent.began
            assert began is not None
            self._at_backend.end(sent, now)
            self._times.observe(rows, now - began, now)
            for work in batch:
                seen = self._seen[work.client]
                if now <= work.deadline:
                    seen.latencies_s.append(now - work.arrived)
                    seen.answered_at.append((now, rows))
                else:
                    seen.late += 1
                    seen.late_at.append(now)

        self._at(ended, end)

    def _room_beside(self, online_rows: int) -> int:
        return priority.room_beside(online_rows, self._limits, self._times.learnt)

    def _wait_s(self, rows_ahead: int, now: float) -> float:
        batch_s = self._times.estimate(self._limits.max_rows, now)
        return policy.predicted_wait_s(self._finishes(now), rows_ahead, batch_s, self._limits, now)

    def _finishes(self, now: float) -> Sequence[float]:
        return self._at_backend.finishes(self._times.estimate, now)
