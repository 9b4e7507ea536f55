"""Forecast of each step of a rollout, from recent traffic. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass, replace

from headrace_statistics.canary import state as states
from headrace_statistics.canary.counts import Metric
from headrace_statistics.canary.detectable import detectable_rate

from headrace_rollout.decisions.headroom import Room, VariantTraffic
from headrace_rollout.decisions.judgement import judgement_of
from headrace_rollout.decisions.policies import Policy


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """The forecast of a step.

    extra_online_rps: additional computed requests per second compared to now, with the cache as it is now.
    detectable_rate: smallest error rate found within a minute; None if there is none or the strategy is not judged.
    fitting_share: share that the pool has head-room for now; None if the whole step fits.
    """

    extra_online_rps: float
    detectable_rate: float | None
    fitting_share: float | None = None


def planned(policy: Policy, traffic: VariantTraffic, room: Room) -> tuple[PlannedStep, ...]:
    """Return the forecast of each step of a policy at the recent traffic."""
    rps = traffic.requests / traffic.seconds
    steps = []
    for step in policy.steps:
        fit = room.fit(0.0, step.share, policy.max_utilisation, whole=policy.strategy.whole)
        fitting = fit.share if fit.share < step.share else None
        found = _detectable(policy, traffic, step.share, rps, traffic.computed_share)
        steps.append(PlannedStep(room.extra_rps(step.share), found, fitting))
    return tuple(steps)


def _detectable(policy: Policy, traffic: VariantTraffic, share: float, rps: float, computed: float) -> float | None:
    if not policy.strategy.judged:
        return None
    judgement = judgement_of(policy, 0)
    state = states.begin(judgement, 0.0)
    past = {"prior_bad": traffic.bad, "prior_requests": traffic.online + traffic.bad}
    errors = replace(state.metrics[Metric.ERRORS], baseline_bad=traffic.bad, **past)
    state = replace(
        state,
        metrics={**state.metrics, Metric.ERRORS: errors},
        baseline_requests=traffic.online + traffic.bad,
        # A cache that is empty answers nothing: the new version computes all that it gets.
        canary_rps=rps * share,
        baseline_rps=rps * (1 - share) * computed,
        alone=share == 1,
    )
    return detectable_rate(judgement, state, Metric.ERRORS, 60.0)
