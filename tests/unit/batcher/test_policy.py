"""When a batch is cut, who is let in, and how service times are learnt."""

import math
from dataclasses import replace

import pytest
from headrace_batcher.decisions.policy import (
    MAX_BLAMED_IN_A_ROW,
    MIN_RETRY_S,
    TIMER_GRAIN_S,
    Cut,
    Group,
    Limits,
    Wait,
    Waiting,
    act_by,
    admit,
    ahead_at,
    batch_rows,
    lone_failure_blames_input,
    next_end,
    next_step,
    predicted_wait_s,
    room_rows,
    too_many_rows,
)
from headrace_batcher.decisions.service_times import ServiceTimes
from headrace_runtime.shapes import FIXED
from headrace_servicekit.errors import Code
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.rows import each

LIMITS = Limits(max_rows=32, preferred_rows=(8, 16, 32), max_wait_s=0.005, instances=1, max_queue_rows=100)


def waiting(rows: int, *, overdue: bool = False, next_act_by: float = 1.0) -> Waiting:
    group = Group(FIXED, rows)
    full = group if rows >= LIMITS.max_rows else None
    return Waiting(group, group if overdue else None, full, not overdue, next_act_by)


@pytest.mark.parametrize(
    ("seen", "executing", "expected"),
    [
        pytest.param(Waiting(None, None, None), 0, None, id="nothing waits"),
        pytest.param(waiting(1), 0, 1, id="an idle backend takes what there is"),
        pytest.param(waiting(1), 1, None, id="a busy backend waits for more"),
        pytest.param(waiting(31), 1, None, id="not full"),
        pytest.param(waiting(32), 1, 32, id="a full batch is sent ahead"),
        pytest.param(waiting(3, overdue=True), 1, 3, id="a used-up wait is sent ahead"),
        pytest.param(waiting(32, overdue=True), 2, None, id="nothing more than one ahead"),
    ],
)
def test_a_batch_is_cut_when_it_is_due(seen, executing, expected):
    step = next_step(seen, executing, LIMITS, ahead_at=0.5, now=0.5)
    assert (step.rows if isinstance(step, Cut) else None) == expected


def test_a_busy_backend_is_asked_again_when_the_next_wait_is_used_up():
    assert next_step(waiting(5, next_act_by=7.5), 1, LIMITS, 7.0, 6.0) == Wait(7.5, "more may come")


@pytest.mark.parametrize("full", [None, Group(FIXED, 32)])
def test_a_used_up_wait_is_sent_ahead_just_before_the_backend_should_be_free_and_before_all_others(full):
    late = Group(FIXED, 3)
    seen = Waiting(late, late, full, patient=False, next_act_by=7.0)
    assert next_step(seen, 1, LIMITS, ahead_at=7.5, now=7.499) == Wait(7.5, "it would not begin sooner")
    step = next_step(seen, 1, LIMITS, ahead_at=7.5, now=7.5 - TIMER_GRAIN_S)
    assert isinstance(step, Cut)
    assert step.group is late


@pytest.mark.parametrize(
    ("finishes", "batch_s", "expected"),
    [
        pytest.param([], 0.1, -math.inf, id="idle"),
        pytest.param([10.3], 0.1, 10.3 - 0.011, id="one executes"),
        pytest.param([10.3, 10.1], 0.1, 10.1 - 0.011, id="two, on two instances"),
        pytest.param([10.3], 0.002, 10.3 - 0.0007, id="a short one"),
        pytest.param([10.3], 0.0, 10.3, id="nothing is known"),
    ],
)
def test_when_the_backend_should_be_free_is_known_from_what_it_executes(finishes, batch_s, expected):
    assert ahead_at(finishes, batch_s) == pytest.approx(expected)


def test_each_instance_takes_a_batch_of_its_own():
    two = Limits(instances=2)
    assert isinstance(next_step(waiting(1), 1, two, 0.5, 0.5), Cut)
    assert isinstance(next_step(waiting(1), 2, two, 0.5, 0.5), Wait)
    assert isinstance(next_step(waiting(1, overdue=True), 2, two, 0.5, 0.5), Cut)


@each(
    "rows,patient,expected",
    [
        pytest.param(5, True, 5, id="below every preferred size"),
        pytest.param(16, True, 16, id="a preferred size"),
        pytest.param(18, True, 16, id="a little over: the rest waits"),
        pytest.param(20, True, 16, id="over by a quarter: the rest waits"),
        pytest.param(21, True, 21, id="over by more than a quarter"),
        pytest.param(18, False, 18, id="a little over, but the rest cannot wait"),
        pytest.param(25, True, 25, id="well over"),
        pytest.param(90, False, 32, id="more than a batch"),
    ],
)
def test_preferred_sizes_are_kept_while_that_is_cheap(rows, patient, expected):
    assert batch_rows(rows, LIMITS, patient=patient) == expected


@given(st.integers(1, 10_000), st.booleans())
def test_a_batch_is_never_empty_and_never_too_large(rows, patient):
    assert 1 <= batch_rows(rows, LIMITS, patient=patient) <= min(rows, LIMITS.max_rows)


@pytest.mark.parametrize(
    ("deadline", "service_s", "expected"),
    [
        pytest.param(math.inf, 0.5, 10.005, id="no deadline: the whole wait"),
        pytest.param(10.104, 0.1, 10.002, id="a deadline shortens it"),
        pytest.param(10.01, 0.1, 10.0, id="never before it came"),
    ],
)
def test_a_request_waits_for_others_no_longer_than_it_may(deadline, service_s, expected):
    assert act_by(10.0, 0.005, deadline, service_s) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("finishes", "queued", "expected"),
    [
        pytest.param([], 0, 0.0, id="idle"),
        pytest.param([10.3], 0, 0.3, id="one executes"),
        pytest.param([10.3, 10.9], 0, 0.3 + 0.5, id="one more is ahead"),
        pytest.param([10.3, 10.9], 64, 0.3 + 3 * 0.5, id="two batches wait"),
        pytest.param([9.0], 0, 0.0, id="overdue"),
    ],
)
def test_the_wait_is_predicted_from_what_is_ahead(finishes, queued, expected):
    assert predicted_wait_s(finishes, queued, 0.5, LIMITS, 10.0) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("finishes", "queued", "expected"),
    [
        pytest.param([10.3], 0, 0.0, id="one is free"),
        pytest.param([10.9, 10.3], 0, 0.3, id="both execute"),
        pytest.param([10.9, 10.3], 128, 0.3 + 2 * 0.5, id="four batches wait for two"),
    ],
)
def test_two_instances_halve_the_wait_behind_batches(finishes, queued, expected):
    limits = replace(LIMITS, instances=2)
    assert predicted_wait_s(finishes, queued, 0.5, limits, 10.0) == pytest.approx(expected)


def admission(**changes):
    asked = {
        "deadline": 11.0,
        "service_s": 0.1,
        "wait_s": 0.2,
        "batch_s": 0.2,
        "spread": 0.1,
        "fits": True,
        "now": 10.0,
    }
    return admit(**{**asked, **changes})


@each(
    "changes,code,reason,again",
    [
        pytest.param({"deadline": 10.0}, Code.DEADLINE_EXCEEDED, "DEADLINE_PASSED", False, id="passed"),
        pytest.param({"service_s": 1.5}, Code.DEADLINE_EXCEEDED, "DEADLINE_UNREACHABLE", False, id="too slow a model"),
        pytest.param({"batch_s": 0.85}, Code.RESOURCE_EXHAUSTED, "OVERLOADED", True, id="too slow a batch"),
        pytest.param({"wait_s": 0.95}, Code.RESOURCE_EXHAUSTED, "OVERLOADED", True, id="too long a queue"),
        pytest.param({"wait_s": 0.75}, Code.RESOURCE_EXHAUSTED, "OVERLOADED", True, id="in time if all goes well"),
        pytest.param({"wait_s": 0.72, "spread": 0.0}, Code.RESOURCE_EXHAUSTED, "OVERLOADED", True, id="no tenth left"),
        pytest.param({"spread": 0.9}, Code.RESOURCE_EXHAUSTED, "OVERLOADED", True, id="executions that vary much"),
        pytest.param({"fits": False}, Code.RESOURCE_EXHAUSTED, "QUEUE_FULL", True, id="no room"),
    ],
)
def test_what_cannot_be_done_is_refused_at_once(changes, code, reason, again):
    refusal = admission(**changes)
    assert refusal is not None
    assert (refusal.code, refusal.reason, refusal.retry_after_s > 0) == (code, reason, again)


def test_who_is_refused_is_told_when_there_should_be_time_for_it():
    overloaded, soon = admission(wait_s=0.95), admission(batch_s=1.001, wait_s=0.0)
    full, nearly_empty = admission(fits=False), admission(fits=False, wait_s=0.0)
    assert [one and one.retry_after_s for one in (overloaded, soon, full, nearly_empty)] == [
        pytest.approx((0.95 + 0.2) * 1.3 - 1.0),
        MIN_RETRY_S,
        0.2,
        MIN_RETRY_S,
    ]


@pytest.mark.parametrize(
    ("finishes", "expected"),
    [
        pytest.param([], 10.0, id="idle: it goes at once, and was let in"),
        pytest.param([10.3], 10.8, id="sent ahead: it begins when the other ends"),
        pytest.param([9.9], 10.5, id="the other should have ended"),
        pytest.param([10.3, 10.8], 10.0, id="nothing can be sent"),
    ],
)
def test_a_request_that_would_be_late_in_the_next_batch_is_not_in_it(finishes, expected):
    assert next_end(finishes, 0.5, LIMITS, 10.0) == pytest.approx(expected)


@pytest.mark.parametrize(("online", "most"), [(True, 100), (False, 50)], ids=["of a caller", "of the classes below"])
def test_a_request_larger_than_the_queue_can_never_be_taken(online: bool, most: int):
    assert too_many_rows(most, LIMITS, online=online) is None
    refusal = too_many_rows(most + 1, LIMITS, online=online)
    assert refusal is not None
    assert (refusal.reason, refusal.retry_after_s) == ("TOO_MANY_ROWS", 0.0)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="in time"),
        pytest.param({"deadline": math.inf, "wait_s": 99.0}, id="without deadline"),
        pytest.param({"service_s": 0.0, "wait_s": 0.0}, id="unknown service time"),
        pytest.param({"wait_s": 0.0, "batch_s": 0.99, "spread": 0.5}, id="nobody to wait for"),
        pytest.param({"wait_s": 0.0, "batch_s": 1.0, "service_s": 1.0}, id="to the last moment"),
        pytest.param({"wait_s": 0.7, "spread": 0.0}, id="a tenth to spare, of executions that never vary"),
    ],
)
def test_what_can_be_done_is_let_in(changes):
    assert admission(**changes) is None


@pytest.mark.parametrize(
    ("queued", "online_rows", "online", "expected"),
    [
        pytest.param(30, 30, True, 70, id="what is left"),
        pytest.param(50, 0, True, 50, id="bulk leaves half of it"),
        pytest.param(50, 0, False, 0, id="bulk has its half and no more"),
        pytest.param(40, 30, False, 40, id="bulk may have ten of fifty"),
        pytest.param(90, 90, False, 10, id="but not more than there is"),
    ],
)
def test_lower_classes_share_half_of_the_queue(queued, online_rows, online, expected):
    assert room_rows(queued, online_rows, LIMITS, online=online) == expected


def test_an_estimate_for_who_came_before_it_was_seen_is_what_was_seen():
    times = ServiceTimes()
    times.observe(1, 0.01, now=40_000.0)
    assert times.estimate(1, now=0.0) == 0.01


def test_one_slow_execution_does_not_shut_the_door():
    times = ServiceTimes()
    for at in range(20):
        times.observe(8, 0.010, at / 100)
    times.observe(8, 5.0, 0.2)
    assert times.estimate(8, 0.2) <= 0.0151


def test_a_model_that_becomes_slow_is_believed_after_a_few_executions():
    times = ServiceTimes()
    times.observe(8, 0.010, 0.0)
    for at in range(15):
        times.observe(8, 0.020, at / 50)
    assert times.estimate(8, 0.3) == pytest.approx(0.020, rel=0.1)


def test_how_much_executions_vary_is_learnt_and_one_hiccup_counts_little():
    times, steady = ServiceTimes(), ServiceTimes()
    for at in range(200):
        times.observe(8, 0.010 * (1.3 if at % 2 else 1.0), at / 50)
        steady.observe(8, 0.010, at / 50)
    assert 0.1 < times.spread < 0.3
    steady.observe(8, 9.0, 4.0)
    assert steady.spread <= 0.05


def test_an_estimate_that_nothing_confirms_fades_but_is_not_forgotten():
    times = ServiceTimes()
    times.observe(1, 0.5, 0.0)
    assert times.estimate(1, 60.0) == pytest.approx(0.125)
    times.observe(1, 0.5, 60.0)
    assert times.estimate(1, 60.0) == pytest.approx(0.5)


def test_unknown_sizes_take_the_nearest_known_size():
    times = ServiceTimes()
    assert times.estimate(4, 0.0) == 0.0
    times.observe(1, 0.001, 0.0)
    times.observe(32, 0.004, 0.0)
    assert times.estimate(8, 0.0) == 0.004
    assert times.estimate(64, 0.0) == 0.004
    times.observe(8, 0.002, 0.0)
    assert times.estimate(4, 0.0) == 0.002
    assert times.estimate(16, 0.0) == 0.004


def test_a_fast_execution_counts_much():
    times = ServiceTimes()
    times.observe(8, 0.010, 0.0)
    times.observe(8, 0.002, 0.0)
    assert times.estimate(8, 0.0) == pytest.approx(0.006)


def test_a_model_that_fails_on_everything_is_not_the_fault_of_its_callers():
    assert lone_failure_blames_input(MAX_BLAMED_IN_A_ROW)
    assert not lone_failure_blames_input(MAX_BLAMED_IN_A_ROW + 1)
