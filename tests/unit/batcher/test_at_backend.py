"""When what is at the backend began, and when it should end."""

import pytest
from headrace_batcher.decisions.at_backend import AtBackend


def of_rows(rows: int, now: float) -> float:
    return rows / 10


def test_what_is_sent_ahead_begins_when_the_execution_before_it_ends():
    at_backend = AtBackend(1)
    first, second = at_backend.send(10, 1.0), at_backend.send(20, 1.2)
    assert (first.began, second.began) == (1.0, None)
    assert at_backend.finishes(of_rows, 1.5) == pytest.approx([2.0, 4.0])
    at_backend.end(first, 2.5)
    assert second.began == 2.5
    assert at_backend.finishes(of_rows, 3.0) == pytest.approx([4.5])
    assert (len(at_backend), at_backend.rows) == (1, 20)


def test_an_execution_that_should_have_ended_lets_the_next_one_begin_now_at_the_soonest():
    at_backend = AtBackend(1)
    at_backend.send(10, 1.0)
    at_backend.send(10, 1.0)
    assert at_backend.finishes(of_rows, 5.0) == pytest.approx([2.0, 6.0])


def test_instances_execute_beside_each_other():
    at_backend = AtBackend(2)
    first, second, third = (at_backend.send(rows, 1.0) for rows in (10, 5, 10))
    assert (first.began, second.began, third.began) == (1.0, 1.0, None)
    assert at_backend.finishes(of_rows, 1.0) == pytest.approx([2.0, 1.5, 2.5])
    at_backend.end(second, 1.6)
    assert third.began == 1.6


def test_one_that_overtakes_lets_nobody_begin():
    at_backend = AtBackend(1)
    first, second, third = (at_backend.send(10, 1.0) for _ in range(3))
    at_backend.end(second, 1.5)
    at_backend.end(second, 1.5)
    assert (first.began, third.began) == (1.0, None)
    at_backend.end(first, 2.0)
    assert third.began == 2.0
