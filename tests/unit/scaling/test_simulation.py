"""A pool in simulated time: counts that can be worked out by hand, and what must hold of every run."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import numpy as np
import pytest
from headrace_scaling.decisions import presets
from headrace_scaling.simulation import lineup, traces
from headrace_scaling.simulation.deciders import FixedDecider, PolicyDecider
from headrace_scaling.simulation.picture import draw
from headrace_scaling.simulation.run import simulate
from headrace_scaling.simulation.service_curves import ServiceCurve
from headrace_scaling.simulation.setup import Setup
from headrace_scaling.simulation.traces import MONDAY, Trace

from tests.kit.rows import each

SETUP = Setup(curve=ServiceCurve(((10, 0.02),)), drain_s=0.0)


def steady(rate: float, seconds: int = 600) -> Trace:
    return Trace("steady", np.full(seconds, rate))


def test_a_pool_with_room_answers_everything_in_time_at_its_price():
    outcome = simulate("fixed", steady(900.0), FixedDecider(2), SETUP)
    assert outcome.violations == 0.0
    assert outcome.replica_hours == pytest.approx(2 * 600 / 3600)
    assert outcome.cost == pytest.approx(3.0 * 2 * 600 / 3600)


def test_a_pool_that_is_too_small_sheds_what_would_wait_beyond_its_deadline():
    outcome = simulate("fixed", steady(2000.0), FixedDecider(2), SETUP)
    # 1,000 of 2,000 are served in a second; the queue of a deadline without two executions, 960, fills first.
    assert outcome.shed == pytest.approx(600 * 1000.0 - 960.0)
    assert outcome.violations == pytest.approx(1.0, abs=0.001)
    assert outcome.wait_p99_s == pytest.approx(0.96)


def test_only_the_part_of_a_second_that_waits_too_long_is_late():
    # Of the slack of 100 ms, two executions of 20 ms each are taken; 60 ms are left: 60 requests at 1,000 in a second.
    trace = Trace("burst", np.array([1000.0] * 10 + [1120.0] + [900.0] * 20))
    outcome = simulate("fixed", trace, FixedDecider(2), SETUP)
    assert outcome.shed == 0.0
    # Waits rise to 120 ms within the second, half of whose requests wait longer than 60; in the next they fall to 20.
    assert outcome.late == pytest.approx(1120 / 2 + 900 * 0.6)


def test_a_step_is_short_of_replicas_for_the_time_that_they_load():
    trace = Trace("step", np.array([400.0] * 600 + [4000.0] * 600))
    outcome = simulate("ours", trace, PolicyDecider(presets.headrace(420.0)), replace(SETUP, load_times_s=(40.0,)))
    broken = int(np.count_nonzero(outcome.series.broken))
    assert 40 <= broken * outcome.series.step_s <= 50
    assert outcome.most_replicas == 10
    assert outcome.changes == 2
    assert outcome.turns <= 1


def test_starts_that_fail_are_repeated_and_replicas_that_fail_are_replaced():
    setup = replace(SETUP, start_failure=0.5, hours_between_failures=1.0, seed=3)
    outcome = simulate("fixed", steady(100.0, 7200), FixedDecider(8), setup)
    assert outcome.starts > 12
    assert outcome.series.ready.max() == 8
    assert outcome.violations < 0.01


def test_every_run_of_a_seed_is_the_same():
    trace = traces.generated("flash", seconds=1200)
    setup = replace(SETUP, load_times_s=(20.0, 40.0, 60.0), start_failure=0.2)
    first, second = (simulate("x", trace, PolicyDecider(presets.headrace(420.0)), setup) for _ in range(2))
    assert (first.late, first.shed, first.replica_hours, first.starts) == (
        second.late,
        second.shed,
        second.replica_hours,
        second.starts,
    )


def test_earlier_days_prepare_for_a_surge_that_comes_every_day():
    day = np.full(86_400, 400.0)
    day[43_200:43_500] = 4000.0
    trace = Trace("days", np.tile(day, 4))
    known = simulate("ours", trace, PolicyDecider(presets.headrace(420.0)), SETUP, skip_s=3 * 86_400)
    policy = replace(presets.headrace(420.0), season=None)
    unknown = simulate("without", trace, PolicyDecider(policy), SETUP, skip_s=3 * 86_400)
    assert known.violations == 0.0
    assert unknown.violations > 0.003
    assert known.replica_hours < unknown.replica_hours * 1.1


@pytest.mark.long
def test_ours_breaks_fewer_objectives_than_others_at_no_more_replica_hours():
    trace = traces.generated("surges", seconds=4 * 86_400, low=1000.0, high=8000.0)
    names = ("headrace", "kubernetes", "knative-delayed")
    deciders = {name: lambda name=name: lineup.named(name, Setup()) for name in names}
    ours, *others = lineup.compare(trace, Setup(), deciders, skip_s=3 * 86_400)
    for other in others:
        assert ours.violations < other.violations / 5
        assert ours.replica_hours < other.replica_hours


def test_a_curve_gives_the_batch_that_serves_most_in_time():
    curve = ServiceCurve.of([(32, 0.064), (1, 0.005), (8, 0.019)])
    assert curve.seconds(1) == 0.005
    assert curve.seconds(4) == pytest.approx(0.011)
    assert curve.seconds(64) == pytest.approx(0.128)
    rows, rate = curve.best(0.1)
    assert 2 * curve.seconds(rows) <= 0.1
    assert rate == pytest.approx(rows / curve.seconds(rows))
    assert curve.best(0.2)[0] == 32
    assert curve.best(0.001) == (1, 200.0)
    assert ServiceCurve.of_throughput(500.0).best(0.1)[1] == pytest.approx(500.0)


@pytest.mark.parametrize("points", [[], [(0, 1.0)], [(1, 0.0)], [(1, 1.0), (1, 2.0)]])
def test_a_curve_that_cannot_be_is_refused(points: list[tuple[int, float]]):
    with pytest.raises(ValueError, match="service curve"):
        ServiceCurve.of(points)


def test_a_picture_of_every_policy_is_well_formed():
    trace = traces.generated("step", seconds=1200)
    deciders = {name: lambda name=name: lineup.named(name, SETUP) for name in (*lineup.NAMES, "fixed-3")}
    outcomes = lineup.compare(trace, SETUP, deciders)
    root = ElementTree.fromstring(draw("a <step> & more", outcomes, 500.0))
    text = "".join(root.itertext())
    assert all(name in text for name in deciders)


@pytest.mark.parametrize("shape", traces.SHAPES)
def test_a_generated_trace_is_that_of_its_seed(shape: str):
    first = traces.generated(shape, seconds=4000, seed=5)
    assert np.array_equal(first.requests, traces.generated(shape, seconds=4000, seed=5).requests)
    assert not np.array_equal(first.requests, traces.generated(shape, seconds=4000, seed=6).requests)
    assert first.seconds == 4000


def test_csv_is_read_with_and_without_times():
    assert traces.from_csv("x", "requests\n3\n4\n\n5\n").requests.tolist() == [3.0, 4.0, 5.0]
    timed = traces.from_csv("x", "time,requests\n1000,10\n1010,20\n")
    assert timed.start == 1000.0
    assert timed.requests.tolist() == [1.0] * 10 + [2.0] * 10
    stamped = traces.from_csv("x", "2026-09-21T00:00:00Z,60\n2026-09-21T02:01:00+02:00,120\n")
    assert stamped.start == MONDAY
    assert stamped.requests.sum() == pytest.approx(180.0)
    assert stamped.seconds == 120


@each(
    "text,message",
    [
        ("", "no rows"),
        ("requests\n", "no rows"),
        ("1\nmany\n", "row 2: 'many' is not a number"),
        ("1\n-1\n", "from 0 up"),
        ("1\nnan\n", "from 0 up"),
        ("1,2,3\n", "row 1 has 3 columns"),
        ("1,2\n", "at least two rows"),
        ("5,1\n5,1\n", "times must ascend; row 2"),
        ("yesterday,1\n6,1\n", "neither seconds nor a time"),
        ("2026-09-21T00:00:00,1\n6,1\n", "no time zone"),
        ("0,1\n1e12,1\n", "between 1 and 16,000,000 seconds"),
    ],
)
def test_a_trace_that_cannot_be_read_is_refused_by_row(text: str, message: str):
    with pytest.raises(ValueError, match=message):
        traces.from_csv("x", text)


def test_a_name_that_no_policy_has_is_refused():
    with pytest.raises(ValueError, match="fixed-N"):
        lineup.named("hpa", SETUP)
