"""A version with nothing beside it is held against the worst time of the version before: slow answers above all."""

from __future__ import annotations

import numpy as np
import pytest
from headrace_statistics.canary.bets import SLOW_NATS_PER_TICK, bet, rise_wealth, tolerated_alone
from headrace_statistics.canary.counts import ArmCounts, Metric, Tick
from headrace_statistics.canary.policy import Policy
from headrace_statistics.canary.state import JudgementState, Past, begin, from_json, to_json
from headrace_statistics.canary.verdicts import Action, verdict
from headrace_statistics.canary.wealth import RISE_LOG_WEIGHTS, mixture

from tests.statistics.serving_alone import Bets

POLICY = Policy()
# In five minutes at 200 requests a second.
PAST: Past = {
    Metric.ERRORS: (60, 60_000),
    Metric.TIMEOUTS: (0, 60_000),
    Metric.SLO: (60, 60_000),
    Metric.INVALID_OUTPUTS: (6, 60_000),
}


def run(*seconds: ArmCounts, past: Past = PAST, burdened: bool = False) -> JudgementState:
    state = begin(POLICY, 0.0, past)
    for second, counts in enumerate(seconds, start=1):
        state = bet(POLICY, from_json(to_json(state)), Tick(float(second), 1.0, counts, None, burdened=burdened))
    return state


def decided(*seconds: ArmCounts, past: Past = PAST, burdened: bool = False) -> tuple[Action, Metric | None]:
    found = verdict(POLICY, run(*seconds, past=past, burdened=burdened), float(len(seconds)))
    return found.action, found.metric


@pytest.mark.parametrize(
    ("bad", "metric"),
    [
        (ArmCounts(200, slow=8), Metric.SLO),  # twice as slow, where durations are lognormal with a spread of .5
        (ArmCounts(200, slow=200), Metric.SLO),
        (ArmCounts(200, invalid_outputs=6), Metric.INVALID_OUTPUTS),
    ],
)
def test_what_the_version_before_never_had_in_its_worst_minutes_takes_a_version_back(bad: ArmCounts, metric: Metric):
    assert decided(*[bad] * 30) == (Action.ROLLBACK, metric)
    assert decided(*[bad] * 30, past={})[0] is (Action.ROLLBACK if bad.slow == 200 else Action.HOLD)


def test_a_pause_makes_seconds_slow_and_is_no_slow_version():
    well, paused = ArmCounts(200), ArmCounts(200, slow=200)
    assert decided(*[well] * 20, *[paused] * 4, *[well] * 36)[0] is not Action.ROLLBACK
    assert decided(*[well] * 20, *[paused] * 20, *[well] * 20) == (Action.ROLLBACK, Metric.SLO)


def test_a_pause_that_is_counted_at_once_after_an_absence_is_one_as_well():
    state = begin(POLICY, 0.0, PAST)
    state = bet(POLICY, state, Tick(60.0, 60.0, ArmCounts(12_000, slow=200), None))
    assert verdict(POLICY, state, 60.0).action is not Action.ROLLBACK


def test_slow_answers_are_no_evidence_while_more_is_computed_than_ever_before():
    cold = [ArmCounts(1000, slow=300)] * 60
    assert decided(*cold)[0] is Action.ROLLBACK
    assert decided(*cold, burdened=True)[0] is Action.PROMOTE
    assert decided(*[ArmCounts(1000, slow=900)] * 60, burdened=True) == (Action.ROLLBACK, Metric.SLO)


def test_a_version_alone_goes_on_once_it_is_proven_within_the_margin_of_its_past():
    past = {**PAST, Metric.ERRORS: (1_200, 60_000)}  # 2 % of what this model is asked fails whatever it is asked
    assert decided(*[ArmCounts(200, errors=4)] * 60, past=past)[0] is Action.PROMOTE
    assert decided(*[ArmCounts(200, errors=8)] * 60, past=past)[0] is not Action.PROMOTE
    assert decided(*[ArmCounts(200, errors=4)] * 60, past={})[0] is Action.HOLD


def test_the_simulated_bets_are_those_of_the_judgement():
    rng, bets, state = np.random.default_rng(3), Bets(1, SLOW_NATS_PER_TICK), begin(POLICY, 0.0, PAST)
    tolerated = np.array([tolerated_alone(POLICY, state, Metric.SLO)])
    for second in range(1, 10):  # before the bets begin anew
        slow = int(rng.binomial(200, 0.03))
        state = bet(POLICY, state, Tick(float(second), 1.0, ArmCounts(200, slow=slow), None))
        bets.take(second, np.array([200]), np.array([slow]), tolerated)
        assert mixture(bets.log_wealth[0], RISE_LOG_WEIGHTS) == pytest.approx(rise_wealth(state.metrics[Metric.SLO]))
