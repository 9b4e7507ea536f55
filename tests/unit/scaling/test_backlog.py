"""What waits is worked off: callers with long deadlines are not shed, and late until the queue is gone."""

from dataclasses import replace

import pytest
from headrace_scaling.decisions import presets
from headrace_scaling.decisions.decider import backlog_demand, decide
from headrace_scaling.decisions.decision import Rule
from headrace_scaling.decisions.observations import Metric, Observation, Replicas, Signal
from headrace_scaling.decisions.policies import PoolPolicy
from headrace_scaling.simulation import lineup, traces
from headrace_scaling.simulation.setup import Setup

POLICY = presets.headrace(420.0, most=40)


def seen(asked: float, queued: float | None, *, shed: float = 0.0, loading: int = 0) -> Observation:
    signals = {Metric.REQUESTS_PER_S: asked, Metric.QUEUED_ROWS: queued, Metric.SHED_PER_S: shed}
    return Observation(
        "gpu",
        1e9,
        Replicas(2, loading),
        {metric: Signal(value) for metric, value in signals.items()},
        load_time_s=45.0,
    )


@pytest.mark.parametrize(
    ("observation", "demand"),
    [
        (seen(3_000.0, 20_000.0), 3_000.0 + 20_000.0 / 45.0 + 2_160.0),
        (seen(6_000.0, 90_000.0), 12_000.0),  # at most twice what is asked
        (seen(6_000.0, 20_000.0, shed=10.0), 6_000.0 + 20_000.0 / 45.0),
        (seen(6_000.0, 20_000.0, loading=13), 6_000.0 + 20_000.0 / 45.0),
        (seen(6_000.0, 1_600.0), None),
        (seen(6_000.0, None), None),
    ],
)
def test_what_waits_and_will_wait_until_a_replica_is_ready_is_counted(observation: Observation, demand: float | None):
    assert backlog_demand(POLICY, observation) == (None if demand is None else pytest.approx(demand))


@pytest.mark.parametrize("policy", [replace(POLICY, look_ahead=None), presets.headrace(4.0, metric=Metric.CONCURRENCY)])
def test_without_look_ahead_or_requests_to_count_in_nothing_is(policy: PoolPolicy):
    assert backlog_demand(policy, seen(6_000.0, 20_000.0)) is None


def test_the_first_decision_of_a_step_goes_up_by_what_waits_and_says_so():
    decision, _ = decide(POLICY, None, seen(6_000.0, 25_000.0))
    assert (decision.rule, decision.desired) == (Rule.BACKLOG, 28)
    assert decision.sentences[1] == "Serving what comes and what waits takes 11,715.6 requests/s, so 28 replicas."


def test_a_step_without_shedding_has_fewer_late_than_by_knatives_rules_and_costs_less():
    trace, setup = traces.generated("step"), Setup(deadline_s=3_600.0)
    deciders = {name: lambda name=name: lineup.named(name, setup) for name in ("headrace", "knative")}
    ours, knative = lineup.compare(trace, setup, deciders)
    assert ours.violations < min(0.06, knative.violations)
    assert ours.replica_hours < knative.replica_hours
