"""The queue keeps its order, its counts and its bounds, whatever is done to it in whatever order."""

import math
from collections.abc import Callable

import pytest
from headrace_batcher.decisions.policy import TIMER_GRAIN_S, Cut, Group
from headrace_batcher.decisions.priority import SHARE
from headrace_batcher.decisions.queue import WorkQueue
from headrace_batcher.decisions.work import BATCH, DONE, ONLINE, QUEUED, SHADOW, TAKEN, Work
from headrace_runtime.shapes import FIXED, ShapeKey
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.kit.batcher.scripted_backend import WorkMaker

MAX_ROWS = 32
OTHER = ShapeKey((), (7,))


def everything(_online_rows: int) -> int:
    """Let all classes share a batch."""
    return MAX_ROWS


def take(queue: WorkQueue, rows: int = MAX_ROWS, key: ShapeKey = FIXED) -> list[Work]:
    return queue.take(Cut(Group(key, rows), rows, "test"), everything)


def next_batch(queue: WorkQueue, rows: int, now: float, room_beside: Callable[[int], int] = int) -> list[Work]:
    """Take what the queue shows as urgent."""
    urgent = queue.snapshot(now).urgent
    assert urgent is not None
    return queue.take(Cut(urgent, min(rows, urgent.rows), "test"), room_beside)


def test_classes_go_before_deadlines_and_deadlines_before_arrival(work: WorkMaker):
    queue = WorkQueue(MAX_ROWS)
    bulk = work(priority=BATCH, deadline=1.0)
    shadow = work(priority=SHADOW, deadline=2.0)
    late, first, second, soon = work(), work(deadline=9.0), work(deadline=9.0), work(deadline=3.0)
    for one in (bulk, shadow, late, first, second, soon):
        queue.push(one)
    assert take(queue) == [soon, first, second, late, shadow, bulk]


def test_when_a_caller_came_last_is_not_moved_by_bulk(work: WorkMaker):
    queue = WorkQueue(MAX_ROWS)
    queue.push(work(arrived=5.0))
    queue.push(work(arrived=6.0, priority=BATCH))
    assert queue.callers.at == 5.0


def test_a_request_that_does_not_fit_goes_first_into_the_next_batch(work: WorkMaker):
    queue = WorkQueue(MAX_ROWS)
    seven, thirty, one = work([0.0] * 7), work([0.0] * 30), work()
    for item in (seven, thirty, one):
        queue.push(item)
    assert take(queue) == [seven, one]
    assert take(queue) == [thirty]


def test_a_request_larger_than_asked_for_goes_alone(work: WorkMaker):
    queue = WorkQueue(MAX_ROWS)
    queue.push(large := work([0.0] * 17))
    assert take(queue, rows=16) == [large]


def test_shapes_are_kept_apart(work: WorkMaker):
    queue = WorkQueue(MAX_ROWS)
    one, other = work(), work(key=OTHER)
    queue.push(one)
    queue.push(other)
    assert take(queue, key=OTHER) == [other]
    assert take(queue) == [one]


def test_the_policy_sees_who_is_urgent_who_is_overdue_and_what_is_full(work: WorkMaker):
    queue = WorkQueue(4)
    for item in (work(act_by=5.0), work([0.0] * 4, act_by=9.0, key=OTHER)):
        queue.push(item)
    seen = queue.snapshot(1.0)
    assert seen.urgent is not None
    assert (seen.urgent.key, seen.overdue, seen.next_act_by) == (FIXED, None, 5.0)
    assert seen.full is not None
    assert seen.full.key == OTHER
    overdue = queue.snapshot(5.0).overdue
    assert overdue is not None
    assert overdue.key == FIXED


def test_a_request_whose_wait_is_used_up_is_not_passed_by_earlier_deadlines(work: WorkMaker):
    queue = WorkQueue(2)
    patient = work(act_by=1.0)
    queue.push(patient)
    for _ in range(4):
        queue.push(work(act_by=2.0, deadline=3.0))
    assert next_batch(queue, 2, 2.5)[0] is patient


def test_a_lower_class_waits_while_the_higher_keeps_coming_but_not_for_ever(work: WorkMaker):
    queue = WorkQueue(2)
    bulk = [work(priority=BATCH, act_by=0.0), work(priority=BATCH, act_by=0.1)]
    for one in bulk:
        queue.push(one)
    batches = []
    for at in range(round(2.2 / SHARE / 2)):
        queue.push(work(act_by=at * 0.01))
        queue.push(work(act_by=at * 0.01))
        batches.append(next_batch(queue, 2, at * 0.01))
    turns = [at for at, batch in enumerate(batches) for one in batch if one.priority == BATCH]
    assert [one for batch in batches for one in batch if one.priority == BATCH] == bulk
    assert turns == pytest.approx([0.5 / SHARE, 1.0 / SHARE], abs=2)


def test_others_ride_beside_online_requests_only_as_far_as_there_is_room_for_them(work: WorkMaker):
    queue = WorkQueue(MAX_ROWS)
    online, shadow, bulk = [work(), work()], work([0.0] * 3, priority=SHADOW), work([0.0] * 3, priority=BATCH)
    for one in (bulk, *online, shadow):
        queue.push(one)
    assert next_batch(queue, MAX_ROWS, 0.0, room_beside=lambda online_rows: online_rows + 3) == [*online, shadow]
    assert next_batch(queue, MAX_ROWS, 0.0) == [bulk]


def test_a_request_of_a_lower_class_that_is_owed_its_turn_goes_alone_when_it_fits_nobody(work: WorkMaker):
    queue = WorkQueue(4)
    bulk = [work(priority=BATCH, key=OTHER, act_by=0.0) for _ in range(3)]
    for one in bulk:
        queue.push(one)
    batches = []
    for _ in range(round(1.1 / SHARE)):
        queue.push(work(act_by=0.0))
        batches.append(next_batch(queue, 4, 1.0))
    assert [batch for batch in batches if batch[0].priority == BATCH] == [bulk[:1]]


def test_what_is_owed_is_shown_with_the_rows_of_callers_that_it_may_share_a_batch_with(work: WorkMaker):
    queue = WorkQueue(4)
    queue.push(bulk := work(priority=BATCH, act_by=0.0))
    shown = None
    while shown is None or shown.first is not bulk:
        queue.push(work(act_by=0.0))
        shown = queue.snapshot(1.0).urgent
        assert shown is not None
        if shown.first is not bulk:
            queue.take(Cut(shown, 1, "test"), int)
    assert shown.rows == 2


def test_the_last_row_of_a_batch_is_taken_too(work: WorkMaker):
    queue = WorkQueue(4)
    queue.push(first := work([0.0] * 3, act_by=0.0))
    queue.push(one := work(deadline=3.0, act_by=9.0))
    assert next_batch(queue, 4, 1.0) == [first, one]


@pytest.mark.parametrize("priority", [ONLINE, BATCH])
def test_expired_requests_are_found_in_every_class(work: WorkMaker, priority):
    queue = WorkQueue(MAX_ROWS)
    expired, alive = work(deadline=1.0, priority=priority), work(deadline=2.0, priority=priority)
    queue.push(alive)
    queue.push(expired)
    assert queue.next_deadline() == 1.0
    assert queue.expire(1.5) == [expired]
    assert (len(queue), queue.next_deadline()) == (1, 2.0)


class QueueMachine(RuleBasedStateMachine):
    """Pushes, takes, removes and expires at random; a plain list says what must be in the queue."""

    def __init__(self) -> None:
        super().__init__()
        self.make = WorkMaker()
        self.queue = WorkQueue(MAX_ROWS)
        self.inside: list[Work] = []
        self.now = 0.0

    @rule(
        rows=st.integers(1, MAX_ROWS),
        priority=st.sampled_from([ONLINE, SHADOW, BATCH]),
        left=st.one_of(st.none(), st.floats(0.0, 3.0)),
        wait=st.floats(0.0, 1.0),
        key=st.sampled_from([FIXED, OTHER]),
        client=st.sampled_from(["ann", "bob", "eve"]),
    )
    def push(self, rows, priority, left, wait, key, client):
        one = self.make(
            [0.0] * rows,
            arrived=self.now,
            act_by=self.now + wait,
            deadline=math.inf if left is None else self.now + left,
            priority=priority,
            key=key,
            client=client,
        )
        self.queue.push(one)
        self.inside.append(one)

    @rule(seconds=st.floats(0.0, 2.0))
    def pass_time(self, seconds):
        self.now += seconds

    @rule(
        rows=st.integers(1, MAX_ROWS),
        which=st.sampled_from(["urgent", "overdue", "full"]),
        beside=st.integers(0, MAX_ROWS),
    )
    def take(self, rows, which, beside):
        seen = self.queue.snapshot(self.now)
        group = getattr(seen, which)
        if group is None:
            return
        leading = min(one.priority for one in self.inside)
        mates = [one for one in self.inside if one.key == group.key]
        assert group.rows <= sum(one.rows for one in mates)
        batch = self.queue.take(Cut(group, rows, "test"), lambda online_rows: min(MAX_ROWS, online_rows + beside))
        assert batch, "a group that is shown has somebody to take"
        assert {one.key for one in batch} == {group.key}
        assert len(batch) == 1 or sum(one.rows for one in batch) <= MAX_ROWS
        assert all(one.state is TAKEN for one in batch)
        if group.first is not None:
            assert batch[0] is group.first
        else:
            assert batch[0].priority == leading
        online_rows = sum(one.rows for one in batch if one.priority == ONLINE)
        if online_rows and batch[0].priority == ONLINE:
            assert sum(one.rows for one in batch) <= max(rows, online_rows + beside, batch[0].rows)
        for one in batch:
            self.inside.remove(one)

    @rule(data=st.data())
    def cancel(self, data):
        if self.inside:
            one = data.draw(st.sampled_from(self.inside))
            self.queue.remove(one)
            one.state = DONE
            self.inside.remove(one)

    @rule()
    def expire(self):
        expired = self.queue.expire(self.now)
        assert sorted(map(id, expired)) == sorted(id(one) for one in self.inside if one.deadline <= self.now)
        self.inside = [one for one in self.inside if one.deadline > self.now]

    @rule()
    def clear(self):
        assert sorted(map(id, self.queue.clear())) == sorted(map(id, self.inside))
        self.inside = []

    @invariant()
    def counts_are_those_of_what_is_inside(self):
        assert len(self.queue) == len(self.inside)
        assert self.queue.rows == sum(one.rows for one in self.inside)
        for priority in (ONLINE, SHADOW, BATCH):
            same = [one for one in self.inside if one.priority == priority]
            assert self.queue.priority_rows(priority) == sum(one.rows for one in same)
            held = {client.name: (client.rows, client.size_bytes) for client in self.queue.clients(priority).waiting()}
            assert held == {
                name: (
                    sum(one.rows for one in same if one.client == name),
                    sum(one.size_bytes for one in same if one.client == name),
                )
                for name in {one.client for one in same}
            }
        assert self.queue.size_bytes == sum(one.size_bytes for one in self.inside)
        assert all(one.state is QUEUED for one in self.inside)

    @invariant()
    def somebody_is_shown_while_somebody_waits(self):
        seen = self.queue.snapshot(self.now)
        assert (seen.urgent is None) == (not self.inside)
        if seen.urgent is not None:
            leading = min(one.priority for one in self.inside)
            first = min(one.act_by for one in self.inside if one.priority == leading)
            assert seen.next_act_by in (first, self.now + TIMER_GRAIN_S)  # the second when somebody is owed a turn
        assert self.queue.next_deadline() == min((one.deadline for one in self.inside), default=math.inf)


TestQueueMachine = QueueMachine.TestCase
TestQueueMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_what_left_another_way_does_not_pile_up(work: WorkMaker):
    queue = WorkQueue(MAX_ROWS)
    for _ in range(20_000):
        queue.push(work(deadline=1e9))
        take(queue)
    assert len(queue) == 0
    assert queue.entries < 1_000
