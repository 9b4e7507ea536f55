"""A trace through a pool: what was answered in time, what it cost, how often the scale changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headrace_scaling.decisions.observations import Metric, Observation, Signal
from headrace_scaling.simulation.deciders import Decider
from headrace_scaling.simulation.fleet import Fleet
from headrace_scaling.simulation.setup import Setup
from headrace_scaling.simulation.traces import Trace
from headrace_scaling.simulation.variation import late_shares, share_at

Progress = Callable[[int, int], None]
# The picture has at most so many points.
_POINTS = 720


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a trace. late: answered after the objective; shed: not answered. Both break the objective.

    turns: how often the direction of scaling changed; most_turns: the most of them within any minute.
    """

    name: str
    seconds: int
    requests: float
    late: float
    shed: float
    replica_hours: float
    cost: float
    changes: int
    turns: int
    most_turns: int
    starts: int
    most_replicas: int
    wait_p99_s: float
    series: Series

    @property
    def violations(self) -> float:
        """Return the share of requests that were not answered within the objective."""
        return (self.late + self.shed) / self.requests if self.requests else 0.0


@dataclass(frozen=True, slots=True)
class Series:
    """The course of a simulation in spans of `step_s`: means, and the requests that broke the objective."""

    step_s: float
    demand: NDArray[np.float64]
    ready: NDArray[np.float64]
    asked_for: NDArray[np.float64]
    broken: NDArray[np.float64]


def simulate(
    name: str,
    trace: Trace,
    decider: Decider,
    setup: Setup,
    *,
    skip_s: int = 0,
    step_s: int | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """Run a trace. skip_s: of its beginning only the demand is given to the decider, as its history.

    step_s: the span of a value of the course; None for as many as a picture shows.
    The queue is a fluid: what is ready serves at its curve's best rate, first come, first served, and a request that
    would be answered beyond its deadline is shed, as batchers do. Where executions vary in time, a share is late at
    each load that was simulated request by request.
    """
    run = _Run(trace, decider, setup, skip_s)
    for second in range(skip_s, trace.seconds, run.tick_s):
        run.tick(second)
        if progress is not None and (second - skip_s) % (run.tick_s * 1024) == 0:
            progress(second - skip_s, trace.seconds - skip_s)
    return run.outcome(name, step_s)


class _Run:
    def __init__(self, trace: Trace, decider: Decider, setup: Setup, skip_s: int) -> None:
        if not 0 <= skip_s < trace.seconds:
            raise ValueError("the part that is skipped must be shorter than the trace")
        self._trace, self._decider, self._setup = trace, decider, setup
        self._skip_s = skip_s
        self.tick_s = max(1, round(decider.interval_s))
        self._fleet = Fleet(setup)
        rows, self._per_replica = setup.curve.best(setup.slo_s)
        # A request waits for the batch before its own, then for its own.
        self._execution_s = 2.0 * setup.curve.seconds(rows)
        self._slack_s = max(0.0, setup.slo_s - self._execution_s) + 1e-9
        self._late_shares = (
            late_shares(setup.curve, setup.variation, setup.slo_s, setup.deadline_s) if setup.variation else None
        )
        self._arrivals: list[float] = trace.requests.tolist()
        self._queue = 0.0
        self._late = self._shed = 0.0
        self._replica_s = 0
        self._waits = np.zeros(trace.seconds - skip_s, dtype=np.float32)
        self._ready = np.zeros(trace.seconds - skip_s, dtype=np.int32)
        self._asked_for = np.zeros(trace.seconds - skip_s, dtype=np.int32)
        self._broken = np.zeros(trace.seconds - skip_s, dtype=np.float32)
        self._changes: list[tuple[int, int]] = []
        self._most = setup.initial_replicas
        self._last = (0.0, 0.0)
        self._recall()

    def _recall(self) -> None:
        for second in range(self.tick_s, self._skip_s + 1, self.tick_s):
            self._decider.recall(self._trace.start + second, self._demand(second))

    def _demand(self, second: int) -> float:
        recent = self._arrivals[max(0, second - self.tick_s) : second]
        return sum(recent) / len(recent) if recent else 0.0

    def tick(self, second: int) -> None:
        """Decide, then serve until the next decision."""
        fleet = self._fleet
        fleet.advance(second)
        fleet.fail_some(second, self.tick_s)
        if second > self._skip_s:
            before = fleet.asked_for
            desired = self._decider.decide(self._observation(second))
            if desired != before:
                fleet.scale(second, desired)
                self._changes.append((second, desired - before))
        self._asked_for[second - self._skip_s : second - self._skip_s + self.tick_s] = fleet.asked_for
        self._serve(second, min(second + self.tick_s, self._trace.seconds))
        self._most = max(self._most, fleet.asked_for)

    def _observation(self, second: int) -> Observation:
        fleet, demand = self._fleet, self._demand(second)
        capacity = fleet.ready * self._per_replica
        wait_s = self._queue / capacity if capacity else (self._setup.deadline_s if demand else 0.0)
        served, shed = self._last
        busy = min(1.0, served / capacity) if capacity else 0.0
        signals = {
            Metric.REQUESTS_PER_S: Signal(demand),
            Metric.CONCURRENCY: Signal(self._queue + demand * self._execution_s),
            Metric.QUEUED_ROWS: Signal(self._queue),
            Metric.SHED_PER_S: Signal(shed),
            Metric.BUSY_REPLICAS: Signal(demand / self._per_replica),
            Metric.GPU_UTILISATION: Signal(busy * fleet.ready, replicas=fleet.ready),
            Metric.PREDICTED_WAIT_S: Signal(wait_s),
        }
        return Observation(
            self._trace.name, self._trace.start + second, fleet.seen(), signals, load_time_s=fleet.load_time_s
        )

    def _serve(self, first: int, end: int) -> None:
        fleet, setup, arrivals, skip_s = self._fleet, self._setup, self._arrivals, self._skip_s
        per_replica, deadline_s, slack_s = self._per_replica, setup.deadline_s, self._slack_s
        room_s = max(0.0, deadline_s - self._execution_s)
        queue, served_all, shed_all = self._queue, 0.0, 0.0
        for second in range(first, end):
            if fleet.next_event <= second:
                fleet.advance(second)
            came = arrivals[second]
            capacity = fleet.ready * per_replica
            self._replica_s += fleet.paid_for
            self._ready[second - skip_s] = fleet.ready
            before = queue
            queue = queue + came - capacity
            if queue <= 0.0 and before <= slack_s * capacity:
                served_all += before + came
                queue = 0.0
                if self._late_shares is not None and came:
                    late = came * share_at(self._late_shares, came / capacity)
                    self._late += late
                    self._broken[second - skip_s] = late
                continue
            served_all += min(capacity, before + came)
            queue = max(0.0, queue)
            room = room_s * capacity if capacity else deadline_s * came
            shed = max(0.0, queue - room)
            queue -= shed
            share = _share_late(before, queue, capacity, slack_s)
            if self._late_shares is not None:
                share = max(share, self._late_shares[-1])
            late = share * max(0.0, came - shed)
            self._late += late
            self._shed += shed
            shed_all += shed
            self._broken[second - skip_s] = late + shed
            self._waits[second - skip_s] = queue / capacity if capacity else deadline_s
        self._queue = queue
        self._last = (served_all / (end - first), shed_all / (end - first))

    def outcome(self, name: str, step_s: int | None) -> Outcome:
        """Return what became of the trace."""
        requests = self._trace.requests[self._skip_s :]
        hours = self._replica_s / 3600.0
        turns = [
            at for (_, last), (at, change) in zip(self._changes, self._changes[1:], strict=False) if last * change < 0
        ]
        order = np.argsort(self._waits)
        weight = np.cumsum(requests[order])
        p99 = self._waits[order[min(len(order) - 1, int(np.searchsorted(weight, 0.99 * weight[-1])))]]
        return Outcome(
            name=name,
            seconds=len(requests),
            requests=float(requests.sum()),
            late=self._late,
            shed=self._shed,
            replica_hours=hours,
            cost=hours * self._setup.price_per_replica_hour,
            changes=len(self._changes),
            turns=len(turns),
            most_turns=max((sum(at <= other < at + 60 for other in turns) for at in turns), default=0),
            starts=self._fleet.starts,
            most_replicas=self._most,
            wait_p99_s=float(p99),
            series=self._series(requests, step_s),
        )

    def _series(self, requests: NDArray[np.float64], step_s: int | None) -> Series:
        step = max(1, -(-len(requests) // _POINTS) if step_s is None else step_s)
        cuts = np.arange(0, len(requests), step)
        lengths = np.diff(np.append(cuts, len(requests)))
        return Series(
            float(step),
            np.add.reduceat(requests, cuts) / lengths,
            np.add.reduceat(self._ready, cuts) / lengths,
            np.add.reduceat(self._asked_for, cuts) / lengths,
            np.add.reduceat(self._broken, cuts).astype(np.float64),
        )


def _share_late(before: float, after: float, capacity: float, slack_s: float) -> float:
    """Return which share of a second's requests waits longer than the slack, as the queue goes from one to another."""
    if capacity <= 0.0:
        return 1.0
    first, last = before / capacity, after / capacity
    low, high = min(first, last), max(first, last)
    if high <= slack_s:
        return 0.0
    if low >= slack_s:
        return 1.0
    return (high - slack_s) / (high - low)
