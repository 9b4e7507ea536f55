"""What is advised for a pool from its last days."""

import numpy as np
import pytest
from headrace_scaling import advice
from headrace_scaling.advice import advise
from headrace_scaling.decisions.policies import violations
from headrace_scaling.simulation.setup import Setup
from headrace_scaling.simulation.traces import DAY_S, Trace

# An hour and twenty minutes that are quiet, as long at 2,000 requests/s, and quiet again.
COURSE = np.repeat([200.0, 2000.0, 200.0], 4_800)


def test_the_cheapest_policy_that_keeps_the_allowed_share_is_advised():
    told = advise(Trace("pool", np.tile(COURSE, 2)), Setup(), replicas=8, allowed=0.02)
    assert told.met
    assert told.chosen.outcome.violations <= 0.02
    cheaper = [one for one in told.candidates if one.outcome.replica_hours < told.chosen.outcome.replica_hours - 1e-9]
    assert all(one.outcome.violations > 0.02 for one in cheaper)
    assert not violations(told.chosen.policy)
    assert told.today.violations == 0.0


def test_what_stands_idle_is_reported_with_its_price():
    told = advise(Trace("pool", np.tile(COURSE, 2)), Setup(price_per_replica_hour=2.0), replicas=8).idle
    assert told.hours == pytest.approx(8 * 4)
    # 0.4 of a replica for two thirds of four hours, and 4 for a third.
    assert told.busy_hours == pytest.approx(4 * (0.4 * 2 / 3 + 4 / 3))
    assert told.idle_hours == pytest.approx(32 - 6.4)
    assert told.idle_share == pytest.approx(0.8)
    assert told.fixed == 4
    assert told.saved_a_month_fixed == pytest.approx((8 - told.fixed) * 2.0 * 720)
    assert told.saved_a_month > told.saved_a_month_fixed


def test_days_of_history_give_floors(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(advice, "_TARGETS", (0.8,))
    monkeypatch.setattr(advice, "_QUANTILES", (0.9,))
    day = np.full(DAY_S, 200.0)
    day[40_000:60_000] = 2000.0
    told = advise(Trace("pool", np.tile(day, 4)), Setup(), replicas=8)
    assert [one.policy.season.quantile for one in told.candidates if one.policy.season] == [0.9]
    assert told.chosen.outcome.violations == 0.0


def test_where_nothing_is_enough_the_best_is_named():
    told = advise(Trace("pool", np.tile(COURSE, 2)), Setup(), replicas=2, most=2)
    assert not told.met
    assert told.chosen.outcome.violations == min(one.outcome.violations for one in told.candidates)
    assert told.today.violations > 0.5


def test_too_short_a_trace_is_refused():
    with pytest.raises(ValueError, match="two hours"):
        advise(Trace("pool", np.ones(600)), Setup(), replicas=1)
