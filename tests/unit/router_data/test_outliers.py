"""Replicas that fail, hang or are slow, between batchers that the test holds."""

from __future__ import annotations

import asyncio

from headrace_router.data.batchers.decisions.balance import FIRST_S, IN_A_ROW
from headrace_router.data.batchers.endpoints import LATE_S
from headrace_router.data.batchers.pools import Pools
from headrace_router.data.batchers.work import Work
from headrace_servicekit.testing import eventually, patience

from tests.kit.batcher.fake_batcher import Behaviour, FakeBatcher, after, echoing, held, refusing, silent
from tests.kit.router.digits import V1
from tests.kit.router.pools import number_of, one_by_one, pools_of, replica_of, submitted, where


def ejected(pools: Pools) -> list[str]:
    return [one.replica.address for one in pools.endpoints.of("default", V1.digest).ejected]


def sent_to(pools: Pools, batcher: FakeBatcher) -> list[Work]:
    """Submit requests until one went to a batcher, which a slow machine's measurements may take for the busier one."""
    while True:
        if there := [one for one in submitted(pools, 20, seconds=20.0) if where(one) == batcher.target]:
            return there


async def test_a_replica_that_fails_in_a_row_is_left_alone_and_then_tried_by_one_request(bad, good):
    bad.behave = refusing(13, "INTERNAL")
    async with pools_of(bad, good) as pools:
        while not ejected(pools):
            await one_by_one(pools, 1)
        assert ejected(pools) == [bad.target]
        assert len(bad.requests) == IN_A_ROW
        before = asyncio.get_running_loop().time()
        assert set(await one_by_one(pools, 50)) == {0}
        if asyncio.get_running_loop().time() - before < FIRST_S:
            assert len(bad.requests) == IN_A_ROW
        bad.behave = held(gate := asyncio.Event())

        async def tried() -> bool:
            submitted(pools)
            return len(bad.requests) > IN_A_ROW

        await eventually(tried, within=5)
        assert set(await one_by_one(pools, 20)) == {0}
        assert len(bad.requests) == IN_A_ROW + 1
        gate.set()
        await eventually(lambda: not ejected(pools) or pools.endpoints.ejections == 2)


async def test_the_request_that_tries_it_is_answered_by_another_one_when_it_fails_again(bad, good):
    bad.behave = refusing(14, "NO_BACKEND")
    async with pools_of(bad, good) as pools:
        while not ejected(pools):
            await one_by_one(pools, 1)
        codes = []
        while len(bad.requests) <= IN_A_ROW + 1:
            codes += await one_by_one(pools, 1)
        assert set(codes) == {0}
        assert ejected(pools) == [bad.target]


async def test_a_replica_that_is_well_again_gets_its_share(bad, good):
    bad.behave = refusing(14, "NO_BACKEND")
    async with pools_of(bad, good) as pools:
        while not ejected(pools):
            await one_by_one(pools, 1)
        bad.behave = echoing

        async def back() -> bool:
            await one_by_one(pools, 1)
            return not ejected(pools)

        await eventually(back, within=5)
        failed = len(bad.requests)
        await asyncio.gather(*(one.answer for one in submitted(pools, 40)))
        assert len(bad.requests) - failed > 5


async def test_when_all_fail_all_are_asked_and_the_ladder_hears_of_it(bad, good):
    bad.behave = good.behave = refusing(14, "BACKEND_CRASHED")
    async with pools_of(bad, good) as pools:
        await one_by_one(pools, 40)
        assert ejected(pools) == []
        assert pools.endpoints.of("default", V1.digest).failing
        assert pools.endpoints.needs_s("default", V1.digest) == float("inf")
        bad.behave = good.behave = echoing
        assert await one_by_one(pools, 5) == [0] * 5
        assert pools.endpoints.needs_s("default", V1.digest) < 1


async def test_one_version_that_fails_takes_no_other_from_a_replica(bad, good):
    async with pools_of(bad, good) as pools:
        replica_of(pools, bad).versions["other"] = 1
        replica_of(pools, good).versions["other"] = 1
        bad.behave = refusing(13, "INTERNAL")
        while not ejected(pools):
            await one_by_one(pools, 1)
        assert len(pools.endpoints.of("default", "other").usable) == 2


async def test_what_is_in_flight_at_a_replica_that_hangs_is_answered_by_another_one(bad, good):
    """Within 5 s, while the others answer."""
    async with pools_of(bad, good) as pools:
        await one_by_one(pools, 20)
        bad.behave = silent
        stuck = sent_to(pools, bad)
        numbers = {number_of(one) for one in stuck}
        started, others = asyncio.get_running_loop().time(), []
        while not all(one.answer.done() for one in stuck):
            others += submitted(pools, 1, seconds=20.0)  # not awaited: one may be stuck too
            await asyncio.sleep(0.02)
        assert asyncio.get_running_loop().time() - started < patience(5.0)
        await asyncio.gather(*(one.answer for one in others))
        assert {(await one.answer).code for one in stuck} == {0}
        assert ejected(pools) == [bad.target]
        await eventually(lambda: set(bad.cancelled) >= numbers)


async def test_a_replica_whose_requests_wait_keeps_them_for_as_long_as_it_tells_its_load(bad, good):
    async with pools_of(bad, good) as pools:
        await one_by_one(pools, 20)
        bad.behave = silent
        waiting = sent_to(pools, bad)
        await eventually(lambda: {number_of(one) for one in waiting} <= {request.id for request in bad.requests})
        replica, other = replica_of(pools, bad), replica_of(pools, good)
        before = replica.load_seen
        bad.tell_load()
        await eventually(lambda: replica.load_seen > before)
        other.load_seen = replica.load_seen + 1.0
        assert not pools.endpoints.unanswered(replica, replica.load_seen + 1.9)
        assert pools.endpoints.unanswered(replica, replica.load_seen + 2.1)
    await asyncio.gather(*(one.answer for one in waiting), return_exceptions=True)


async def test_what_was_in_flight_when_its_version_went_stays_where_it_is_tried_alone(bad, good):
    """It may be why the version is gone; the batcher loads it again, which may take long, and tries it."""
    async with pools_of(bad, good) as pools:
        await one_by_one(pools, 20)
        bad.behave = silent
        suspects = sent_to(pools, bad)
        await eventually(lambda: {number_of(one) for one in suspects} <= {request.id for request in bad.requests})
        replica, sent = replica_of(pools, bad), len(good.requests)
        for ready in (False, True):
            bad.announce(V1, ready=ready)
            await eventually(lambda ready=ready: replica.serves(V1.digest) is ready)
            replica.load_seen = 0.0  # and nothing else
            assert not pools.endpoints.unanswered(replica, asyncio.get_running_loop().time() + 10.0)
        assert not pools.endpoints.ejections
        assert len(good.requests) == sent
        assert not any(one.answer.done() for one in suspects)


async def test_an_only_replica_that_hangs_keeps_its_requests(bad):
    bad.behave = silent
    async with pools_of(bad) as pools:
        (one,) = submitted(pools, seconds=20.0)
        pools.endpoints.of("default", V1.digest).latency.add(0.001, 0.0, 1.0)
        await asyncio.sleep(2.6)  # no event tells that nothing happens
        assert not one.answer.done()
        assert not pools.endpoints.ejections


async def test_a_slow_replica_gets_less(bad, good):
    bad.behave = after(0.05)
    async with pools_of(bad, good) as pools:
        await one_by_one(pools, 100)
    assert len(bad.requests) < 20


def serving_all_but(client: str) -> Behaviour:
    async def behave(batcher, request):
        return None if request.client == client else await echoing(batcher, request)

    return behave


async def test_requests_that_expire_behind_others_of_their_client_are_no_fault_of_the_batchers(bad, good):
    bad.behave = good.behave = serving_all_but("noisy")
    async with pools_of(bad, good) as pools:
        await one_by_one(pools, 10, client="calm")
        noisy = submitted(pools, 200, client="noisy", seconds=LATE_S + 0.1)
        while not all(one.answer.done() for one in noisy):
            assert set(await one_by_one(pools, 10, client="calm")) == {0}
        assert {type(one.answer.exception()).__name__ for one in noisy} == {"DeadlineExceeded"}
        assert pools.endpoints.ejections == 0
        # Nor are others' requests given fallbacks for it.
        assert pools.endpoints.of("default", V1.digest).latency.needs_s() < LATE_S


async def test_a_replica_that_answers_nobody_before_their_deadlines_is_left_alone(bad, good):
    bad.behave = silent
    async with pools_of(bad, good) as pools:

        async def left_alone() -> bool:
            works = submitted(pools, 20, seconds=LATE_S + 0.1)
            await asyncio.gather(*(one.answer for one in works), return_exceptions=True)
            return ejected(pools) == [bad.target]

        await eventually(left_alone, within=60)
