"""Who waits for a batcher that is away for a moment, for how long, and how many may."""

import asyncio
from collections.abc import Iterator

import pytest
from headrace_router.data.answer.refusals import pool_starting
from headrace_router.data.batchers.admission import (
    HOPE_S,
    MARGIN_S,
    MAX_MISSED,
    PendingQueue,
    QueueLimits,
)
from headrace_router.data.batchers.work import Work
from hypothesis import given
from hypothesis import strategies as st


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def work(
    loop: asyncio.AbstractEventLoop, digest: str = "v1", *, deadline: float = 1e9, size: int = 4, **fields
) -> Work:
    inputs = (bytes(size),)
    made = Work(loop.create_future(), pool="default", digest=digest, rows=1, inputs=inputs, deadline=deadline)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def enter(queue: PendingQueue, one: Work, now: float) -> bool:
    """Let a work wait if it may."""
    if queue.until(one, now) is None:
        return False
    queue.enter(one, now, tick=0)
    return True


@pytest.mark.parametrize(
    ("queue_timeout_s", "deadline", "expected"),
    [
        pytest.param(1e9, 1e9, 101.0, id="as long as the pools allow"),
        pytest.param(0.3, 1e9, 100.3, id="as long as it wants"),
        pytest.param(0.0, 1e9, None, id="not at all when there is something else to try"),
        pytest.param(1e9, 100.5, 100.5 - MARGIN_S, id="a little less than its deadline"),
        pytest.param(1e9, 100.0 + MARGIN_S / 2, None, id="not when there is no time"),
    ],
)
def test_a_request_waits(loop, queue_timeout_s, deadline, expected):
    queue = PendingQueue(QueueLimits(timeout_s=1.0))
    assert queue.until(work(loop, queue_timeout_s=queue_timeout_s, deadline=deadline), 100.0) == expected


def test_nobody_waits_for_what_stays_away(loop):
    queue = PendingQueue(QueueLimits(timeout_s=1.0))
    assert queue.until(work(loop), 100.0) == 101.0
    assert queue.until(work(loop), 99.5 + HOPE_S) == 100.0 + HOPE_S
    assert queue.until(work(loop), 100.0 + HOPE_S) is None
    assert queue.until(work(loop, "v2"), 100.0 + HOPE_S) == 101.0 + HOPE_S


def test_hope_begins_anew_when_a_version_was_there_meanwhile(loop):
    queue = PendingQueue(QueueLimits(timeout_s=1.0))
    queue.until(work(loop), 100.0)
    assert queue.called(lambda digest: digest == "v1") == []
    assert queue.until(work(loop), 1000.0) == 1001.0


def test_what_was_waited_once_is_not_waited_again(loop):
    queue = PendingQueue(QueueLimits(timeout_s=1.0))
    one = work(loop)
    queue.enter(one, 100.0, tick=7)
    assert queue.leave(one, 100.6) == 7
    until = queue.until(one, 200.0)
    assert until is not None
    assert until - 200.0 == pytest.approx(0.4)
    queue.enter(one, 200.0, tick=8)
    assert queue.leave(one, 205.0) == 8
    assert queue.until(one, 300.0) is None
    assert queue.leave(one, 300.0) is None


def test_those_whose_version_is_back_are_called_in_their_order(loop):
    queue = PendingQueue(QueueLimits())
    works = [work(loop, digest) for digest in ("v1", "v2", "v1", "v3")]
    for one in works:
        assert enter(queue, one, 100.0)
    assert queue.called(lambda digest: False) == []
    assert queue.called(lambda digest: digest != "v3") == works[:3]


@given(st.lists(st.tuples(st.sampled_from(("ann", "bob")), st.integers(0, 50)), max_size=60))
def test_the_room_is_bounded_in_requests_and_bytes(loop, arrivals):
    queue = PendingQueue(QueueLimits(requests=8, size_bytes=100))
    waiting = []
    for client, size in arrivals:
        one = work(loop, client=client, size=size)
        if enter(queue, one, 100.0):
            waiting.append(one)
        assert len(queue) == len(waiting) <= 8
        assert sum(other.size_bytes for other in waiting) <= 100 or len(waiting) == 1
    for one in waiting:
        queue.leave(one, 100.5)
    assert len(queue) == 0
    assert queue.until(work(loop, size=10**6), 100.5) is not None


def test_versions_that_are_missed_are_remembered_within_bounds(loop):
    queue = PendingQueue(QueueLimits())
    for number in range(MAX_MISSED + 1):
        queue.until(work(loop, f"v{number}"), 100.0)
    assert queue.until(work(loop, f"v{MAX_MISSED}"), 100.0 + HOPE_S) is None
    assert queue.until(work(loop, "v0"), 100.0 + HOPE_S) is not None


def test_for_a_pool_that_is_being_started_requests_wait_up_to_their_deadline(loop):
    queue = PendingQueue(QueueLimits(timeout_s=1.0))
    waits = work(loop, deadline=130.0)
    assert enter(queue, waits, 100.0)
    queue.starting(100.5, lease_s=5.0, start_s=10.0)
    assert queue.leave(waits, 101.0) is not None
    assert queue.until(waits, 101.0) == 130.0 - MARGIN_S, "the second that it waited is not held against it"
    assert queue.until(work(loop, deadline=1e9), 104.0) == 1e9 - MARGIN_S
    queue.starting(105.0, lease_s=5.0, start_s=10.0)
    assert queue.ready_in_s(105.0) == pytest.approx(5.5), "since it was first asked for"
    assert queue.ready_in_s(110.0) is None, "the answer is too old"


def test_a_request_with_less_time_than_a_start_takes_does_not_wait_for_it(loop):
    queue = PendingQueue(QueueLimits(timeout_s=1.0))
    queue.starting(100.0, lease_s=60.0, start_s=10.0)
    assert queue.until(work(loop, deadline=108.0), 100.0) is None
    assert queue.until(work(loop, deadline=112.0), 105.0) == 112.0 - MARGIN_S
    queue.starting(100.0, lease_s=60.0, start_s=None)
    assert queue.until(work(loop, queue_timeout_s=0.0), 105.0) is None, "there is something else to try"


def test_those_that_wait_for_a_start_are_bounded_like_the_others(loop):
    queue = PendingQueue(QueueLimits(requests=2))
    queue.starting(100.0, lease_s=60.0, start_s=1.0)
    assert [enter(queue, work(loop), 100.0) for _ in range(3)] == [True, True, False]


def test_a_start_that_takes_longer_than_the_last_one_is_not_expected_in_no_time():
    told = "pool 'default' has no batcher and is being started: "
    assert pool_starting("default", 0.2).public_message == f"{told}it is expected to answer in 1 s"
    assert pool_starting("default", 0.0).public_message == f"{told}that takes longer than before"
