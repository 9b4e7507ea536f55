"""Who is let in when the queue is full, and who has to go: whoever holds more than its part."""

import math

import pytest
from headrace_batcher.decisions.admission import Admission
from headrace_batcher.decisions.policy import Limits, Refusal
from headrace_batcher.decisions.queue import WorkQueue
from headrace_batcher.decisions.service_times import ServiceTimes
from headrace_batcher.decisions.work import BATCH, ONLINE, SHADOW, Work
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit.batcher.scripted_backend import WorkMaker

LIMITS = Limits(max_rows=8, max_queue_rows=40)


class Entrance:
    """A queue and its door; an execution of eight rows takes a second."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.queue = WorkQueue(limits.max_rows)
        self.work = WorkMaker()
        self.gone: list[Work] = []
        times = ServiceTimes()
        times.observe(8, 1.0, 0.0)
        self.door = Admission(self.queue, limits, times, lambda rows, now: rows / 8)

    def come(self, *, rows: int = 1, size_bytes: int | None = None, **fields) -> str:
        """Let a request come in; return OK or why it must not."""
        one = self.work([0.0] * rows, **fields)
        if size_bytes is not None:
            one.size_bytes = size_bytes
        admitted = self.door.admit(one)
        if isinstance(admitted, Refusal):
            return admitted.reason
        for other in admitted:
            self.queue.remove(other)
            self.gone.append(other)
        self.queue.push(one)
        return "OK"

    def held(self, priority: int = ONLINE) -> dict[str, int]:
        return {client.name: client.rows for client in self.queue.clients(priority).waiting()}


@pytest.fixture
def entrance() -> Entrance:
    return Entrance()


def test_a_full_queue_refuses_its_only_client(entrance: Entrance):
    assert [entrance.come(client="ann") for _ in range(41)] == ["OK"] * 40 + ["QUEUE_FULL"]
    assert not entrance.gone


def test_who_comes_below_its_part_takes_the_place_of_the_newest_request_of_who_holds_most(entrance: Entrance):
    for _ in range(36):
        entrance.come(client="noisy")
    for _ in range(4):
        entrance.come(client="other")
    assert entrance.come(client="quiet") == "OK"
    assert [one.client for one in entrance.gone] == ["noisy"]
    assert entrance.gone[0].number == 36


def test_clients_that_want_everything_end_up_with_equal_parts(entrance: Entrance):
    for client in ("ann", "bob", "eve", "dan"):
        for _ in range(60):
            entrance.come(client=client)
    assert entrance.held() == {"ann": 10, "bob": 10, "eve": 10, "dan": 10}
    assert entrance.come(client="eve") == "QUEUE_FULL"


def test_a_large_request_takes_as_many_places_as_it_needs_or_none(entrance: Entrance):
    for _ in range(40):
        entrance.come(client="noisy")
    assert entrance.come(client="quiet", rows=25) == "QUEUE_FULL"
    assert not entrance.gone
    assert entrance.come(client="quiet", rows=8) == "OK"
    assert len(entrance.gone) == 8


def test_bytes_are_shared_like_rows():
    entrance = Entrance(Limits(max_rows=8, max_queue_rows=1000, max_queue_bytes=1000))
    for _ in range(10):
        entrance.come(client="noisy", size_bytes=100)
    assert entrance.come(client="noisy", size_bytes=100) == "QUEUE_FULL"
    assert entrance.come(client="quiet", size_bytes=150) == "OK"
    assert [one.size_bytes for one in entrance.gone] == [100, 100]


def test_the_least_urgent_classes_go_first_and_none_for_a_less_urgent_one(entrance: Entrance):
    for _ in range(10):
        entrance.come(client="ann", priority=SHADOW)
    for _ in range(10):
        entrance.come(client="ann", priority=BATCH)
    assert entrance.come(client="bob", priority=BATCH) == "OK"  # below its part of the class
    assert entrance.come(client="ann", priority=BATCH) == "QUEUE_FULL"
    for _ in range(20):
        entrance.come(client="ann")
    assert len(entrance.gone) == 1
    for _ in range(20):
        assert entrance.come(client="ann") == "OK"
    assert [one.priority for one in entrance.gone[1:]] == [BATCH] * 10 + [SHADOW] * 10
    assert entrance.come(client="ann") == "QUEUE_FULL"


def test_a_deadline_is_judged_by_what_goes_before_the_request_and_not_by_what_others_piled_up(entrance: Entrance):
    for _ in range(32):
        entrance.come(client="noisy")
    assert entrance.come(client="noisy", deadline=3.0) == "OVERLOADED"
    assert entrance.come(client="quiet", deadline=3.0) == "OK"


def test_nobody_goes_for_a_request_that_is_refused_for_another_reason(entrance: Entrance):
    for _ in range(40):
        entrance.come(client="noisy")
    assert entrance.come(client="quiet", deadline=0.5) == "DEADLINE_UNREACHABLE"
    assert not entrance.gone


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["ann", "bob", "eve"]), st.integers(1, 8), st.sampled_from([ONLINE, ONLINE, SHADOW, BATCH])
        ),
        min_size=1,
        max_size=120,
    )
)
def test_the_bound_holds_and_nobody_below_its_part_is_refused(requests):
    entrance = Entrance(Limits(max_rows=8, max_queue_rows=60))
    for client, rows, priority in requests:
        before, others = entrance.held(priority), entrance.queue.rows - entrance.queue.priority_rows(ONLINE)
        outcome = entrance.come(client=client, rows=rows, priority=priority)
        assert entrance.queue.rows <= 60
        assert entrance.queue.rows - entrance.queue.priority_rows(ONLINE) <= 30
        if priority == ONLINE and outcome != "OK":
            # All of the classes below would not have made room for it, else they had gone.
            assert others < rows - (60 - entrance.queue.rows)
            # Its part, of a queue in which requests of eight rows may leave a gap of seven.
            assert before.get(client, 0) + rows > math.floor(60 / len({*before, client})) - 7
