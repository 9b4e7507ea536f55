"""Experiments in trouble: clear states and exact counts, whatever the data are like and the clock does."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from headrace_monitor.judge.experiments.decisions import definitions
from headrace_monitor.judge.experiments.decisions.moments import steps_of
from headrace_monitor.judge.experiments.decisions.verdicts import history, sentence, verdict
from headrace_statistics.experiments.analysis import Finding, State
from headrace_statistics.experiments.effects import Effect
from headrace_statistics.inconclusive import Constant

from tests.unit.monitor.experiments.test_selection import CLICK, DAY, DEFINITION, NOW, REVENUE, RUNNING, START, rows

ONLY_CLICKS = replace(RUNNING, definition=replace(DEFINITION, metrics=(CLICK,)))
MONEY = replace(RUNNING, definition=replace(DEFINITION, metrics=(CLICK, replace(REVENUE, cap=0.0))))


def both(units: int, days: float = 1):
    return [(f"{variant}{at}", variant, days) for variant in DEFINITION.weights for at in range(units)]


def test_no_traffic_is_undecided_now_and_over_time():
    said = verdict(RUNNING, rows([]), NOW)
    assert (said.analysis.state, said.analysis.sample_ratio_p, said.crossed) == (State.UNDECIDED, 1.0, 0)
    assert said.assigned == {"control": 0, "new": 0}
    steps = steps_of(RUNNING, NOW)
    assert {one.analysis.state for one in history(RUNNING, [], steps, NOW)} == {State.UNDECIDED}


@pytest.mark.parametrize("clicks", [0, 1])
def test_a_metric_without_variance_says_so(clicks: int):
    facts = [(unit, 1.0, "click", float(clicks), 2.0) for unit, *_ in both(300)]
    (one,) = verdict(ONLY_CLICKS, rows(both(300), facts, ONLY_CLICKS), NOW).analysis.results
    assert isinstance(one.comparison.effect, Constant)
    assert (one.finding, one.comparison.p) == (Finding.UNDECIDED, pytest.approx(1.0, abs=0.1))
    assert "nothing to say yet" in sentence(one)


def test_a_hundred_thousand_events_of_one_unit_are_one_unit():
    facts = [("new0", 1.0, "reward", 1.0, 2.0)] * 100_000
    facts += [
        (f"{variant}{at}", 1.0, "reward", float(at % 3), 2.0) for variant in DEFINITION.weights for at in range(1, 300)
    ]
    found = verdict(MONEY, rows(both(300), facts, MONEY), NOW)
    assert found.assigned == {"control": 300, "new": 300}
    one = found.analysis.results[-1]
    assert isinstance(one.comparison.effect, Effect)
    assert abs(one.comparison.effect.z) < 1.1, "it is an outlier, and proves nothing"


def test_negative_values_are_sums_like_others():
    facts = [(unit, 1.0, "reward", -5.0 if unit.startswith("new") else -10.0, 2.0) for unit, *_ in both(300)]
    facts += [(unit, 1.0, "reward", float(at % 2), 3.0) for at, (unit, *_) in enumerate(both(300))]
    one = verdict(MONEY, rows(both(300), facts, MONEY), NOW).analysis.results[-1]
    assert isinstance(one.comparison.effect, Effect)
    assert (one.comparison.effect.control, one.comparison.effect.variant) == (-9.5, -4.5)
    assert one.comparison.low > 0


def test_duplicates_and_late_records_in_any_order_change_no_count():
    answers = [*both(50), *both(50, 3), *both(50)[::-1]]
    facts = [(unit, 1.0, "click", 1.0, 2.0) for unit, *_ in both(25)]
    one = verdict(ONLY_CLICKS, rows(answers, facts, ONLY_CLICKS), NOW)
    again = verdict(ONLY_CLICKS, rows(answers[::-1], facts[::-1], ONLY_CLICKS), NOW)
    assert one == again
    assert one.assigned == {"control": 50, "new": 50}


def test_a_clock_that_is_set_back_orders_no_phase_before_another():
    ramped = definitions.reweighted(RUNNING, {"control": 1.0, "new": 3.0}, START - DAY)
    assert ramped.phases[1].start_time > START
    ended = definitions.ended(ramped, "", START - 2 * DAY)
    assert ended.end_time == ramped.phases[1].start_time
    assert verdict(ended, rows(both(9), experiment=ended), START - DAY).assigned == {"control": 0, "new": 0}
    assert steps_of(ended, START - DAY).count == 1
    running = verdict(RUNNING, rows(both(9)), START - timedelta(days=400))
    assert running.assigned == {"control": 9, "new": 9}


def test_outcomes_whose_clock_is_before_their_answer_belong_to_the_time_before():
    facts = [("new0", 1.0, "reward", 4.0, 0.5), ("new0", 1.0, "reward", 2.0, 1.5)]
    found = rows(both(2), facts)
    (one,) = [row for row in found if row.metric == 1 and row.variant == "new"]
    assert one.sums is not None
    assert one.sums.moments.means.tolist() == [1.0, 1.0, 2.0]
    assert (one.sums.moments.least, one.sums.moments.most) == (0.0, 2.0)


def test_a_difference_that_is_surer_than_its_size_is_told_so():
    """Rare events are counted exactly: they may say that there is a difference before the interval of its size does."""
    clicks = {"control": 10, "new": 30}
    answers = [(f"{variant}{at}", variant, 1.0) for variant in clicks for at in range(1_000)]
    facts = [(f"{variant}{at}", 1.0, "click", 1.0, 2.0) for variant, count in clicks.items() for at in range(count)]
    experiment = replace(
        ONLY_CLICKS, definition=replace(ONLY_CLICKS.definition, metrics=(replace(CLICK, relative_effect=0.5),))
    )
    (one,) = verdict(experiment, rows(answers, facts, experiment), NOW).analysis.results
    assert one.finding is Finding.BETTER
    assert one.comparison.low < 0 < one.comparison.high
    said = sentence(one)
    assert "better than the control, by its p-value of 0.0" in said
    assert "surer than how large it is" in said
    assert "inf" not in said
