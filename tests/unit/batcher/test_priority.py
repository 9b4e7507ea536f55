"""What the classes below ONLINE may have while callers wait: next to nothing of their time, but never nothing."""

import math

import pytest
from headrace_batcher.decisions.policy import Cut, Group, Limits, Wait
from headrace_batcher.decisions.priority import (
    QUIET_S,
    SHARE,
    Callers,
    Credits,
    room_beside,
    short_rows,
    step_back,
)
from headrace_batcher.decisions.queue import WorkQueue
from headrace_batcher.decisions.work import BATCH, ONLINE, PRIORITIES, SHADOW
from headrace_runtime.shapes import FIXED
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit.batcher.scripted_backend import WorkMaker

LIMITS = Limits(max_rows=32, preferred_rows=(8, 16, 32), max_wait_s=0.005)


def flat(_rows: int) -> float:
    return 0.010


def growing(rows: int) -> float:
    return 0.0002 * rows


def stepped(rows: int) -> float:
    return 0.004 if rows <= 16 else 0.008


@pytest.mark.parametrize(
    ("learnt_s", "online_rows", "expected"),
    [
        pytest.param(flat, 3, 32, id="a whole batch takes no longer"),
        pytest.param(growing, 3, 3, id="every row costs"),
        pytest.param(stepped, 3, 16, id="up to the size at which it begins to"),
        pytest.param(flat, 32, 32, id="no room left"),
        pytest.param(lambda rows: 0.004 if rows else 0.001, 1, 32, id="one row is compared with one row"),
        pytest.param(lambda rows: 0.002 if rows <= 1 else 0.003, 3, 3, id="three rows with the size below"),
    ],
)
def test_others_ride_along_as_far_as_callers_do_not_wait_longer(learnt_s, online_rows, expected):
    assert room_beside(online_rows, LIMITS, learnt_s) == expected


@pytest.mark.parametrize(
    ("learnt_s", "online_rows", "expected"),
    [
        pytest.param(lambda rows: 0.0009, 1, 32, id="a whole batch is short"),
        pytest.param(lambda rows: 0.0001 * rows, 32, 8, id="eight rows are"),
        pytest.param(lambda rows: 0.0009 * rows, 32, 1, id="one row is"),
        pytest.param(flat, 32, 0, id="nothing is"),
        pytest.param(lambda rows: 0.00005 * rows, 8, 8, id="callers have eight rows a time"),
        pytest.param(lambda rows: 0.00001 * rows, 1, 16, id="callers have one, and do not feel sixteen"),
    ],
)
def test_a_short_execution_takes_no_longer_than_those_of_callers_or_a_fifth_of_the_wait(
    learnt_s, online_rows, expected
):
    assert short_rows(LIMITS, learnt_s, online_rows) == expected


@pytest.mark.parametrize(
    ("online_at", "executing", "first_rows", "expected"),
    [
        pytest.param(-math.inf, 1, 32, 32, id="nobody else was ever there"),
        pytest.param(10.0 - QUIET_S, 1, 32, 32, id="callers have stopped"),
        pytest.param(9.9, 0, 3, 4, id="callers come: only what is short"),
        pytest.param(9.9, 0, 5, None, id="callers come, and the first request is not short"),
        pytest.param(9.9, 1, 3, None, id="callers come: nothing is sent ahead"),
    ],
)
def test_what_is_no_online_request_steps_back_while_callers_come(work, online_at, executing, first_rows, expected):
    first = work([0.0] * first_rows, priority=BATCH)
    limits = Limits(max_rows=32, preferred_rows=(4, 32), max_wait_s=0.005)
    cut = Cut(Group(FIXED, 100, first), 32, "test")
    step = step_back(cut, executing, limits, growing, Callers(online_at, 8.0), 10.0)
    if expected is None:
        assert step == Wait(online_at + QUIET_S, "callers may come")
    else:
        assert isinstance(step, Cut)
        assert step.rows == expected


@settings(max_examples=40, deadline=None)
@given(
    online=st.lists(st.integers(1, 8), min_size=100, max_size=300),
    rows=st.integers(1, 8),
    priority=st.sampled_from([SHADOW, BATCH]),
    shadow_too=st.booleans(),
)
def test_a_class_that_waits_is_served_its_share_whatever_comes_before_it(online, rows, priority, shadow_too):
    """Served >= SHARE x served before it - a batch, and what both of the classes below are owed at once."""
    work, queue, served = WorkMaker(), WorkQueue(8), [0] * len(PRIORITIES)
    for at, size in enumerate(online):
        queue.push(work([0.0] * size, priority=ONLINE, act_by=at))
        if queue.priority_rows(priority) < 16:
            queue.push(work([0.0] * rows, priority=priority, act_by=at))
        if shadow_too and queue.priority_rows(SHADOW) < 16:
            queue.push(work([0.0] * rows, priority=SHADOW, act_by=at))
        urgent = queue.snapshot(float(at)).urgent
        assert urgent is not None
        for one in queue.take(Cut(urgent, min(8, urgent.rows), "test"), int):
            served[one.priority] += one.rows
        before = sum(served[:priority])
        assert served[priority] >= SHARE * before - 2 * 8
        assert served[priority] <= SHARE * before + 8


def test_who_has_nothing_waiting_is_owed_nothing():
    owed = Credits()
    for _ in range(100):
        owed.count((8, 0, 0), (8, 0, 8))
    assert owed.rows[BATCH] == pytest.approx(800 * SHARE)
    assert owed.rows[SHADOW] == 0.0
    owed.count((8, 0, 0), (8, 0, 0))
    assert owed.rows[BATCH] == 0.0


def test_the_usual_batch_of_callers_is_known_from_those_that_were(work):
    queue = WorkQueue(32)
    for at in range(50):
        for rows in (1, 2, 3):
            queue.push(work([0.0] * rows, arrived=at, act_by=at))
        urgent = queue.snapshot(float(at)).urgent
        assert urgent is not None
        queue.take(Cut(urgent, 32, "test"), int)
    assert queue.callers.at == 49.0
    assert queue.callers.rows == pytest.approx(6.0, rel=0.1)
