"""What each step of a rollout would do, from the traffic of late. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass, replace

from headrace_statistics.canary import betting
from headrace_statistics.canary.counts import Metric
from headrace_statistics.canary.detectable import detectable_rate

from headrace_rollout.decisions.judgement import judgement_of
from headrace_rollout.decisions.policies import Policy


@dataclass(frozen=True, slots=True)
class VariantTraffic:
    """Answers and faults of a variant in so many seconds. online: computed for their request; bad: faults."""

    seconds: float
    requests: int
    online: int
    bad: int


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """extra_online_rps: computed more than before while the new version's cache is empty. detectable_rate: smallest
    rate of errors that would be found within a minute; None when none would, or nothing is judged.
    """

    extra_online_rps: float
    detectable_rate: float | None


def planned(policy: Policy, traffic: VariantTraffic) -> tuple[PlannedStep, ...]:
    """Return what each step would do at the traffic of late."""
    rps = traffic.requests / traffic.seconds
    computed = (traffic.online + traffic.bad) / traffic.requests if traffic.requests else 0.0
    return tuple(
        PlannedStep(rps * step.share * (1 - computed), _detectable(policy, traffic, step.share, rps, computed))
        for step in policy.steps
    )


def _detectable(policy: Policy, traffic: VariantTraffic, share: float, rps: float, computed: float) -> float | None:
    if not policy.strategy.judged:
        return None
    judgement = judgement_of(policy, policy.steps[0].dwell)
    state = betting.begin(judgement, 0.0)
    errors = replace(state.metrics[Metric.ERRORS], baseline_bad=traffic.bad)
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
