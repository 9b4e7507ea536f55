"""What could be seen at the present traffic: a small effect at little traffic cannot be, and a verdict says so."""

from __future__ import annotations

import math

import numpy as np

from headrace_statistics.canary.bets import fall_wealth, margin_alone, tolerated_alone
from headrace_statistics.canary.counts import Metric
from headrace_statistics.canary.policy import Policy
from headrace_statistics.canary.state import JudgementState
from headrace_statistics.canary.wealth import (
    FALL_LOG_WEIGHTS,
    FIRST_STAKE,
    RISE_LOG_WEIGHTS,
    alone_gains,
    fall_gains,
    rise_gains,
)

# Four times in five it is seen in time.
_Z = 0.84


def detectable_rate(policy: Policy, state: JudgementState, metric: Metric, within_s: float = 60.0) -> float | None:
    """Return the smallest rate of the canary that leads to a rollback within a time with power 0.8 at recent traffic;
    None where not even a rate of 1 would.
    """
    one = state.metrics[metric]
    n, m = state.canary_rps * within_s, state.baseline_rps * within_s
    if n < 1 or (m < 1 and not state.alone):
        return None
    if state.alone:
        tolerated = tolerated_alone(policy, state, metric)
        baseline_bad = 0.0
        cost, per_baseline_bad = alone_gains(n, 0, tolerated), np.zeros(1)
        per_bad = alone_gains(n, 1, tolerated) - cost
    else:
        ratio, rate = policy.tolerated_ratio, policy.tolerated_rate
        baseline_bad = m * (one.baseline_bad + 0.5) / (state.baseline_requests + 1)
        cost = rise_gains(n, 0, m, 0, ratio, rate)
        per_bad = rise_gains(n, 1, m, 0, ratio, rate) - cost
        per_baseline_bad = rise_gains(n, 0, m, 1, ratio, rate) - cost
    # With x bad answers of the canary, each Poisson: mean - z · standard deviation is to be what is needed.
    needed = math.log(len(state.metrics) / policy.alpha) - math.log(FIRST_STAKE) - RISE_LOG_WEIGHTS
    missing = needed - cost - baseline_bad * per_baseline_bad
    variance = baseline_bad * per_baseline_bad**2
    inside = (_Z**2 * per_bad) ** 2 + 4 * _Z**2 * (per_bad * missing + variance)
    rates = (missing + (_Z**2 * per_bad + np.sqrt(np.maximum(inside, 0))) / 2) / (per_bad * n)
    smallest = float(rates.min())
    if smallest <= 1:
        return smallest
    # Where every answer is bad, their number does not vary.
    return 1.0 if bool((n * per_bad >= missing).any()) else None


def promotable_in_s(policy: Policy, state: JudgementState, metric: Metric) -> float | None:
    """Return how long recent traffic takes to accept a canary as good as its baseline; None for ever."""
    one = state.metrics[metric]
    needed = math.log(1 / policy.promotion_alpha)
    if fall_wealth(one) >= needed:
        return 0.0
    n, m = state.canary_rps, 0.0 if state.alone else state.baseline_rps
    if m <= 0 and not state.alone:
        return None
    rate, margin = one.baseline_bad / state.baseline_requests if state.baseline_requests else 0.0, policy.margin_rate
    if state.alone:
        margin = margin_alone(policy, state, metric)
        if not state.baseline_requests and one.prior_requests:
            rate = one.prior_bad / one.prior_requests
    gains = fall_gains(n, n * rate, m, m * rate, policy.margin_ratio, margin)
    missing = needed - np.asarray(one.fall) - FALL_LOG_WEIGHTS
    rising = gains > 0
    return float((missing[rising] / gains[rising]).min()) if bool(rising.any()) else None
