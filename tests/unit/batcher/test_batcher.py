"""The loop settles every waiter on its own: mates of the cancelled, the late and the split."""

import asyncio
import math
import time

import pytest
from headrace_batcher.decisions.answers import BACKEND_LOST, Answer
from headrace_servicekit.testing import eventually

from tests.kit.batcher.scripted_backend import Doubling, WorkMaker, executing, serving, settled, submit


async def test_what_comes_in_one_turn_shares_an_execution(backend: Doubling, work: WorkMaker):
    async with serving(backend) as batcher:
        first, second = submit(batcher, work, [1.0], [2.0, 3.0])
        await settled(work, first, second)
    assert backend.executed == [[1.0, 2.0, 3.0]]
    assert (work.sink.rows(first), work.sink.rows(second)) == ([2.0], [4.0, 6.0])


async def test_while_the_backend_is_busy_one_batch_is_formed_and_no_more_than_one_sent_ahead(
    backend: Doubling, work: WorkMaker
):
    backend.gate.clear()
    async with serving(backend) as batcher:
        works = submit(batcher, work, [1.0])
        await executing(backend, 1)
        works += submit(batcher, work, [2.0], [3.0], [4.0])
        await asyncio.sleep(0.02)
        assert len(backend.executed) == 1
        works += submit(batcher, work, [5.0], [6.0])
        await executing(backend, 2)
        works += submit(batcher, work, [7.0], [8.0], [9.0])
        await asyncio.sleep(0.02)
        assert backend.executed == [[1.0], [2.0, 3.0, 4.0, 5.0]]
        backend.gate.set()
        await settled(work, *works)
    assert backend.executed[2:] == [[6.0, 7.0, 8.0, 9.0]]


async def test_a_used_up_wait_sends_what_there_is(backend: Doubling, work: WorkMaker):
    backend.gate.clear()
    async with serving(backend) as batcher:
        submit(batcher, work, [1.0])
        await executing(backend, 1)
        submit(batcher, work, [2.0], max_wait_s=0.005)
        await executing(backend, 2)
    assert backend.executed == [[1.0], [2.0]]


async def test_what_was_sent_ahead_waited_until_the_execution_before_it_ended(backend: Doubling, work: WorkMaker):
    backend.gate.clear()
    async with serving(backend) as batcher:
        first = submit(batcher, work, [1.0])
        await executing(backend, 1)
        ahead = submit(batcher, work, [2.0], max_wait_s=0.0)
        await executing(backend, 2)
        gone_s = 0.05
        opened_at = time.monotonic() + gone_s
        await eventually(lambda: time.monotonic() >= opened_at)
        backend.gate.set()
        await settled(work, *first, *ahead)
    answers = [work.sink.outcomes[one.id] for one in (*first, *ahead)]
    assert isinstance(answers[0], Answer) and isinstance(answers[1], Answer)  # noqa: PT018
    assert answers[0].compute_s >= gone_s
    assert answers[1].queue_s >= gone_s
    # What one row takes was learnt from the first alone: twice as much would be refused from now on.
    assert batcher.service_times.estimate(1, time.monotonic()) < 2 * answers[0].compute_s


async def test_a_cancelled_caller_does_not_delay_the_rest_of_its_batch(backend: Doubling, work: WorkMaker):
    backend.gate.clear()
    async with serving(backend) as batcher:
        gone, stays = submit(batcher, work, [1.0], [2.0])
        await executing(backend, 1)
        batcher.cancel(gone)
        backend.gate.set()
        await settled(work, stays)
    assert work.sink.rows(stays) == [4.0]
    assert gone.id not in work.sink.outcomes
    assert batcher.counters.cancelled == 1


async def test_a_request_cancelled_while_it_waits_is_absent_from_its_batch(backend: Doubling, work: WorkMaker):
    backend.gate.clear()
    async with serving(backend) as batcher:
        (busy,) = submit(batcher, work, [1.0])
        await executing(backend, 1)
        gone, stays = submit(batcher, work, [2.0], [3.0])
        batcher.cancel(gone)
        backend.gate.set()
        await settled(work, busy, stays)
    assert backend.executed == [[1.0], [3.0]]
    assert (batcher.counters.cancelled, batcher.rows) == (1, 0)


async def test_what_is_larger_than_a_batch_gets_one_answer_in_order(backend: Doubling, work: WorkMaker):
    async with serving(backend) as batcher:
        (large,) = submit(batcher, work, [float(at) for at in range(10)])
        await settled(work, large)
    assert [len(values) for values in backend.executed] == [4, 4, 2]
    assert work.sink.rows(large) == [at * 2.0 for at in range(10)]
    answer = work.sink.outcomes[large.id]
    assert isinstance(answer, Answer)
    assert (answer.batch_rows, answer.batch_requests) == (4, 1)


async def test_requests_are_counted_and_not_their_pieces(backend: Doubling, work: WorkMaker):
    async with serving(backend) as batcher:
        works = submit(batcher, work, [1.0] * 10, [2.0])
        await settled(work, *works)
        (fails,) = submit(batcher, work, [1.0] * 10 + [math.nan])
        await settled(work, fails)
    assert (batcher.counters.answered, batcher.counters.failed.total()) == (2, 1)


async def test_a_split_request_fails_once_and_executes_no_further(backend: Doubling, work: WorkMaker):
    backend.gate.clear()
    async with serving(backend) as batcher:
        (large,) = submit(batcher, work, [math.nan, *([0.0] * 19)])
        (mate,) = submit(batcher, work, [1.0])
        await executing(backend, 1)
        await eventually(lambda: large.id in work.sink.outcomes)
        backend.gate.set()
        await settled(work, mate)
    assert work.sink.reason(large) == "NAN_NOT_ALLOWED"
    assert sum(len(values) for values in backend.executed) <= 5


async def test_a_cancelled_split_request_leaves_nothing_behind(backend: Doubling, work: WorkMaker):
    backend.gate.clear()
    async with serving(backend) as batcher:
        (large,) = submit(batcher, work, [1.0] * 20)
        await executing(backend, 2)
        batcher.cancel(large)
        backend.gate.set()
        await eventually(lambda: batcher.rows == 0)
    assert len(backend.executed) == 2
    assert work.sink.outcomes == {}
    assert batcher.counters.cancelled == 1


@pytest.mark.parametrize("rows", [1, 20], ids=["in one batch", "in pieces"])
async def test_an_expired_request_is_told_while_the_backend_is_busy_and_never_executed(
    backend: Doubling, work: WorkMaker, rows: int
):
    backend.gate.clear()
    async with serving(backend) as batcher:
        (busy,) = submit(batcher, work, [1.0])
        await executing(backend, 1)
        (ahead,) = submit(batcher, work, [2.0], max_wait_s=0.0)
        await executing(backend, 2)
        (late,) = submit(batcher, work, [3.0] * rows, deadline=time.monotonic() + 0.01)
        await settled(work, late)
        assert work.sink.reason(late) == "DEADLINE_PASSED"
        backend.gate.set()
        await settled(work, busy, ahead)
    assert backend.executed == [[1.0], [2.0]]
    assert batcher.counters.expired == 1


async def test_refusing_settles_who_waits_and_who_comes_until_it_is_lifted(backend: Doubling, work: WorkMaker):
    backend.gate.clear()
    async with serving(backend) as batcher:
        (executed,) = submit(batcher, work, [1.0])
        await executing(backend, 1)
        (waits,) = submit(batcher, work, [2.0])
        batcher.refuse(BACKEND_LOST)
        (comes,) = submit(batcher, work, [3.0])
        assert [work.sink.reason(one) for one in (executed, waits, comes)] == ["none yet", "NO_BACKEND", "NO_BACKEND"]
        backend.gate.set()
        batcher.accept()
        (again,) = submit(batcher, work, [4.0])
        await settled(work, executed, again)
    assert work.sink.rows(again) == [8.0]


async def test_a_stopped_loop_leaves_nobody_waiting(backend: Doubling, work: WorkMaker):
    backend.gate.clear()
    async with serving(backend) as batcher:
        (executed,) = submit(batcher, work, [1.0])
        await executing(backend, 1)
        (waits,) = submit(batcher, work, [2.0])
        (large,) = submit(batcher, work, [3.0] * 20)
    (comes,) = submit(batcher, work, [4.0])
    assert {work.sink.reason(one) for one in (executed, waits, large, comes)} == {"STOPPING"}
