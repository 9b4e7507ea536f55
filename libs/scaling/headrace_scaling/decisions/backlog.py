"""What waits: callers with long deadlines are not shed, and are late until the queue is worked off."""

from __future__ import annotations

from headrace_scaling.decisions.dips import start_s
from headrace_scaling.decisions.observations import Metric, Observation
from headrace_scaling.decisions.policies import PoolPolicy

# What is worked off sooner by what is ready needs no replica.
_LONG_S = 2.0


def demand(policy: PoolPolicy, observation: Observation) -> float | None:
    """Return the requests/s that also work off what waits, within a start; None where nothing waits for long.

    Before any replica loads, what will have come until one is ready waits too, unless some of it is shed.
    """
    ahead, target = policy.look_ahead, policy.demand
    if ahead is None or target.metric is not Metric.REQUESTS_PER_S:
        return None
    signals = [observation.signal(one) for one in (target.metric, Metric.QUEUED_ROWS, Metric.SHED_PER_S)]
    asked, queued, shed = (one.value if one.problem(policy.max_age_s) is None else None for one in signals)
    served = observation.replicas.ready * target.value
    if asked is None or queued is None or shed is None or queued <= _LONG_S * served:
        return None
    start = max(start_s(policy, observation.load_time_s), policy.interval_s)
    waits = queued
    if not observation.replicas.loading and not shed:
        waits += max(0.0, asked - served) * start
    return min(asked + waits / start, asked * ahead.most)
