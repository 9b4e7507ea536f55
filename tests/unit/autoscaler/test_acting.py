"""What is asked of an actuator, and when what it acknowledged counts as done, late or failed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from headrace_autoscaler.decisions.actuation import (
    Acting,
    Ask,
    ReplicaStatus,
    Stage,
    acknowledged,
    asked,
    dropped,
    failed,
    judged,
    next_step,
    resumed,
)
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("status", "desired", "expected"),
    [
        pytest.param(ReplicaStatus(1, 1, 0, 0), 3, Ask(3), id="more are wanted than are kept"),
        pytest.param(ReplicaStatus(3, 3, 0, 0), 1, Ask(1), id="fewer are wanted"),
        pytest.param(ReplicaStatus(3, 1, 2, 0), 3, None, id="what was asked for is on its way"),
        pytest.param(ReplicaStatus(5, 3, 0, 0), 3, Ask(3), id="somebody else has scaled"),
        pytest.param(ReplicaStatus(3, 1, 0, 2), 3, Ask(3), id="what was acknowledged did not happen"),
        pytest.param(
            ReplicaStatus(3, 2, 0, 1, ("c:1",)), 3, Ask(3, "c:1"), id="one that never became ready is replaced"
        ),
        pytest.param(ReplicaStatus(3, 3, 0, 0), 3, None, id="all is well"),
    ],
)
def test_what_is_asked_for_follows_from_what_there_is(status: ReplicaStatus, desired: int, expected: Ask | None):
    assert next_step(Acting(), desired, status, 100.0) == expected


def test_an_actuator_that_fails_is_asked_again_later_and_later_but_never_given_up():
    acting, status, waits = Acting(), ReplicaStatus(1, 1, 0, 0), []
    now = 0.0
    for _ in range(12):
        acting = failed(asked(acting, 7, Ask(3), now), "no", now)
        begun = now
        while next_step(acting, 3, status, now) is None:
            now += 1.0
        waits.append(now - begun)
    assert waits[:4] == [2.0, 4.0, 8.0, 16.0]
    assert max(waits) == waits[-1] == 120.0


def test_what_was_acknowledged_is_done_once_it_was_seen_and_failed_when_it_was_not_in_time():
    acting = acknowledged(asked(Acting(), 7, Ask(3), 0.0), 1.0)
    assert judged(acting, ReplicaStatus(3, 2, 1, 0), 50.0, 60.0) is acting
    done = judged(acting, ReplicaStatus(3, 3, 0, 0), 50.0, 60.0)
    assert (done.stage, done.failures) == (Stage.DONE, 0)
    late = judged(acting, ReplicaStatus(3, 1, 0, 2), 62.0, 60.0)
    assert (late.stage, late.failures, late.problem) == (Stage.FAILED, 1, "3 acknowledged, 1 ready after 60 s")


@pytest.mark.parametrize(
    ("desired", "status", "over"),
    [
        pytest.param(1, ReplicaStatus(1, 1, 0, 0), True, id="the pool is what is wanted now"),
        pytest.param(3, ReplicaStatus(1, 1, 0, 0), False, id="it is wanted still"),
        pytest.param(1, ReplicaStatus(2, 2, 0, 0), False, id="the actuator did a part of it"),
        pytest.param(1, ReplicaStatus(1, 1, 1, 0), False, id="another one comes"),
        pytest.param(1, ReplicaStatus(1, 0, 0, 1), False, id="the one that is to be there is missing"),
        pytest.param(1, ReplicaStatus(None, 1, 0, 0), False, id="the actuator cannot say what it keeps"),
    ],
)
def test_a_refusal_is_over_once_what_was_refused_is_wanted_no_more(desired: int, status: ReplicaStatus, over: bool):
    refused = failed(asked(Acting(), 7, Ask(3), 0.0, ", 2 of them for other pools"), "no quota", 1.0)
    after = dropped(refused, desired, status, 9.0)
    assert after == (Acting(target=3, since_s=9.0) if over else refused)
    if over:
        assert next_step(after, 3, status, 9.0) == Ask(3), "what is wanted again is asked for at once"


def test_what_an_actuator_has_acknowledged_is_waited_for_and_what_nobody_waits_for_is_dropped():
    lost = asked(Acting(), 7, Ask(3), 0.0)
    acting = acknowledged(lost, 1.0)
    assert dropped(acting, 1, ReplicaStatus(1, 1, 0, 0), 9.0) is acting
    assert dropped(lost, 1, ReplicaStatus(1, 1, 0, 0), 9.0).stage is Stage.IDLE


def test_an_answer_that_nobody_waited_for_is_seen_in_what_the_actuator_keeps():
    acting = asked(Acting(), 7, Ask(3), 0.0)
    assert resumed(acting, 1, 5.0) is acting
    assert resumed(acting, None, 5.0) is acting
    assert resumed(acting, 3, 5.0) == replace(acting, stage=Stage.ACKNOWLEDGED, acknowledged=3, since_s=5.0)


@given(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9), st.integers(0, 9), st.integers(0, 9))
def test_nothing_but_what_is_desired_is_ever_asked_for(desired, target, ready, coming, missing):
    ask = next_step(Acting(), desired, ReplicaStatus(target, ready, coming, missing), 0.0)
    assert ask is None or ask.target == desired
    if target != desired:
        assert ask == Ask(desired)
