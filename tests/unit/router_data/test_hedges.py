"""Requests that are sent twice, between batchers that the test holds: the first answer counts."""

from __future__ import annotations

import asyncio

import pytest
from headrace_router.data.batchers.pools import Pools
from headrace_router.data.batchers.work import Work
from headrace_router.data.tables.decisions.fallback_steps import Hedge
from headrace_servicekit.testing import eventually

from tests.kit.batcher.fake_batcher import FakeBatcher, after, echoing, held, refusing, silent
from tests.kit.router.digits import V1
from tests.kit.router.pools import connected, number_of, one_by_one, pools_of, submitted, where, work


def hedged(pools: Pools, count: int = 1, delay_s: float | None = 0.02) -> list[Work]:
    works = [work() for _ in range(count)]
    for one in works:
        one.hedged = Hedge(delay_s)
    pools.submit(works)
    return works


async def saved_up(pools: Pools, batchers: list[FakeBatcher], requests: int = 40) -> None:
    """Earn the right to hedge by requests that need none."""
    await asyncio.gather(*(one.answer for one in hedged(pools, requests, delay_s=5.0)))
    for batcher in batchers:
        batcher.requests.clear()


async def test_a_late_request_is_sent_to_a_second_replica_and_the_first_answer_counts(bad, good):
    async with pools_of(bad, good) as pools:
        await saved_up(pools, [bad, good])
        bad.behave = held(gate := asyncio.Event())
        good.behave = echoing
        late = None
        sent = number = 0
        while late is None:
            sent = pools.hedges.sent  # on a busy machine the good one may have been late as well
            (one,) = hedged(pools)
            late, number = (one if where(one) == bad.target else None), number_of(one)
            await one.answer
        assert late.attempts == 2
        assert pools.hedges.sent == sent + 1
        await eventually(lambda: number in bad.cancelled)
        gate.set()
        assert set(await one_by_one(pools, 5)) == {0}


async def test_a_hedge_that_fails_leaves_the_request_where_it_is(bad, good):
    async with pools_of(bad, good) as pools:
        await saved_up(pools, [bad, good])
        gate = asyncio.Event()
        first: list[FakeBatcher] = []

        async def first_waits(batcher, request):
            first.append(batcher)
            if batcher is first[0]:
                await gate.wait()
                return await echoing(batcher, request)
            return await refusing(14, "NO_BACKEND")(batcher, request)

        bad.behave = good.behave = first_waits
        (one,) = hedged(pools)
        await eventually(lambda: len(first) == 2)
        assert not one.answer.done()
        gate.set()
        assert (await one.answer).code == 0


async def test_without_a_second_replica_nothing_is_hedged(bad):
    async with pools_of(bad) as pools:
        await saved_up(pools, [bad])
        bad.behave = after(0.1)
        assert (await hedged(pools)[0].answer).code == 0
    assert len(bad.requests) == 1


async def test_requests_of_routes_without_hedging_are_never_hedged(bad, good):
    bad.behave = good.behave = after(0.05)
    async with pools_of(bad, good) as pools:
        await asyncio.gather(*(one.answer for one in submitted(pools, 60)))
    assert len(bad.requests) + len(good.requests) == 60


async def test_hedges_are_at_most_one_in_twenty(bad, good):
    bad.behave = good.behave = after(0.03)
    async with pools_of(bad, good, share=0.2) as pools:
        for _ in range(20):
            await asyncio.gather(*(one.answer for one in hedged(pools, 20, delay_s=0.005)))
        assert 1 <= pools.hedges.sent <= 20
    # One that was answered in the very turn of its hedge needs it no more.
    assert 400 < len(bad.requests) + len(good.requests) <= 400 + pools.hedges.sent


async def test_hedges_are_retries_too(bad, good):
    async with pools_of(bad, good, share=0.0) as pools:
        await saved_up(pools, [bad, good])
        while pools.budget.spend():
            pass
        bad.behave = good.behave = after(0.05)
        assert (await hedged(pools)[0].answer).code == 0
    assert len(bad.requests) + len(good.requests) == 1


async def test_late_means_later_than_nineteen_in_twenty_unless_the_route_says_otherwise(bad, good):
    async with pools_of(bad, good) as pools:
        await saved_up(pools, [bad, good])
        latency, gate = pools.endpoints.of("default", V1.digest).latency, asyncio.Event()
        latency.late_s = 0.05
        bad.behave = good.behave = held(gate)
        began = asyncio.get_running_loop().time()
        (one,) = hedged(pools, delay_s=None)
        await eventually(lambda: len(bad.requests) + len(good.requests) == 2)
        assert asyncio.get_running_loop().time() - began >= 0.05
        gate.set()
        assert (await one.answer).code == 0


async def test_what_may_be_why_a_version_is_gone_is_not_sent_to_another_replica(bad, good):
    async with pools_of(bad, good) as pools:
        await saved_up(pools, [bad, good])
        bad.behave = good.behave = silent
        hedged(pools, delay_s=0.2)
        await eventually(lambda: bad.requests or good.requests)
        (bad if bad.requests else good).announce(V1, ready=False)
        await asyncio.sleep(0.5)  # no event tells that nothing happens
        assert len(bad.requests) + len(good.requests) == 1


async def test_a_caller_that_leaves_is_withdrawn_from_both_replicas(bad, good):
    async with pools_of(bad, good) as pools:
        await saved_up(pools, [bad, good])
        bad.behave = good.behave = silent
        (one,) = hedged(pools)
        await eventually(lambda: bad.requests and good.requests)
        one.answer.cancel()
        pools.withdraw(one)
        await eventually(lambda: bad.cancelled and good.cancelled)
        assert sum(replica.in_flight for replica in pools.replicas["default"]) == 0


async def test_a_deadline_ends_both(bad, good):
    async with pools_of(bad, good) as pools:
        await saved_up(pools, [bad, good])
        bad.behave = good.behave = silent
        one = work(seconds=0.2)
        one.hedged = Hedge(0.02)
        pools.submit([one])
        with pytest.raises(Exception, match="deadline"):
            await one.answer
        await eventually(lambda: bad.cancelled and good.cancelled)


async def test_a_lost_replica_of_two_leaves_the_request_at_the_other(bad, good):
    async with pools_of(bad, good) as pools:
        await saved_up(pools, [bad, good])
        gate = asyncio.Event()
        bad.behave = good.behave = held(gate)
        (one,) = hedged(pools)
        await eventually(lambda: bad.requests and good.requests)
        await bad.die()
        await eventually(lambda: connected(pools) == 1)
        gate.set()
        assert (await one.answer).code == 0
    assert len(good.requests) == 1
