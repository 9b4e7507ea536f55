"""Signals are what came between two reports, and what is at hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from headrace_autoscaler.decisions.measures import keep, model_loads, signals, variation
from headrace_autoscaler.decisions.members import Condition, Held, Member, Work
from headrace_scaling.decisions.observations import Metric

from tests.kit.autoscaler.pools import batcher

READY = Condition.READY


def reports(*looks: list[Member]):
    kept = {}
    for members in looks:
        kept = keep(kept, members)
    return kept


def test_rates_are_of_what_came_between_two_reports_of_each_batcher():
    before = [batcher("a", READY, at_s=100.0, answered=50), batcher("b", READY, at_s=101.0, answered=10)]
    after = [
        batcher("a", READY, at_s=102.0, answered=90, shed=20, compute_s=1.0, rows=3),
        batcher("b", READY, at_s=105.0, answered=50, rows=4),
    ]
    found = signals(after, reports(before, after), read_age_s=1.5, read_s=105.0)
    assert found[Metric.REQUESTS_PER_S].value == pytest.approx(60 / 2 + 40 / 4)
    assert found[Metric.SHED_PER_S].value == 10.0
    assert found[Metric.CONCURRENCY].value == 7.0
    # 0.5 s of executions a second for 30 of the 40 requests that came.
    assert found[Metric.BUSY_REPLICAS].value == pytest.approx(0.5 * 40 / 30)
    assert found[Metric.REQUESTS_PER_S].age_s == pytest.approx(1.5 + 3.0)


def test_a_rate_is_unknown_until_a_batcher_has_reported_twice():
    first = [batcher("a", READY, at_s=100.0, answered=1_000_000)]
    found = signals(first, reports(first), 0.0, 100.0)
    assert (found[Metric.REQUESTS_PER_S].value, found[Metric.CONCURRENCY].value) == (None, 0.0)


def test_the_rate_of_a_pool_does_not_drop_when_a_new_batcher_takes_its_share():
    one = [batcher("a", READY, at_s=100.0, answered=60)]
    both = [batcher("a", READY, at_s=102.0, answered=100), batcher("b", READY, at_s=102.0, answered=20)]
    found = signals(both, keep(keep({}, one), both, since_s=100.0), 0.0, 102.0)
    assert found[Metric.REQUESTS_PER_S].value == 30.0


def test_a_rate_reaches_over_a_few_seconds_and_no_further():
    looks = [[batcher("a", READY, at_s=100.0 + at, answered=at * at)] for at in range(0, 31, 2)]
    found = signals(looks[-1], reports(*looks), 0.0, 130.0)
    assert found[Metric.REQUESTS_PER_S].value == pytest.approx((30 * 30 - 26 * 26) / 4)


def test_a_version_that_was_loaded_anew_counts_from_nothing_and_takes_no_demand_away():
    looks = [[batcher("a", READY, at_s=100.0, answered=900)], [batcher("a", READY, at_s=102.0, answered=4)]]
    assert signals(looks[-1], reports(*looks), 0.0, 102.0)[Metric.REQUESTS_PER_S].value == 0.0


def test_nothing_is_known_of_a_batcher_that_holds_versions_and_does_not_say_what_it_was_asked():
    silent = Member("old", "old:1", 100.0, versions={"d0": Held("digits", READY)})
    members = [batcher("a", READY, at_s=100.0), silent]
    assert signals(members, reports(members), 0.0, 100.0) == {}
    assert signals([], {}, 0.0, 100.0) == {}


def test_a_batcher_that_is_to_hold_nothing_was_asked_nothing():
    members = [Member("a", "a:1", 100.0)]
    assert signals(members, reports(members), 0.0, 100.0)[Metric.CONCURRENCY].value == 0.0


def test_each_model_has_its_own_part():
    before = [batcher("a", READY, at_s=100.0), batcher("b", READY, at_s=100.0, model="faces")]
    after = [
        batcher("a", READY, at_s=102.0, answered=60),
        batcher("b", READY, at_s=102.0, answered=20, model="faces"),
    ]
    loads = {one.model: one.signals for one in model_loads(after, reports(before, after), 0.0)}
    assert {model: load[Metric.REQUESTS_PER_S].value for model, load in loads.items()} == {
        "digits": 30.0,
        "faces": 10.0,
    }


def test_of_gpus_the_shares_of_those_that_tell_are_added_up_and_counted():
    def with_gpu(process: str, share: float | None) -> Member:
        return replace(batcher(process, READY, at_s=100.0), gpu_utilisation=share)

    members = [with_gpu("a", 0.9), with_gpu("b", 0.5), with_gpu("c", None)]
    signal = signals(members, reports(members), 0.0, 100.0)[Metric.GPU_UTILISATION]
    assert (signal.value, signal.replicas) == (pytest.approx(1.4), 2)
    none = [with_gpu("a", None)]
    assert Metric.GPU_UTILISATION not in signals(none, reports(none), 0.0, 100.0)


def test_the_variation_of_a_pool_is_that_of_its_versions_by_their_time_in_executions():
    def member(*works: Work | None) -> Member:
        held = {f"d{at}": Held("digits", READY, work=work) for at, work in enumerate(works)}
        return Member("a", "a:1", 0.0, False, held)

    busy, idle = Work(compute_s=30.0, variation=0.4), Work(compute_s=10.0, variation=0.0)
    assert variation([member(busy), member(idle, None, Work(variation=9.0))]) == pytest.approx(0.3)
    assert variation([member(Work(variation=1.0))]) is None
    assert variation([]) is None
