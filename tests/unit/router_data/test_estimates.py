"""How long answers take, as measured lately."""

import random

import pytest
from headrace_router.data.batchers.decisions.balance import RENEW_S, Estimates, Latency


def measured(samples, queue_s=0.0):
    latency = Latency()
    for at, took_s in enumerate(samples, start=1):
        latency.add(took_s, queue_s, at * 0.01)
    return latency


def exponential(mean_s, count, seed=1):
    rng = random.Random(seed)
    return [rng.expovariate(1 / mean_s) for _ in range(count)]


def test_nothing_measured_needs_no_time():
    assert Latency().needs_s() == 0.0


def test_what_is_steady_needs_what_it_took():
    assert measured([0.03] * 200).needs_s() == pytest.approx(0.03, rel=0.01)


def test_the_wait_in_the_queue_is_no_part_of_it():
    assert measured([0.05] * 200, queue_s=0.04).needs_s() == pytest.approx(0.01, rel=0.01)


def test_what_varies_needs_about_its_95th_percentile():
    assert measured(exponential(0.01, 5000)).needs_s() == pytest.approx(0.03, rel=0.35)


def test_one_answer_in_twenty_is_later_than_late():
    samples = exponential(0.01, 20_000)
    latency, later = Latency(), 0
    for at, took_s in enumerate(samples, start=1):
        later += at > 2000 and took_s > latency.late_s
        latency.add(took_s, 0.0, at)
    assert later / 18_000 == pytest.approx(0.05, abs=0.01)


def test_a_change_is_known_within_a_hundred_answers():
    slower = measured([0.002] * 500 + [0.05] * 100)
    assert slower.needs_s() > 0.045
    faster = measured([0.05] * 500 + [0.002] * 100)
    assert faster.needs_s() < 0.02


def test_what_was_given_up_took_at_least_so_long():
    latency = measured([0.005] * 100)
    for at in range(100):
        latency.add_late(0.1, 2.0 + at)
    assert latency.needs_s() > 0.08
    before = latency.needs_s()
    latency.add_late(0.02, 200.0)
    assert latency.needs_s() == before


def test_an_estimate_is_tried_anew_by_one_request_after_a_while():
    latency = measured([0.03])
    assert not latency.renews(1.0)
    assert latency.renews(0.01 + RENEW_S)
    assert not latency.renews(0.02 + RENEW_S)


def test_pools_are_told_apart_and_their_number_is_bounded(monkeypatch):
    monkeypatch.setattr("headrace_router.data.batchers.decisions.balance.MAX_LATENCIES", 3)
    estimates = Estimates()
    estimates.of("v1", "default").add(0.03, 0.0, 1.0)
    assert estimates.of("v1", "cpu").needs_s() == 0.0
    assert estimates.of("v1", "default").needs_s() > 0
    for version in ("v2", "v3"):
        estimates.of(version, "default")
    assert estimates.of("v1", "default").needs_s() == 0.0


@pytest.mark.parametrize("late", [1, 10, 100])
def test_one_quick_answer_to_a_request_that_finds_out_ends_a_slow_spell_however_long_it_was(late: int):
    latency = Latency()
    for at in range(100):
        latency.add(0.005, 0.0, 1.0 + at / 100)
    for at in range(late):
        latency.add_late(0.5, 2.0 + at)
    now = 2.0 + late + RENEW_S
    assert latency.renews(now)
    latency.add(0.005, 0.0, now)
    assert latency.needs_s() < 0.02


def test_a_request_that_finds_out_that_a_version_is_still_slow_keeps_the_others_away():
    latency = Latency()
    for at in range(10):
        latency.add_late(0.5, 1.0 + at)
    assert latency.renews(20.0)
    latency.add(0.5, 0.0, 20.5)
    assert latency.needs_s() > 0.5
    assert not latency.renews(21.0)
