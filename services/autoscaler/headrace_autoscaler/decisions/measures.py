"""Signals of a pool from two samples of its batchers: the load between them, and the current queues."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from headrace_scaling.decisions.observations import Metric, ModelLoad, Signal

from headrace_autoscaler.decisions.members import Condition, Member, Work

# Rates of less time than this are noise.
SHORTEST_S = 0.5
# What happened before is forgotten: policies average by themselves, and a burst should be seen at once.
LONGEST_S = 3.0


@dataclass(frozen=True, slots=True)
class Report:
    """What a batcher had done of each model, by when."""

    time_s: float
    done: Mapping[str, Work]


Reports = Mapping[str, tuple[Report, ...]]
"""The latest reports of each process, the oldest first."""


def keep(before: Reports, members: Iterable[Member], since_s: float | None = None) -> dict[str, tuple[Report, ...]]:
    """Return the reports that rates are made of, with those of these batchers.

    since_s: when the control plane was asked before this, by its clock: who was not there then had done nothing by
    then, so that the rate of a pool does not drop when a replica takes its share.
    """
    after: dict[str, tuple[Report, ...]] = {}
    for member in members:
        known = before.get(member.process, ())
        if not known and since_s is not None and since_s < member.reported_s:
            known = (Report(since_s, {}),)
        if not known or member.reported_s > known[-1].time_s:
            known = (*known, Report(member.reported_s, by_model(member)))
        # One report from before the span stays, so that rates reach over all of it.
        while len(known) > 2 and known[1].time_s <= member.reported_s - LONGEST_S:
            known = known[1:]
        after[member.process] = known
    return after


def by_model(member: Member) -> dict[str, Work]:
    """Return the work of a batcher by model, summed over its versions."""
    found: dict[str, Work] = {}
    for version in member.versions.values():
        if version.work is not None:
            found[version.model] = _sum(found.get(version.model, Work()), version.work)
    return found


def variation(members: Iterable[Member]) -> float | None:
    """Return the coefficient of variation of a pool's execution times, weighted by each version's execution time; None
    before the first execution.
    """
    works = [version.work for member in members for version in member.versions.values() if version.work is not None]
    executed_s = math.fsum(work.compute_s for work in works)
    if not 0.0 < executed_s < math.inf:
        return None
    return math.fsum(work.compute_s * work.variation for work in works) / executed_s


def _sum(one: Work, other: Work) -> Work:
    return Work(
        rows=one.rows + other.rows,
        queued=one.queued + other.queued,
        predicted_wait_s=max(one.predicted_wait_s, other.predicted_wait_s),
        answered=one.answered + other.answered,
        shed=one.shed + other.shed,
        compute_s=one.compute_s + other.compute_s,
    )


def signals(members: Sequence[Member], reports: Reports, read_age_s: float, read_s: float) -> dict[Metric, Signal]:
    """Return the signals of a pool. read_s: time of the sample by the control plane's clock; read_age_s: its age.

    Empty while a batcher that serves versions does not report its load, and for a pool without batchers, whose demand
    is not measured.
    """
    serving = [one for one in members if one.condition in (Condition.READY, Condition.DRAINING)]
    ready = sum(one.condition is Condition.READY for one in serving)
    loads = {one.process: by_model(one) for one in serving}
    if not serving or any(one.versions and not loads[one.process] for one in serving):
        return {}
    age_s = read_age_s + max(0.0, read_s - min(one.reported_s for one in serving))
    total = _Totals([reports.get(one.process, ()) for one in serving], loads.values())
    found = {metric: Signal(value, age_s) for metric, value in total.values().items()}
    for metric, of in (
        (Metric.GPU_UTILISATION, lambda one: one.gpu_utilisation),
        (Metric.GPU_MEMORY, lambda one: one.gpu_memory),
    ):
        shares = [share for one in serving if one.condition is Condition.READY and (share := of(one)) is not None]
        if shares:
            found[metric] = Signal(math.fsum(shares), age_s, min(len(shares), ready))
    return found


def model_loads(members: Sequence[Member], reports: Reports, age_s: float) -> tuple[ModelLoad, ...]:
    """Return what each model asks of a pool, by name."""
    loads = {one.process: by_model(one) for one in members}
    names = sorted({model for load in loads.values() for model in load})
    found = []
    for name in names:
        own = [{name: load[name]} if name in load else {} for load in loads.values()]
        total = _Totals([reports.get(one.process, ()) for one in members], own, only=name)
        found.append(ModelLoad(name, {metric: Signal(value, age_s) for metric, value in total.values().items()}))
    return tuple(found)


class _Totals:
    """Sums over the batchers of a pool. only: of one model."""

    def __init__(
        self, histories: Sequence[tuple[Report, ...]], loads: Iterable[Mapping[str, Work]], only: str | None = None
    ) -> None:
        self._histories, self._only = histories, only
        self._work = [work for load in loads for work in load.values()]

    def values(self) -> dict[Metric, float | None]:
        return {
            Metric.REQUESTS_PER_S: self._rate(lambda work: work.answered + work.shed),
            Metric.SHED_PER_S: self._rate(lambda work: work.shed),
            Metric.BUSY_REPLICAS: self._busy(),
            Metric.CONCURRENCY: float(sum(work.rows for work in self._work)),
            Metric.QUEUED_ROWS: float(sum(work.queued for work in self._work)),
            Metric.PREDICTED_WAIT_S: max((work.predicted_wait_s for work in self._work), default=0.0),
        }

    def _busy(self) -> float | None:
        """Return the seconds of execution asked for in a second: what was shed would have taken as long."""
        executed_s, answered = self._rate(lambda work: work.compute_s), self._rate(lambda work: work.answered)
        arrived = self._rate(lambda work: work.answered + work.shed)
        if not executed_s or not answered or arrived is None:
            return executed_s
        return executed_s * arrived / answered

    def _rate(self, of: Callable[[Work], float]) -> float | None:
        """Return the sum of the rates of those that have reported for long enough; None while none has."""
        rates = [rate for history in self._histories if (rate := self._rate_of(history, of)) is not None]
        return math.fsum(rates) if rates else None

    def _rate_of(self, history: tuple[Report, ...], of: Callable[[Work], float]) -> float | None:
        if len(history) < 2 or history[-1].time_s - history[0].time_s < SHORTEST_S:
            return None
        first, last = history[0], history[-1]
        # A version that was unloaded takes what it has done with it: less than before is nothing new.
        done = sum(
            max(0.0, of(work) - of(first.done.get(model, Work())))
            for model, work in last.done.items()
            if self._only in (None, model)
        )
        return done / (last.time_s - first.time_s)
