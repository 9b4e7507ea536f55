"""Who gives way when more waits than may: bulk to callers, the noisy client to the quiet one."""

import time

from headrace_batcher.decisions.answers import Failure
from headrace_batcher.decisions.policy import Limits
from headrace_batcher.decisions.work import BATCH, SHADOW

from tests.kit.batcher.scripted_backend import Doubling, WorkMaker, executing, serving, settled, submit


async def test_bulk_fills_half_of_the_queue_and_does_not_delay_or_shut_out_callers(backend: Doubling, work: WorkMaker):
    backend.gate.clear()
    async with serving(backend, Limits(max_rows=4, max_wait_s=60.0, max_queue_rows=40)) as batcher:
        for at in (1, 2):
            submit(batcher, work, [0.0] * 4)
            await executing(backend, at)
        bulk = submit(batcher, work, *([1.0] for _ in range(30)), priority=BATCH)
        assert [work.sink.reason(one) for one in bulk].count("QUEUE_FULL") == 10
        batcher.service_times.observe(4, 1.0, time.monotonic())
        in_time = time.monotonic() + 3.5
        (online,) = submit(batcher, work, [2.0], deadline=in_time)
        (more_bulk,) = submit(batcher, work, [3.0], deadline=in_time, priority=BATCH)
        (shadow,) = submit(batcher, work, [3.0], priority=SHADOW)
        assert [work.sink.reason(one) for one in (online, more_bulk, shadow)] == ["none yet", "QUEUE_FULL", "none yet"]
        assert [work.sink.reason(one) for one in bulk].count("QUEUE_FULL") == 11
        backend.gate.set()
        await settled(work, online, shadow, *bulk)
    assert backend.executed[2][:2] == [2.0, 3.0]


async def test_bulk_that_could_never_wait_is_not_told_to_come_again(backend: Doubling, work: WorkMaker):
    async with serving(backend, Limits(max_rows=4, max_queue_rows=40)) as batcher:
        fits, never = submit(batcher, work, [0.0] * 20, [0.0] * 21, priority=BATCH)
        await settled(work, fits, never)
    refused = work.sink.outcomes[never.id]
    assert isinstance(refused, Failure)
    assert (work.sink.reason(fits), refused.reason, refused.retry_after_s) == ("OK", "TOO_MANY_ROWS", 0.0)


async def test_bulk_waits_for_nobody_when_no_caller_was_there(backend: Doubling, work: WorkMaker):
    backend.gate.clear()
    async with serving(backend) as batcher:
        bulk = submit(batcher, work, *([float(at)] for at in range(12)), priority=BATCH)
        await executing(backend, 2)
        assert [len(values) for values in backend.executed] == [4, 4]
        backend.gate.set()
        await settled(work, *bulk)


async def test_the_noisy_client_is_refused_and_gives_its_place_to_the_quiet_one(backend: Doubling, work: WorkMaker):
    backend.gate.clear()
    async with serving(backend, Limits(max_rows=4, max_wait_s=60.0, max_queue_rows=16)) as batcher:
        for at in (1, 2):
            submit(batcher, work, [0.0] * 4, client="noisy")
            await executing(backend, at)
        noisy = submit(batcher, work, [1.0] * 7, *([1.0] for _ in range(20)), client="noisy")
        quiet = submit(batcher, work, *([2.0] for _ in range(4)), client="quiet")
        outcomes = [work.sink.outcomes[one.id] for one in noisy if work.sink.reason(one) != "none yet"]
        assert len(outcomes) == 11 + 4
        assert all(
            isinstance(one, Failure) and one.reason == "QUEUE_FULL" and one.retry_after_s > 0 for one in outcomes
        )
        assert batcher.counters.shed["QUEUE_FULL"] == 15
        backend.gate.set()
        await settled(work, *noisy, *quiet)
    assert {work.sink.reason(one) for one in quiet} == {"OK"}
    assert sum(values.count(2.0) for values in backend.executed[2:4]) >= 3


async def test_a_split_request_of_which_a_piece_has_to_go_fails_as_a_whole(backend: Doubling, work: WorkMaker):
    backend.gate.clear()
    async with serving(backend, Limits(max_rows=4, max_wait_s=60.0, max_queue_rows=16)) as batcher:
        for at in (1, 2):
            submit(batcher, work, [0.0] * 4, client="noisy")
            await executing(backend, at)
        (large,) = submit(batcher, work, [1.0] * 16, client="noisy")
        (quiet,) = submit(batcher, work, [2.0], client="quiet")
        assert (work.sink.reason(large), batcher.counters.shed["QUEUE_FULL"]) == ("QUEUE_FULL", 1)
        backend.gate.set()
        await settled(work, quiet)
    assert backend.executed[2:] == [[2.0]]
