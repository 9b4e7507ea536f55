"""Replicas are counted as they are, each once."""

from __future__ import annotations

import pytest
from headrace_autoscaler.decisions.members import Condition
from headrace_autoscaler.decisions.replica_counts import (
    Appearance,
    Counts,
    appearances,
    cheapest_first,
    count,
    ready_deadline_s,
    start_s,
)

from tests.kit.autoscaler.pools import batcher

READY, LOADING, FAILED, DRAINING = Condition.READY, Condition.LOADING, Condition.FAILED, Condition.DRAINING


@pytest.mark.parametrize(
    ("conditions", "draining", "expected"),
    [
        pytest.param((), False, READY, id="one that is to hold nothing is ready for anything"),
        pytest.param((READY, LOADING), False, READY, id="one that loads another version goes on answering"),
        pytest.param((LOADING, FAILED), False, LOADING, id="one that still loads is not lost"),
        pytest.param((FAILED, FAILED), False, FAILED, id="one of which nothing can be made ready has failed"),
        pytest.param((READY,), True, DRAINING, id="one that stops takes nothing new"),
    ],
)
def test_the_condition_of_a_batcher_is_whether_it_answers(conditions, draining: bool, expected: Condition):
    assert batcher("a", *conditions, draining=draining).condition is expected


MEMBERS = [batcher("a", READY), batcher("b", LOADING), batcher("c", FAILED), batcher("d", READY, draining=True)]


@pytest.mark.parametrize(
    ("target", "age_s", "now_s", "expected"),
    [
        pytest.param(None, 0.0, 10.0, Counts(1, 1, 1, 1), id="as they are"),
        pytest.param(3, 0.0, 10.0, Counts(1, 1, 1, 1), id="those that were asked for are all there"),
        pytest.param(5, 0.0, 10.0, Counts(1, 3, 1, 1), id="two are still to appear"),
        pytest.param(5, 61.0, 10.0, Counts(1, 1, 3, 1), id="two did not appear in time"),
        pytest.param(3, 0.0, 61.0, Counts(1, 0, 2, 1, ("b:1", "c:1")), id="one loads for too long and one failed"),
    ],
)
def test_replicas_are_counted_once(target: int | None, age_s: float, now_s: float, expected: Counts):
    known = {member.process: Appearance(0.0) for member in MEMBERS}
    assert count(MEMBERS, known, target=target, target_age_s=age_s, now_s=now_s, deadline_s=60.0) == expected


def test_a_batcher_appears_once_and_is_ready_from_when_it_was_first_seen_so():
    first = appearances({}, [batcher("a", LOADING)], 5.0)
    second = appearances(first, [batcher("a", READY), batcher("b", READY)], 9.0)
    third = appearances(second, [batcher("a", LOADING)], 12.0)
    assert second == {"a": Appearance(5.0, 9.0), "b": Appearance(9.0, 9.0)}
    assert third == {"a": Appearance(5.0, 9.0)}


def test_those_go_first_that_do_not_answer_then_those_with_the_least_to_finish_then_the_newest():
    members = [
        batcher("busy", READY, rows=9),
        batcher("old", READY),
        batcher("new", READY),
        batcher("gone", READY, draining=True),
        batcher("broken", FAILED),
    ]
    known = {name: Appearance(float(at)) for at, name in enumerate(["busy", "old", "new", "gone", "broken"])}
    assert cheapest_first(members, known) == ["broken:1", "new:1", "old:1", "busy:1"]


def test_the_deadline_is_three_starts_unless_it_is_declared():
    assert start_s([]) is None
    assert start_s([10.0, 300.0, 20.0]) == 20.0
    assert ready_deadline_s(None, None) == 180.0
    assert ready_deadline_s(None, 5.0) == 120.0
    assert ready_deadline_s(None, 300.0) == 900.0
    assert ready_deadline_s(30.0, 300.0) == 30.0
