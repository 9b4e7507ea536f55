"""From a signal to a number of replicas, by Kubernetes' arithmetic, which Knative's is a case of."""

from __future__ import annotations

import math

from headrace_scaling.decisions import windows
from headrace_scaling.decisions.decision import Recommendation
from headrace_scaling.decisions.memory import Memory
from headrace_scaling.decisions.observations import Observation, Replicas, SignalProblem
from headrace_scaling.decisions.policies import PoolPolicy, Target, TargetKind


def recommend(policy: PoolPolicy, target: Target, memory: Memory, observation: Observation) -> Recommendation:
    """Return what a target asks for. What cannot be read asks for what there is: it never scales down."""
    replicas, signal = observation.replicas, observation.signal(target.metric)
    asked_for = replicas.asked_for
    problem = signal.problem(policy.max_age_s)
    reporting = replicas.ready if signal.replicas is None else min(signal.replicas, replicas.ready)
    if problem is None and target.is_mean and reporting == 0:
        problem = SignalProblem.MISSING
    if problem is not None:
        return Recommendation(target.metric, target.value, asked_for, asked_for, None, None, problem)
    samples = memory.samples[target.metric]
    value = burst = windows.mean(samples, observation.now, policy.stable_window_s)
    wanted = burst_wanted = replicas_for(target, value, replicas, reporting, policy.tolerance)
    if policy.panic is not None:
        burst = windows.mean(samples, observation.now, policy.panic.window_s)
        burst_wanted = replicas_for(target, burst, replicas, reporting, policy.tolerance)
    if target.up_only:
        wanted = wanted if wanted > asked_for else 0
        burst_wanted = burst_wanted if burst_wanted > asked_for else 0
    return Recommendation(target.metric, target.value, wanted, burst_wanted, value, burst)


def replicas_for(target: Target, value: float, replicas: Replicas, reporting: int, tolerance: float) -> int:
    """Return how many replicas bring a value back to its target.

    Of a mean, replicas that are ready and do not report are assumed busy before scaling down and idle before scaling
    up; those that still load are assumed idle before scaling up. Neither may turn the direction round.
    """
    asked_for, ready = replicas.asked_for, replicas.ready
    match target.how:
        case TargetKind.TOTAL:
            if asked_for and _tolerated(value / (target.value * asked_for), tolerance):
                return asked_for
            return ceiling(value / target.value)
        case TargetKind.POOL_VALUE:
            ratio = value / target.value
            if asked_for == 0:
                return ceiling(ratio)
            return asked_for if _tolerated(ratio, tolerance) else ceiling(ratio * ready)
        case TargetKind.REPLICA_MEAN:
            return _from_mean(target, value, replicas, reporting, tolerance)


def _from_mean(target: Target, mean: float, replicas: Replicas, reporting: int, tolerance: float) -> int:
    asked_for, missing = replicas.asked_for, replicas.ready - reporting
    ratio = mean / target.value
    idle = replicas.loading if ratio > 1.0 else 0
    if not idle and not missing:
        return asked_for if _tolerated(ratio, tolerance) else ceiling(ratio * replicas.ready)
    assumed = 0.0
    if ratio < 1.0:
        assumed = missing * (target.value if target.missing_as is None else target.missing_as)
    elif ratio == 1.0:
        assumed = missing * target.value
    counted = reporting + missing + idle
    corrected = (mean * reporting + assumed) / counted / target.value
    wanted = ceiling(corrected * counted)
    if _tolerated(corrected, tolerance) or (ratio < 1.0 < corrected) or (corrected < 1.0 < ratio):
        return asked_for
    if (corrected < 1.0 and wanted > asked_for) or (corrected > 1.0 and wanted < asked_for):
        return asked_for
    return wanted


def _tolerated(ratio: float, tolerance: float) -> bool:
    return abs(1.0 - ratio) <= tolerance + 1e-9


def ceiling(replicas: float) -> int:
    """Return the next whole number; what rounding adds to a whole one does not cost a replica."""
    return math.ceil(replicas - 1e-9) if replicas < 1e9 else 1_000_000_000
