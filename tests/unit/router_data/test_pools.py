"""Streams of frames to batchers that the test holds in its hand, and what becomes of requests when one is lost."""

from __future__ import annotations

import asyncio
import struct

import pytest
from headrace.batcher.v1 import batcher_pb2
from headrace_router.data.batchers import frames
from headrace_router.data.batchers.frames import Limits
from headrace_router.data.batchers.pools import Pools
from headrace_router.data.batchers.work import Attempt, Work
from headrace_servicekit.errors import DeadlineExceeded, InvalidArgument, ResourceExhausted, ServiceError, Unavailable
from headrace_servicekit.testing import eventually

from tests.kit.batcher.fake_batcher import FakeBatcher, echoing, held, refusing, silent
from tests.kit.router.digits import row
from tests.kit.router.garbage import instances, no_collection
from tests.kit.router.pools import connected, pools_of, submitted, work


async def test_what_is_ready_in_one_turn_travels_in_one_frame(batcher):
    async with pools_of(batcher) as pools:
        works = submitted(pools, 20)
        answers = await asyncio.gather(*(one.answer for one in works))
    assert {answer.code for answer in answers} == {0}
    assert [len(frame.requests) for frame in batcher.frames] == [20]


async def test_what_is_in_flight_is_counted_over_all_batchers(batcher, other):
    gate = asyncio.Event()
    batcher.behave = other.behave = held(gate)
    async with pools_of(batcher, other) as pools:
        works = submitted(pools, 5)
        assert pools.in_flight == 5
        works[0].answer.cancel()
        pools.withdraw(works[0])
        assert pools.in_flight == 4
        gate.set()
        await asyncio.gather(*(one.answer for one in works[1:]))
        assert pools.in_flight == 0


async def test_frames_are_bounded_in_requests_and_bytes(batcher):
    async with pools_of(batcher, limits=Limits(frame_requests=4, frame_bytes=1000)) as pools:
        works = submitted(pools, 10) + submitted(pools, 3, content=bytes(800))
        await asyncio.gather(*(one.answer for one in works))
    assert [len(frame.requests) for frame in batcher.frames] == [4, 4, 3, 1, 1]


async def test_answers_may_come_in_any_order(batcher):
    async def reversed_(fake, request):
        await asyncio.sleep(0.001 * (20 - request.id))
        return await echoing(fake, request)

    batcher.behave = reversed_
    async with pools_of(batcher) as pools:
        works = [work(content=row(number, 0, 0, 0)) for number in range(20)]
        pools.submit(works)
        answers = await asyncio.gather(*(one.answer for one in works))
    assert [struct.unpack("<f", answer.outputs[-4:])[0] for answer in answers] == list(range(20))


async def test_a_withdrawn_request_is_told_to_the_batcher_and_its_neighbours_are_answered(batcher):
    gate = asyncio.Event()
    batcher.behave = held(gate)
    async with pools_of(batcher) as pools:
        works = submitted(pools, 3)
        await eventually(lambda: len(batcher.requests) == 3)
        works[1].answer.cancel()
        pools.withdraw(works[1])
        await eventually(lambda: batcher.cancelled == [batcher.requests[1].id])
        gate.set()
        assert (await works[0].answer).code == (await works[2].answer).code == 0


async def test_a_request_withdrawn_before_its_frame_left_is_never_sent(batcher):
    async with pools_of(batcher) as pools:
        first, second = submitted(pools, 2)
        first.answer.cancel()
        pools.withdraw(first)
        await second.answer
    assert len(batcher.requests) == 1
    assert not batcher.cancelled


async def test_a_deadline_ends_the_wait_and_withdraws_the_request(batcher):
    batcher.behave = silent
    async with pools_of(batcher) as pools:
        (late,) = submitted(pools, seconds=0.1)
        started = asyncio.get_running_loop().time()
        with pytest.raises(DeadlineExceeded):
            await late.answer
        assert 0.09 < asyncio.get_running_loop().time() - started < 0.3
        await eventually(lambda: batcher.cancelled)


async def test_a_lost_streams_requests_are_answered_by_another_replica(batcher, other):
    batcher.behave = other.behave = silent
    async with pools_of(batcher, other) as pools:
        works = submitted(pools, 40)
        await eventually(lambda: len(batcher.requests) + len(other.requests) == 40)
        assert batcher.requests
        assert other.requests
        other.behave = echoing
        lost = len(batcher.requests)
        await batcher.die()
        answered = [one for one in works if one.attempts == 2]
        await eventually(lambda: sum(one.attempts == 2 for one in works) == lost)
        answered = [one for one in works if one.attempts == 2]
        assert {(await one.answer).code for one in answered} == {0}
        for one in works:
            pools.withdraw(one)


async def test_a_request_is_retried_once_and_then_refused_with_a_time_to_come_back(batcher, other):
    batcher.behave = other.behave = silent
    async with pools_of(batcher, other) as pools:
        (one,) = submitted(pools)
        await eventually(lambda: batcher.requests or other.requests)
        first, second = (batcher, other) if batcher.requests else (other, batcher)
        first.cut()
        await eventually(lambda: second.requests)
        await eventually(lambda: connected(pools) == 2)
        second.cut()
        with pytest.raises(Unavailable) as caught:
            await one.answer
    assert (caught.value.reason, caught.value.retry_after_s) == ("NO_BACKEND", 1.0)


async def test_retries_stay_within_their_budget(batcher, other):
    batcher.behave = other.behave = silent
    async with pools_of(batcher, other, limits=Limits(in_flight=10), share=0.0) as pools:
        pools.budget.spend()
        for _ in range(9):
            assert pools.budget.spend()
        works = submitted(pools, 4)
        await eventually(lambda: len(batcher.requests) + len(other.requests) == 4)
        batcher.cut()
        other.cut()
        outcomes = await asyncio.gather(*(one.answer for one in works), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [Unavailable] * 4
    assert pools.budget.refused >= 1


async def test_nobody_is_retried_whose_time_is_up(batcher, other):
    batcher.behave = other.behave = silent
    async with pools_of(batcher, other) as pools:
        (one,) = submitted(pools, seconds=0.15)
        await eventually(lambda: batcher.requests or other.requests)
        with pytest.raises(ServiceError) as caught:
            await one.answer
        (batcher if batcher.requests else other).cut()
    assert isinstance(caught.value, DeadlineExceeded)
    assert one.attempts == 1


@pytest.mark.parametrize("reason", ["NOT_LOADED", "MODEL_LOADING"])
async def test_a_version_that_is_not_loaded_is_tried_elsewhere(batcher, other, reason):
    batcher.behave = refusing(14, reason)
    async with pools_of(batcher, other) as pools:
        works = submitted(pools, 20)
        answers = await asyncio.gather(*(one.answer for one in works))
    assert {answer.code for answer in answers} == {0}


async def test_who_asks_everywhere_for_a_version_that_is_being_loaded_is_told_so(batcher, other):
    batcher.behave = other.behave = refusing(14, "MODEL_LOADING")
    async with pools_of(batcher, other) as pools:
        (one,) = submitted(pools)
        assert (await one.answer).reason == "MODEL_LOADING"
    assert len(batcher.requests) + len(other.requests) == 2


async def test_an_error_of_the_request_itself_is_not_tried_elsewhere(batcher, other):
    batcher.behave = other.behave = refusing(14, "BACKEND_CRASHED")
    async with pools_of(batcher, other) as pools:
        (one,) = submitted(pools)
        assert (await one.answer).reason == "BACKEND_CRASHED"
    assert len(batcher.requests) + len(other.requests) == 1


async def test_in_flight_requests_are_bounded_by_count_and_bytes(batcher):
    batcher.behave = silent
    async with pools_of(batcher, limits=Limits(in_flight=3)) as pools:
        works = submitted(pools, 4)
        with pytest.raises(ResourceExhausted) as caught:
            await works[3].answer
        assert caught.value.reason == "POOL_FULL"
        assert caught.value.retry_after_s is not None
    async with pools_of(batcher, limits=Limits(in_flight_bytes=40)) as pools:
        works = submitted(pools, 3)
        with pytest.raises(ResourceExhausted):
            await works[2].answer
        pools.withdraw(works[0])
        (again,) = submitted(pools)
        assert not again.answer.done()


async def test_an_input_that_a_batcher_quarantines_is_sent_to_no_batcher_again(batcher, other):
    batcher.behave = other.behave = refusing(3, "QUARANTINED_INPUT")
    async with pools_of(batcher, other) as pools:
        (first,) = submitted(pools)
        assert (await first.answer).reason == "QUARANTINED_INPUT"
        batcher.behave = other.behave = echoing
        (again,) = submitted(pools)
        with pytest.raises(InvalidArgument) as caught:
            await again.answer
        assert caught.value.reason == "QUARANTINED_INPUT"
        (fine,) = submitted(pools, content=row(1, 2, 3, 5))
        assert (await fine.answer).code == 0
    assert len(batcher.requests) + len(other.requests) == 2


async def test_a_client_that_sends_more_than_may_be_in_flight_does_not_shut_out_others(batcher):
    batcher.behave = silent
    async with pools_of(batcher, limits=Limits(in_flight=90)) as pools:
        noisy = submitted(pools, 900, client="noisy")
        refused = [one for one in noisy if one.answer.done()]
        assert 80 <= len(noisy) - len(refused) <= 81
        assert {type(one.answer.exception()) for one in refused} == {ResourceExhausted}
        quiet = submitted(pools, 8, client="quiet")
        await eventually(lambda: sum(one.client == "quiet" for one in batcher.requests) == 8)
        assert not any(one.answer.done() for one in quiet)


async def test_the_class_of_a_request_reaches_the_batcher(batcher):
    async with pools_of(batcher) as pools:
        works = [*submitted(pools), *submitted(pools, priority=batcher_pb2.InferRequest.PRIORITY_BATCH)]
        await asyncio.gather(*(one.answer for one in works))
    assert [one.priority for one in batcher.requests] == [
        batcher_pb2.InferRequest.PRIORITY_ONLINE,
        batcher_pb2.InferRequest.PRIORITY_BATCH,
    ]


async def test_copies_that_a_shadow_does_not_answer_hold_no_request_up(batcher):
    batcher.behave = silent
    async with pools_of(batcher) as pools:
        (replica,) = pools.replicas["default"]
        copies = submitted(pools, 50, priority=batcher_pb2.InferRequest.PRIORITY_SHADOW)
        await eventually(lambda: len(batcher.requests) == 50)
        assert (replica.in_flight, replica.gathers, replica.rows_in_flight) == (50, False, 0)
        requests = submitted(pools, 10)
        await eventually(lambda: len(batcher.requests) == 60)
        assert (replica.gathers, replica.rows_in_flight) == (True, 10)
        for one in (*copies, *requests):
            one.answer.cancel()
            pools.withdraw(one)
        assert (replica.in_flight, replica.gathers, replica.rows_in_flight) == (0, False, 0)


async def test_a_frame_waits_for_others_no_longer_than_those_before_await_their_answers(batcher, monkeypatch):
    monkeypatch.setattr(frames, "GATHER_S", 60.0)
    gate = asyncio.Event()
    batcher.behave = held(gate)
    async with pools_of(batcher) as pools:
        submitted(pools, 8)
        await eventually(lambda: len(batcher.requests) == 8)
        (late,) = submitted(pools)
        gate.set()
        async with asyncio.timeout(10):
            await late.answer
    assert [len(frame.requests) for frame in batcher.frames] == [8, 1]


async def _is_answered(pools: Pools, _batcher: FakeBatcher) -> None:
    (one,) = submitted(pools)
    await asyncio.wait([one.answer])


async def _is_refused(pools: Pools, batcher: FakeBatcher) -> None:
    batcher.behave = refusing(8, "QUEUE_FULL")
    await _is_answered(pools, batcher)


async def _runs_out_of_time(pools: Pools, batcher: FakeBatcher) -> None:
    batcher.behave = silent
    (one,) = submitted(pools, seconds=0.05)
    await asyncio.wait([one.answer])


async def _is_withdrawn(pools: Pools, batcher: FakeBatcher) -> None:
    batcher.behave = silent
    (one,) = submitted(pools)
    await eventually(lambda: batcher.requests)
    one.answer.cancel()
    pools.withdraw(one)


@pytest.mark.parametrize("ends", [_is_answered, _is_refused, _runs_out_of_time, _is_withdrawn])
async def test_requests_that_are_over_and_their_attempts_do_not_keep_each_other(batcher, ends):
    async with pools_of(batcher) as pools:
        with no_collection():
            for _ in range(3):
                await ends(pools, batcher)
            # Whoever reads the frames has the last one in its hand.
            await eventually(lambda: all(count <= 1 for count in instances(Work, Attempt).values()), every=0.1)
