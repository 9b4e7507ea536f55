"""Add a tick to the evidence: pure, so that a repeat after a crash gives the same state."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np

from headrace_statistics.arrays import Floats
from headrace_statistics.canary.counts import ArmCounts, Metric, Tick
from headrace_statistics.canary.intervals import rate_bounds
from headrace_statistics.canary.policy import Policy
from headrace_statistics.canary.state import NO_COUNTS, JudgementState, MetricState
from headrace_statistics.canary.wealth import (
    FALL_LOG_WEIGHTS,
    FIRST_STAKE,
    RISE_LOG_WEIGHTS,
    alone_gains,
    fall_gains,
    mixture,
    rise_gains,
)

# The rest of the stake is on "since the k-th ten seconds", k^-1.1 of it each, so that a version that breaks late is not
# protected by having been good long.
RESTART_EVERY_S = 10.0
_ZETA = 10.5844484649508  # of 1.1
# Evidence that a canary is good beyond what is needed is not saved up for later.
SPARE_NATS = 3.0
# Recent rates of traffic are means with this time constant.
RECENT_S = 30.0
# A canary that fails more often than this, with nothing beside it, is worse than any version that stays in production.
HIGHEST_TOLERATED = 0.5
# What no bet gains more than in a second; what is beyond counts in the next ones, until one speaks against it. A fault
# of everything that one arm meets up to two seconds before the other is in three ticks, and a rollback takes four. Of
# longer ticks it is in two, and of very long ones in one: the next has it in both arms. A tick is as long as both arms
# were waited for, however often they are read: data planes report each second.
NATS_PER_S, MOST_S, LONG_S, MOST_LONG_S = 2.3, 4 / 3, 6.0, 2.0
# Of answers that are slow while nothing is beside the canary, no bet gains more in a tick of a second, and less in a
# shorter one: a pause of the machine makes all of a second slow, and a slow version is slow in every second.
SLOW_NATS_PER_TICK = 1.0


def bet(policy: Policy, state: JudgementState, tick: Tick) -> JudgementState:
    """Return the state after a tick. One that cannot be true changes nothing but `ignored`."""
    baseline = tick.baseline or NO_COUNTS
    if not (tick.canary.possible and baseline.possible and math.isfinite(tick.time) and 0 < tick.duration_s < math.inf):
        return replace(state, ignored=state.ignored + 1)
    state = _restarted(_with_traffic(state, tick, baseline), tick.time)
    canary, baseline = state.waiting_canary.plus(tick.canary), state.waiting_baseline.plus(baseline)
    waited_s = state.waiting_s + tick.duration_s
    if not canary.requests or (tick.baseline is not None and not baseline.requests):
        return replace(state, waiting_canary=canary, waiting_baseline=baseline, waiting_s=waited_s)
    limit = NATS_PER_S * min(waited_s, MOST_S if tick.duration_s < LONG_S else MOST_LONG_S)
    metrics = {
        metric: _gained(policy, state, metric, canary, baseline, tick.unit_share, limit)
        for metric in policy.judged
        if metric in state.metrics
    }
    state = replace(
        state,
        metrics=metrics,
        units=canary.units,
        baseline_units=baseline.units,
        waiting_canary=NO_COUNTS,
        waiting_baseline=NO_COUNTS,
        waiting_s=0.0,
        canary_requests=state.canary_requests + (canary.requests if baseline.requests else 0),
        baseline_requests=state.baseline_requests + baseline.requests,
        alone_requests=state.alone_requests + (0 if baseline.requests else canary.requests),
    )
    wealth, metric = against(state)
    return state if wealth <= state.peak else replace(state, peak=wealth, peak_metric=metric)


def against(state: JudgementState) -> tuple[float, Metric]:
    """Return the log wealth against the canary, the mean over all metrics, and the metric that has most of it."""
    wealths = {metric: rise_wealth(one) for metric, one in state.metrics.items()}
    most = max(wealths, key=lambda metric: wealths[metric])
    return float(np.logaddexp.reduce(list(wealths.values()))) - math.log(len(wealths)), most


def rise_wealth(metric: MetricState) -> float:
    """Return the log wealth of the bets that the canary is worse."""
    return float(mixture(metric.rise, RISE_LOG_WEIGHTS))


def fall_wealth(metric: MetricState) -> float:
    """Return the log wealth of the bets that the canary is within the margin."""
    return float(mixture(metric.fall, FALL_LOG_WEIGHTS))


def in_favour(policy: Policy, state: JudgementState, metric: Metric) -> float:
    """Return the log wealth of all that must be proven of a canary: of its requests, and of its units where they keep
    their arm. A few users who never fail are no proof of others, however much they ask.
    """
    one = state.metrics[metric]
    wealth = fall_wealth(one)
    if not policy.sticky or state.alone:
        return wealth
    units = (state.units, one.canary_bad, state.baseline_units, one.baseline_bad)
    gains = fall_gains(*units, policy.margin_ratio, policy.unit_margin)
    return min(wealth, float(mixture(gains, FALL_LOG_WEIGHTS)))


def least_units(policy: Policy) -> int:
    """Return how many units a canary needs, none of which errs, to prove anything of others.

    >>> least_units(Policy(sticky=True))
    91
    """
    needed = math.log(1 / policy.promotion_alpha)

    def proven(units: int) -> bool:
        gains = fall_gains(units, 0, 19 * units, 0, policy.margin_ratio, policy.unit_margin)
        return bool(mixture(gains, FALL_LOG_WEIGHTS) >= needed)

    return next(units for units in itertools.count(1) if proven(units))


def restart_stake(count: int) -> float:
    """Return the log stake on "since now", at the count-th restart."""
    return math.log((1 - FIRST_STAKE) / _ZETA) - 1.1 * math.log(count)


def tolerated_alone(policy: Policy, state: JudgementState, metric: Metric) -> float:
    """Return the rate that is tolerated when no baseline serves: of what it may have had in the worst time of its past,
    and the margin besides: other times have other callers. Where more is computed than ever in that time, any rate up
    to half of the answers may be slow: of a cache that is still cold, for one.
    """
    one = state.metrics[metric]
    if state.burdened and metric is Metric.SLO:
        return HIGHEST_TOLERATED
    _, high = rate_bounds(one.prior_bad, one.prior_requests, policy.alpha / 10)
    return min(policy.tolerated_ratio * high + policy.tolerated_rate + policy.margin_rate, HIGHEST_TOLERATED)


def margin_alone(policy: Policy, state: JudgementState, metric: Metric) -> float:
    """Return the rate that a canary with nothing beside it is to be below: of what the past had for certain in its
    worst time.
    """
    one = state.metrics[metric]
    if state.burdened and metric is Metric.SLO:
        return HIGHEST_TOLERATED
    low, _ = rate_bounds(one.prior_bad, one.prior_requests, policy.promotion_alpha / 10)
    return min(policy.margin_ratio * low + policy.margin_rate, HIGHEST_TOLERATED)


def paced(gains: Floats, due: Floats, limit: float) -> tuple[Floats, Floats]:
    """Return what bets gain in a tick, `limit` at most, and what is due in later ones. due: of earlier ticks."""
    waiting = np.where(gains < 0, 0.0, due + gains)
    rise = np.where(gains < 0, gains, np.minimum(waiting, limit))
    return rise, waiting - np.maximum(rise, 0.0)


def _gained(
    policy: Policy,
    state: JudgementState,
    metric: Metric,
    canary: ArmCounts,
    baseline: ArmCounts,
    unit_share: float,
    limit: float,
) -> MetricState:
    """Return the evidence on a metric after a tick. limit: of what a bet that the canary is worse gains."""
    before, due = state.metrics[metric], np.zeros(1)
    n, m = canary.requests, baseline.requests
    c, b = (arm.of(metric) for arm in (canary, baseline))
    failed, baseline_failed, share, margin = c, b, n / (n + m), policy.margin_rate
    if policy.sticky:
        # Of units that err for the first time, whatever they ask, the canary has its share of all; of what is computed
        # it may have more, beside a warm cache. A unit that fails again is evidence against "no worse".
        failed, baseline_failed = canary.failed, baseline.failed
        c, b, share = canary.erring_units, baseline.erring_units, max(share, unit_share)
    if m:
        gains = rise_gains(share, c, 1 - share, b, policy.tolerated_ratio, n / share * policy.tolerated_rate)
        rise, due = paced(gains, np.asarray(before.due), limit)
    else:
        rise, margin = alone_gains(n, c, tolerated_alone(policy, state, metric)), margin_alone(policy, state, metric)
        if metric is Metric.SLO:
            rise = np.minimum(rise, SLOW_NATS_PER_TICK * min(1.0, limit / NATS_PER_S))
    fall = np.asarray(before.fall) + fall_gains(n, failed, m, baseline_failed, policy.margin_ratio, margin)
    excess = max(0.0, float(mixture(fall, FALL_LOG_WEIGHTS)) - (math.log(1 / policy.promotion_alpha) + SPARE_NATS))
    return MetricState(
        rise=tuple((np.asarray(before.rise) + rise).tolist()),
        fall=tuple((fall - excess).tolist()),
        due=tuple(due.tolist()),
        canary_bad=before.canary_bad + (c if m else 0),
        baseline_bad=before.baseline_bad + b,
        expected=before.expected + ((c + b) * share if m else 0.0),
        alone_bad=before.alone_bad + (0 if m else c),
        prior_bad=before.prior_bad,
        prior_requests=before.prior_requests,
    )


def _restarted(state: JudgementState, time: float) -> JudgementState:
    if time < state.restart_time + RESTART_EVERY_S:
        return state
    count = state.restarts + 1
    stake = restart_stake(count)
    metrics = {
        name: replace(one, rise=tuple(np.logaddexp(one.rise, stake).tolist())) for name, one in state.metrics.items()
    }
    return replace(state, metrics=metrics, restart_time=time, restarts=count)


def _with_traffic(state: JudgementState, tick: Tick, baseline: ArmCounts) -> JudgementState:
    """Return the state with the tick's traffic, and with when there was any."""
    kept = math.exp(-tick.duration_s / RECENT_S)
    # At the beginning the mean is of what there was, not of nothing before.
    weight = max(1 - kept, min(1.0, tick.duration_s / max(tick.time - state.start_time, tick.duration_s)))
    canary_rps = state.canary_rps + weight * (tick.canary.requests / tick.duration_s - state.canary_rps)
    baseline_rps = state.baseline_rps + weight * (baseline.requests / tick.duration_s - state.baseline_rps)
    seen = bool(tick.canary.requests)
    share = canary_rps / (canary_rps + baseline_rps) if seen else state.share
    odds = share / (1 - share) if share < 1 else 0.0
    return replace(
        state,
        canary_rps=canary_rps,
        baseline_rps=baseline_rps,
        share=share,
        alone=tick.baseline is None,
        burdened=tick.burdened,
        missed=0.0 if seen else state.missed + baseline.requests * odds,
        canary_time=max(state.canary_time, tick.time) if seen else state.canary_time,
        tick_time=max(state.tick_time, tick.time) if tick.complete else state.tick_time,
    )
