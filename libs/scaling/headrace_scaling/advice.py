"""From a pool's last weeks: which policy would have been enough at least cost, and what stood idle."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from headrace_scaling.decisions import presets
from headrace_scaling.decisions.policies import PoolPolicy, Season
from headrace_scaling.simulation.deciders import FixedDecider, PolicyDecider
from headrace_scaling.simulation.run import Outcome, simulate
from headrace_scaling.simulation.setup import Setup
from headrace_scaling.simulation.traces import DAY_S, Trace

# Shares of what a replica serves that are tried as targets, and quantiles of earlier days' peaks as floors.
_TARGETS = (0.6, 0.7, 0.8, 0.9)
_QUANTILES = (0.5, 0.9)
_MONTH_H = 30 * 24.0


@dataclass(frozen=True, slots=True)
class Candidate:
    """A policy, and what it would have cost and missed."""

    policy: PoolPolicy
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class IdleReport:
    """What a pool of so many replicas had and used. fixed: the number that would have been enough without scaling.

    idle_hours: replica-hours without work. saved_a_month: money that the advised policy would have left.
    """

    replicas: float
    hours: float
    busy_hours: float
    idle_hours: float
    fixed: int
    saved_a_month: float
    saved_a_month_fixed: float

    @property
    def idle_share(self) -> float:
        """Return the share of the replica-hours without work."""
        return self.idle_hours / self.hours if self.hours else 0.0


@dataclass(frozen=True, slots=True)
class Advice:
    """The candidates by cost, the one to take, and the idle report. met: whether it keeps the allowed share.

    today: what the number of replicas that there is would have missed.
    """

    candidates: tuple[Candidate, ...]
    chosen: Candidate
    met: bool
    today: Outcome
    idle: IdleReport


def advise(
    trace: Trace,
    setup: Setup,
    *,
    replicas: int,
    ready_hours: float | None = None,
    allowed: float = 0.001,
    most: int = 20,
    progress: Callable[[int, int], None] | None = None,
) -> Advice:
    """Return the cheapest policy that keeps the allowed share of broken requests, on the newer half of a trace.

    replicas: that there are. ready_hours: replica-hours that there were in the newer half, where they were recorded.
    The older half, three days at least where there are more, is the history that seasonal floors learn from. Raises
    ValueError for a trace of less than two hours.
    """
    if trace.seconds < 7_200:
        raise ValueError("advice needs at least two hours of traffic; two weeks are better")
    skip_s = learning_s(trace.seconds)
    _, capacity = setup.curve.best(setup.slo_s)
    policies = _policies(capacity, most, skip_s)
    candidates: list[Candidate] = []
    for index, policy in enumerate(policies):
        if progress is not None:
            progress(index, len(policies) + 1)
        outcome = simulate(_named(policy, capacity), trace, PolicyDecider(policy), setup, skip_s=skip_s)
        candidates.append(Candidate(policy, outcome))
    today = simulate(
        f"{replicas} fixed", trace, FixedDecider(replicas), replace(setup, initial_replicas=replicas), skip_s=skip_s
    )
    candidates.sort(key=lambda one: (one.outcome.replica_hours, one.outcome.violations))
    enough = [one for one in candidates if one.outcome.violations <= allowed]
    chosen = enough[0] if enough else min(candidates, key=lambda one: one.outcome.violations)
    hours = (trace.seconds - skip_s) / 3600.0 * replicas if ready_hours is None else ready_hours
    idle = _idle(trace, setup, skip_s, hours, allowed, chosen)
    return Advice(tuple(candidates), chosen, bool(enough), today, idle)


def learning_s(seconds: int) -> int:
    """Return how much of a trace is history only: half of it, three days at least where there are more."""
    fewest = Season().min_days * DAY_S
    return max(seconds // 2, fewest) if seconds >= fewest + DAY_S else seconds // 2


def _policies(capacity: float, most: int, history_s: int) -> list[PoolPolicy]:
    policies: list[PoolPolicy] = []
    for share in _TARGETS:
        ours = presets.headrace(share * capacity, most=most)
        assert ours.season is not None
        season = ours.season
        if history_s < season.min_days * DAY_S:
            policies.append(replace(ours, season=None))
            continue
        policies += [replace(ours, season=replace(season, quantile=quantile)) for quantile in _QUANTILES]
    return policies


def _named(policy: PoolPolicy, capacity: float) -> str:
    floor = "no floor" if policy.season is None else f"floor at q{policy.season.quantile:g}"
    return f"{policy.demand.value / capacity:.0%} of a replica, {floor}"


def _idle(trace: Trace, setup: Setup, skip_s: int, hours: float, allowed: float, chosen: Candidate) -> IdleReport:
    demand = trace.requests[skip_s:]
    _, capacity = setup.curve.best(setup.slo_s)
    span_h = len(demand) / 3600.0
    replicas = hours / span_h
    busy = min(hours, float(demand.sum()) / capacity / 3600.0)
    fixed = _fixed(trace, setup, skip_s, allowed)
    price, a_month = setup.price_per_replica_hour, _MONTH_H / span_h
    return IdleReport(
        replicas=replicas,
        hours=hours,
        busy_hours=busy,
        idle_hours=hours - busy,
        fixed=fixed,
        saved_a_month=(hours - chosen.outcome.replica_hours) * price * a_month,
        saved_a_month_fixed=(replicas - fixed) * price * _MONTH_H,
    )


def _fixed(trace: Trace, setup: Setup, skip_s: int, allowed: float) -> int:
    """Return the fewest replicas that keep the allowed share without scaling."""
    _, capacity = setup.curve.best(setup.slo_s)
    fewest, most = 1, max(1, math.ceil(float(trace.requests[skip_s:].max()) / capacity))
    while fewest < most:
        middle = (fewest + most) // 2
        pool = replace(setup, initial_replicas=middle)
        if simulate("", trace, FixedDecider(middle), pool, skip_s=skip_s).violations <= allowed:
            most = middle
        else:
            fewest = middle + 1
    return fewest
