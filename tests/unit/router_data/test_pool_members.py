"""Batchers that come, go, restart and load: who waits for them, and what becomes of requests meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from headrace_router.data.batchers.admission import QueueLimits
from headrace_router.data.batchers.members import Target, resolve_by_dns
from headrace_router.data.batchers.pools import Pools
from headrace_router.data.batchers.work import Work
from headrace_servicekit.errors import Unavailable
from headrace_servicekit.testing import eventually

from tests.kit.batcher.fake_batcher import FakeBatcher, echoing, held, refusing, silent
from tests.kit.router.digits import V1
from tests.kit.router.pools import connected, pools_of, replica_of, submitted


def addresses_of(pools: Pools) -> list[str]:
    return [replica.address for replica in pools.replicas["default"]]


@asynccontextmanager
async def occupied(batcher: FakeBatcher) -> AsyncIterator[tuple[Pools, list[str], Work, Callable[[], None]]]:
    """Pools whose only batcher has a request; what its name resolves to, that request, and what has it answered."""
    gate = asyncio.Event()
    batcher.behave = held(gate)
    addresses = [batcher.target]
    async with pools_of(more=addresses) as pools:
        await eventually(lambda: connected(pools) == 1)
        (work,) = submitted(pools)
        await eventually(lambda: batcher.requests)
        yield pools, addresses, work, gate.set


async def test_requests_go_only_where_the_version_is_ready(batcher, other):
    other.announce(V1, ready=False)
    async with pools_of(batcher, other, wait=False) as pools:
        await eventually(lambda: connected(pools) == 1)
        await asyncio.gather(*(one.answer for one in submitted(pools, 20)))
        assert not other.requests
        other.announce(V1)
        batcher.announce(V1, ready=False)
        await eventually(lambda: replica_of(pools, other).serves(V1.digest))
        await eventually(lambda: connected(pools) == 1)
        await asyncio.gather(*(one.answer for one in submitted(pools, 20)))
        assert len(batcher.requests) == len(other.requests) == 20


async def test_a_draining_batcher_gets_nothing_new_and_finishes_what_it_has(batcher, other):
    gate = asyncio.Event()
    batcher.behave = held(gate)
    async with pools_of(batcher, other) as pools:
        works = submitted(pools, 20)
        await eventually(lambda: len(batcher.requests) + len(other.requests) == 20)
        had = len(batcher.requests)
        batcher.drain()
        await eventually(lambda: connected(pools) == 1)
        await asyncio.gather(*(one.answer for one in submitted(pools, 10)))
        gate.set()
        assert {(await one.answer).code for one in works} == {0}
        assert {one.attempts for one in works} == {1}
        assert len(batcher.requests) == had


async def test_without_a_batcher_for_the_version_the_answer_comes_when_the_queue_timeout_ends(batcher):
    async with pools_of(batcher, queue_limits=QueueLimits(timeout_s=0.1)) as pools:
        for digest, pool in (("unknown", "default"), (V1.digest, "elsewhere")):
            (one,) = submitted(pools, digest=digest, pool=pool)
            assert one.answer.done() == (pool == "elsewhere")
            with pytest.raises(Unavailable) as caught:
                await one.answer
            assert caught.value.reason == "NO_BACKEND"
        assert not pools.pending["default"]


async def test_who_has_something_else_to_try_waits_for_no_batcher(batcher):
    async with pools_of(batcher) as pools:
        (one,) = submitted(pools, digest="unknown", queue_timeout_s=0.0)
        assert isinstance(one.answer.exception(), Unavailable)


async def test_requests_wait_for_the_only_batcher_while_it_restarts(batcher):
    async with pools_of(batcher, queue_limits=QueueLimits(timeout_s=5.0)) as pools:
        batcher.behave = silent
        executing = submitted(pools, 3)
        await eventually(lambda: len(batcher.requests) == 3)
        port = int(batcher.target.rpartition(":")[2])
        await batcher.die()
        await eventually(lambda: connected(pools) == 0)
        new = submitted(pools, 3)
        assert len(pools.pending["default"]) == 6
        batcher.behave = echoing
        await batcher.open(port)
        assert {(await one.answer).code for one in executing + new} == {0}
        assert {one.attempts for one in executing} == {2}
        assert not pools.pending["default"]


async def test_requests_wait_for_a_version_that_the_only_batcher_is_about_to_have_again(batcher):
    async with pools_of(batcher, queue_limits=QueueLimits(timeout_s=5.0)) as pools:
        batcher.announce(V1, ready=False)
        await eventually(lambda: connected(pools) == 0)
        (one,) = submitted(pools)
        batcher.announce(V1)
        assert (await one.answer).code == 0


async def test_a_batcher_that_refuses_what_it_announces_is_believed(batcher):
    batcher.behave = refusing(14, "NO_BACKEND")
    async with pools_of(batcher) as pools:
        (one,) = submitted(pools)
        assert (await one.answer).reason == "NO_BACKEND"
        assert not pools.pending["default"]


async def test_a_request_that_waits_and_is_withdrawn_leaves_the_room(batcher):
    async with pools_of(batcher) as pools:
        (one,) = submitted(pools, digest="unknown")
        assert one in pools.pending["default"]
        one.answer.cancel()
        pools.withdraw(one)
        assert not pools.pending["default"]


async def test_a_wait_ends_before_the_deadline_and_says_what_was_missing(batcher):
    async with pools_of(batcher) as pools:
        (one,) = submitted(pools, digest="unknown", seconds=0.2)
        # Timers run in the order of their times, however late a busy machine is with all of them.
        answered: list[bool] = []
        asyncio.get_running_loop().call_at(one.deadline, lambda: answered.append(one.answer.done()))
        with pytest.raises(Unavailable, match="no batcher of pool 'default' can answer for this version"):
            await one.answer
        await eventually(lambda: answered)
        assert answered == [True]


async def test_a_batcher_that_restarts_is_found_again(batcher):
    async with pools_of(batcher) as pools:
        port = int(batcher.target.rpartition(":")[2])
        await batcher.die()
        await eventually(lambda: connected(pools) == 0)
        await batcher.open(port)
        await eventually(lambda: connected(pools) == 1, within=10)
        (one,) = submitted(pools)
        assert (await one.answer).code == 0
    assert pools.members.streams_lost == 1


async def test_replicas_come_and_go_with_what_the_name_resolves_to(batcher, other):
    async with occupied(batcher) as (pools, addresses, one, release):
        addresses[:] = [other.target]
        await eventually(lambda: other.target in addresses_of(pools) and connected(pools) == 1)
        (two,) = submitted(pools)
        assert (await two.answer).code == 0
        release()
        assert (await one.answer).code == 0
        assert one.attempts == 1
        await eventually(lambda: addresses_of(pools) == [other.target])


async def test_a_batcher_that_is_back_before_it_has_answered_all_gets_requests_again(batcher):
    async with occupied(batcher) as (pools, addresses, one, release):
        addresses.clear()
        await eventually(lambda: connected(pools) == 0)
        addresses.append(batcher.target)
        await eventually(lambda: connected(pools) == 1)
        assert pools.members.sent() == (1, 1)
        batcher.behave = echoing
        release()
        assert (await one.answer).code == 0
        await eventually(lambda: len(pools.replicas["default"]) < 2)
        (two,) = submitted(pools)
        assert (await two.answer).code == 0
        assert pools.members.sent() == (2, 2)
    assert (one.attempts, two.attempts) == (1, 1)


async def test_who_still_waits_is_told_when_the_pools_stop(batcher):
    async with pools_of(batcher) as pools:
        (waiting,) = submitted(pools, digest="unknown")
        batcher.behave = silent
        (executing,) = submitted(pools)
        await eventually(lambda: batcher.requests)
    for one in (waiting, executing):
        assert isinstance(one.answer.exception(), Unavailable)


async def test_a_resolver_that_is_down_takes_nobody_away(batcher):
    asked, broken = 0, False

    async def resolve(_target: Target) -> list[str]:
        nonlocal asked
        asked += 1
        if broken:
            raise OSError("no resolver")
        return [batcher.target]

    async with pools_of(batcher, resolve=resolve) as pools:
        broken = True
        before = asked
        await eventually(lambda: asked > before + 3)
        (one,) = submitted(pools)
        assert (await one.answer).code == 0
        assert pools.members.streams_lost == 0


async def test_a_name_stands_for_its_addresses_of_one_family():
    assert await resolve_by_dns(Target("localhost", 80)) == ["127.0.0.1:80"]
    assert await resolve_by_dns(Target("127.0.0.1", 80)) == ["127.0.0.1:80"]
