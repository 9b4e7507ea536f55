"""FairQueue of one class in turn: rows are shared, whatever anybody sends, and what is unused is not saved up."""

import gc

import pytest
from headrace_batcher.decisions.fair_queue import Client
from headrace_batcher.decisions.policy import Cut
from headrace_batcher.decisions.queue import WorkQueue
from headrace_batcher.decisions.work import ONLINE, Work
from headrace_runtime.shapes import ShapeKey
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit.batcher.scripted_backend import WorkMaker

MAX_ROWS = 8


def next_batch(queue: WorkQueue, now: float = 1.0, rows: int = MAX_ROWS) -> list[Work]:
    urgent = queue.snapshot(now).urgent
    assert urgent is not None
    return queue.take(Cut(urgent, min(rows, urgent.rows), "test"), int)


def names(works: list[Work]) -> list[str]:
    return [one.client for one in works]


def test_a_batch_takes_from_every_client_in_turn_and_from_each_by_deadline(work: WorkMaker):
    queue = WorkQueue(MAX_ROWS)
    noisy = [work(client="noisy", act_by=9.0, deadline=20.0 - at) for at in range(12)]
    quiet = [work(client="quiet", act_by=9.0, deadline=30.0 - at) for at in range(2)]
    for one in (*noisy, *quiet):
        queue.push(one)
    batch = next_batch(queue)
    assert names(batch).count("quiet") == 2
    assert [one for one in batch if one.client == "noisy"] == noisy[:-7:-1]
    assert [one for one in batch if one.client == "quiet"] == quiet[::-1]


def test_large_requests_count_by_their_rows(work: WorkMaker):
    queue = WorkQueue(MAX_ROWS)
    for _ in range(30):
        queue.push(work([0.0] * 4, client="large"))
        queue.push(work(client="small"))
    taken = [one for _ in range(6) for one in next_batch(queue)]
    rows = {name: sum(one.rows for one in taken if one.client == name) for name in ("large", "small")}
    assert abs(rows["large"] - rows["small"]) <= 4


def test_who_comes_back_neither_saved_up_its_turns_nor_lost_what_it_had_too_much_of(work: WorkMaker):
    queue = WorkQueue(MAX_ROWS)
    queue.push(work(client="seldom"))
    next_batch(queue)
    for _ in range(100):
        queue.push(work(client="often"))
    for _ in range(4):
        next_batch(queue)
    for _ in range(20):
        queue.push(work(client="seldom"))
    assert names(next_batch(queue)).count("seldom") in (4, 5)


def test_a_client_whose_requests_need_batches_of_their_own_waits_its_turn_like_others(work: WorkMaker):
    queue = WorkQueue(MAX_ROWS)
    for at in range(40):
        queue.push(work([0.0] * MAX_ROWS, client="odd", act_by=0.0, key=ShapeKey((), (at % 5,))))
    for _ in range(40):
        queue.push(work(client="quiet", act_by=0.0))
    rows = {"odd": 0, "quiet": 0}
    for _ in range(8):
        for one in next_batch(queue):
            rows[one.client] += one.rows
    assert abs(rows["odd"] - rows["quiet"]) <= MAX_ROWS


def test_a_request_is_not_passed_for_ever_by_those_of_its_client_that_are_in_a_hurry(work: WorkMaker):
    queue = WorkQueue(2)
    patient = work(client="ann", act_by=0.5)
    queue.push(patient)
    queue.push(work(client="bob", act_by=0.6))
    for at in range(20):
        queue.push(work(client="ann", act_by=0.7, deadline=3.0 + at))
    taken = next_batch(queue, rows=2) + next_batch(queue, rows=2)
    assert patient in taken


@settings(max_examples=200, deadline=None)
@given(
    requests=st.lists(
        st.tuples(st.sampled_from(["ann", "bob", "eve"]), st.integers(1, MAX_ROWS)), min_size=20, max_size=150
    ),
    rounds=st.integers(1, 15),
    late=st.booleans(),
)
def test_two_clients_that_both_wait_are_never_further_apart_than_a_request_of_each(requests, rounds, late):
    """The bound of start-time fair queueing, and one batch that a request may not have fitted into."""
    work = WorkMaker()
    queue = WorkQueue(MAX_ROWS)
    for name, rows in requests:
        queue.push(work([0.0] * rows, client=name, act_by=0.0 if late else 9.0))
    served: dict[str, int] = dict.fromkeys(("ann", "bob", "eve"), 0)
    for _ in range(rounds):
        if not len(queue):
            return
        for one in next_batch(queue):
            served[one.client] += one.rows
        waiting = {client.name for client in queue.clients(ONLINE).waiting()}
        counts = [served[name] for name in waiting]
        assert not counts or max(counts) - min(counts) <= 3 * MAX_ROWS


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 3), st.booleans()), min_size=50, max_size=400))
def test_bursts_gain_nothing_over_a_client_that_always_waits(steps):
    """Whoever comes and goes gets no more, while it waits, than who never leaves, but for the bound of each time."""
    work = WorkMaker()
    queue = WorkQueue(MAX_ROWS)
    served = {"steady": 0, "bursts": 0}
    for burst, rows, serve in steps:
        while _held(queue, "steady") < 2 * MAX_ROWS:
            queue.push(work(client="steady", act_by=0.0))
        for _ in range(burst):
            queue.push(work([0.0] * rows, client="bursts", act_by=0.0))
        if serve:
            for one in next_batch(queue):
                served[one.client] += one.rows
    assert served["bursts"] <= served["steady"] + 3 * MAX_ROWS


def test_clients_that_are_gone_are_forgotten(work: WorkMaker):
    queue = WorkQueue(MAX_ROWS)
    for at in range(5000):
        queue.push(work(client=f"client-{at}"))
        next_batch(queue)
    assert queue.clients(ONLINE).known < 200


def test_the_rows_ahead_of_a_request_are_those_that_go_before_it(work: WorkMaker):
    queue = WorkQueue(MAX_ROWS)
    for _ in range(1000):
        queue.push(work(client="noisy"))
    for _ in range(3):
        queue.push(work(client="other"))
    clients = queue.clients(ONLINE)
    assert clients.rows_ahead("noisy", 1) == 1003
    assert clients.rows_ahead("new", 1) == 2
    assert clients.rows_ahead("other", 1) == 3 + 4


def _held(queue: WorkQueue, name: str) -> int:
    client = queue.clients(ONLINE).find(name)
    return 0 if client is None else client.rows


@pytest.mark.parametrize("act_by", [9.0, 0.0], ids=["with time to wait", "without"])
def test_clients_that_come_once_and_never_together_are_not_kept(work: WorkMaker, act_by: float):
    queue = WorkQueue(MAX_ROWS)
    for number in range(2_000):
        queue.push(work(client=f"client {number}", act_by=act_by))
        next_batch(queue)
    assert sum(isinstance(one, Client) for one in gc.get_objects()) < 500
