"""The policy: `decide` says how many replicas a pool is to have, and why. Pure, so that it can be replayed."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from headrace_scaling.decisions import dips, limits, seasons, windows
from headrace_scaling.decisions.decision import (
    Clamp,
    Concern,
    Decision,
    Limit,
    OverflowDecision,
    Recommendation,
    Rule,
)
from headrace_scaling.decisions.memory import Memory, recall
from headrace_scaling.decisions.observations import Metric, Observation
from headrace_scaling.decisions.policies import PoolPolicy
from headrace_scaling.decisions.recommendation import ceiling, recommend

# A backlog that the ready replicas work off sooner needs no further replica.
_LONG_BACKLOG_S = 2.0


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A number of replicas and the rule that asks for it. demand: what the rule counted with."""

    replicas: int
    rule: Rule
    metric: Metric | None
    demand: float | None = None


def decide(policy: PoolPolicy, memory: Memory | None, observation: Observation) -> tuple[Decision, Memory]:
    """Return what a pool is to have, and what the next decision is to remember.

    memory: what the last decision returned; None for a pool of which nothing is known. The memory is kept whether or
    not the decision was acted on: what was acted on is seen in the next observation.
    """
    memory = recall(policy, memory, observation)
    replicas = observation.replicas
    asked_for = replicas.asked_for
    recommendations = tuple(recommend(policy, target, memory, observation) for target in policy.targets)
    memory = dips.noted(policy, memory, observation, recommendations)
    wanted = _highest(recommendations, asked_for)
    wanted = _ahead(policy, memory, observation, wanted)
    wanted = _with_backlog(policy, observation, wanted)
    wanted = _seasonal(policy, observation, wanted)
    clamps: list[Clamp] = []
    wanted, memory = _with_growth_and_panic(policy, memory, observation, recommendations, wanted, clamps)
    window_s = dips.window_s(policy, memory, observation)
    memory = replace(memory, wanted=_window(memory, window_s, max(wanted.replicas, dips.held(memory, recommendations))))
    steady = limits.within_window(memory, window_s, asked_for, wanted.replicas)
    if steady != wanted.replicas:
        detail = f" of {window_s:.0f} s" if window_s > policy.scale_down_window_s else ""
        clamps.append(Clamp(Limit.SCALE_DOWN_WINDOW, wanted.replicas, steady, detail))
    desired, later = limits.bounded(policy, memory, observation, steady)
    clamps.extend(later)
    overflow, memory = _overflow(policy, memory, observation, recommendations, wanted.replicas, desired)
    driver = observation.driver(wanted.metric) if wanted.metric is not None else None
    decision = Decision(
        pool=observation.pool,
        time=observation.now,
        before=asked_for,
        ready=replicas.ready,
        loading=replicas.loading,
        wanted=wanted.replicas,
        desired=desired,
        rule=wanted.rule,
        metric=wanted.metric,
        recommendations=recommendations,
        clamps=tuple(clamps),
        concerns=_concerns(policy, memory, observation, recommendations, clamps, desired),
        driver=driver[0] if driver else None,
        driver_share=driver[1] if driver else None,
        demand=wanted.demand,
        panic=memory.panic_since is not None,
        overflow=overflow,
        excess_burst_capacity=_excess_burst_capacity(policy, observation, recommendations),
        used_budget=None if policy.budget is None else memory.used_replica_s / 3600.0,
    )
    return decision, memory


def _highest(recommendations: tuple[Recommendation, ...], asked_for: int) -> _Wanted:
    """Return the highest count: any target scales up, and all must agree before the pool is scaled down."""
    highest = max(recommendations, key=lambda one: one.replicas)
    if highest.problem is not None:
        return _Wanted(highest.replicas, Rule.NO_DATA, None)
    if highest.replicas == asked_for:
        return _Wanted(asked_for, Rule.WITHIN_TOLERANCE, highest.metric)
    return _Wanted(highest.replicas, Rule.TARGET, highest.metric)


def _ahead(policy: PoolPolicy, memory: Memory, observation: Observation, wanted: _Wanted) -> _Wanted:
    """Raise the count to what demand will need once a replica that is started now has loaded."""
    ahead, target = policy.look_ahead, policy.demand
    if ahead is None or memory.dips:
        return wanted
    horizon_s = dips.start_s(policy, observation.load_time_s) + policy.interval_s
    samples = memory.samples[target.metric]
    rising = windows.extrapolated(samples, observation.now, horizon_s, ahead.window_s)
    if rising is None:
        return wanted
    rising = min(rising, samples[-1][1] * ahead.most)
    asked_for = observation.replicas.asked_for
    if asked_for and rising <= target.value * asked_for * (1.0 + policy.tolerance):
        return wanted
    count = ceiling(rising / target.value)
    return _Wanted(count, Rule.LOOK_AHEAD, target.metric, rising) if count > wanted.replicas else wanted


def _with_backlog(policy: PoolPolicy, observation: Observation, wanted: _Wanted) -> _Wanted:
    """Raise the count to what also works off what waits."""
    demand = backlog_demand(policy, observation)
    if demand is None:
        return wanted
    count = ceiling(demand / policy.demand.value)
    return _Wanted(count, Rule.BACKLOG, policy.demand.metric, demand) if count > wanted.replicas else wanted


def backlog_demand(policy: PoolPolicy, observation: Observation) -> float | None:
    """Return the requests/s that also work off what waits, within a start; None where nothing waits for long.

    Before any replica loads, what will have come until one is ready waits too, unless some of it is shed.
    """
    ahead, target = policy.look_ahead, policy.demand
    if ahead is None or target.metric is not Metric.REQUESTS_PER_S:
        return None
    signals = [observation.signal(one) for one in (target.metric, Metric.QUEUED_ROWS, Metric.SHED_PER_S)]
    asked, queued, shed = (one.value if one.problem(policy.max_age_s) is None else None for one in signals)
    served = observation.replicas.ready * target.value
    if asked is None or queued is None or shed is None or queued <= _LONG_BACKLOG_S * served:
        return None
    start = max(dips.start_s(policy, observation.load_time_s), policy.interval_s)
    waits = queued
    if not observation.replicas.loading and not shed:
        waits += max(0.0, asked - served) * start
    return min(asked + waits / start, asked * ahead.most)


def _seasonal(policy: PoolPolicy, observation: Observation, wanted: _Wanted) -> _Wanted:
    """Raise the count to what the pool needed at this time of earlier days, of this day of earlier weeks, or, while too
    few days are known, at this minute of earlier hours.
    """
    season, target = policy.season, policy.demand
    if season is None:
        return wanted
    if (peak := seasons.expected_peak(season, observation.seasonal_peaks)) is not None:
        demand, rule = peak.demand, Rule.WEEK if peak.of_weeks else Rule.SEASON
    else:
        demand, rule = seasons.hourly_surge(observation.earlier_hours), Rule.HOUR
    count = ceiling(demand / (target.value if season.value is None else season.value))
    return _Wanted(count, rule, target.metric, demand) if count > wanted.replicas else wanted


def _with_growth_and_panic(
    policy: PoolPolicy,
    memory: Memory,
    observation: Observation,
    recommendations: tuple[Recommendation, ...],
    wanted: _Wanted,
    clamps: list[Clamp],
) -> tuple[_Wanted, Memory]:
    """Apply Knative's rates, activation and panic mode, in its order."""
    ready = observation.replicas.ready
    burst = max(recommendations, key=lambda one: one.burst_replicas)
    blind = any(one.problem is not None for one in recommendations)
    if policy.growth is not None:
        allowed = limits.grown(policy.growth, ready, wanted.replicas)
        if blind:
            allowed = max(allowed, observation.replicas.asked_for)
        if allowed != wanted.replicas:
            clamps.append(Clamp(Limit.GROWTH, wanted.replicas, allowed))
            wanted = replace(wanted, replicas=allowed)
    if 0 < wanted.replicas < policy.activation_replicas:
        wanted = _Wanted(policy.activation_replicas, Rule.ACTIVATION, wanted.metric)
    if policy.panic is None:
        return wanted, memory
    now, since, peak = observation.now, memory.panic_since, memory.panic_peak
    if not blind and burst.burst_replicas / max(1, ready) >= policy.panic.threshold:
        since = now
    elif since is not None and since + policy.stable_window_s < now and not blind:
        since, peak = None, 0
    if since is not None:
        count = burst.burst_replicas
        if policy.growth is not None:
            count = limits.grown(policy.growth, ready, count)
        if 0 < count < policy.activation_replicas:
            count = policy.activation_replicas
        if max(count, peak) > wanted.replicas:
            wanted = _Wanted(max(count, peak), Rule.PANIC, burst.metric)
        peak = wanted.replicas
    return wanted, replace(memory, panic_since=since, panic_peak=peak)


def _window(memory: Memory, window_s: float, wanted: int) -> tuple[tuple[float, int], ...]:
    """Return what was wanted within the scale-down window; of equal or lower counts before a higher one, nothing."""
    if window_s <= 0.0:
        return ()
    oldest = memory.now - window_s
    # What is lower than a later count is never the highest again.
    kept = [(at, count) for at, count in memory.wanted if at > oldest and count > wanted]
    kept.append((memory.now, wanted))
    return tuple(kept)


def _overflow(
    policy: PoolPolicy,
    memory: Memory,
    observation: Observation,
    recommendations: tuple[Recommendation, ...],
    wanted: int,
    desired: int,
) -> tuple[OverflowDecision | None, Memory]:
    """Return which share of the demand the pool cannot serve at its target. It rises at once and falls slowly.

    While the demand is unknown, share and replicas stay.
    """
    over, first = policy.overflow, recommendations[0]
    if over is None:
        return None, replace(memory, overflow=(), overflow_replicas=0)
    demand = first.burst
    share = 0.0
    if demand and (wanted > desired or over.while_loading):
        served = observation.replicas.ready if over.while_loading else desired
        share = max(0.0, 1.0 - served * first.target / demand)
    elif demand is None and memory.overflow:
        share = memory.overflow[-1][1]
    oldest = observation.now - over.hold_s
    past = tuple((at, one) for at, one in memory.overflow if at > oldest and one > share)
    memory = replace(memory, overflow=(*past, (observation.now, share)))
    share = max(one for _, one in memory.overflow)
    if demand:
        share = min(share, over.max_replicas * over.per_replica / demand)
    count = memory.overflow_replicas if demand is None else ceiling(share * demand / over.per_replica)
    count = min(over.max_replicas, count)
    return OverflowDecision(over.pool, share, count), replace(memory, overflow_replicas=count)


def _concerns(
    policy: PoolPolicy,
    memory: Memory,
    observation: Observation,
    recommendations: tuple[Recommendation, ...],
    clamps: list[Clamp],
    desired: int,
) -> tuple[Concern, ...]:
    limits_met = {clamp.limit for clamp in clamps}
    concerns: list[Concern] = []
    if any(one.problem is not None for one in recommendations):
        concerns.append(Concern.SIGNAL_UNUSABLE)
    if Limit.BUDGET in limits_met:
        concerns.append(Concern.BUDGET_LIMITS)
    elif limits.budget_runs_out(policy, memory, desired):
        concerns.append(Concern.BUDGET_NEARLY_USED)
    if Limit.MAX_REPLICAS in limits_met:
        concerns.append(Concern.AT_MAX_REPLICAS)
    if observation.replicas.failed > 0:
        concerns.append(Concern.REPLICAS_FAILED)
    return tuple(concerns)


def _excess_burst_capacity(
    policy: PoolPolicy, observation: Observation, recommendations: tuple[Recommendation, ...]
) -> float | None:
    reserve, burst = policy.burst_reserve, recommendations[0].burst
    if reserve is None or policy.capacity is None or burst is None:
        return None
    if reserve <= 0.0:
        return 0.0 if reserve == 0.0 else -1.0
    return float(math.floor(observation.replicas.ready * policy.capacity - reserve - burst))
