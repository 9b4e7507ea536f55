"""A bell wakes its loop at once, in time, and never in vain."""

import asyncio
import time

from headrace_batcher.batching.bell import Bell


async def test_a_ring_wakes_who_waits():
    bell = Bell()
    waiting = asyncio.create_task(bell.wait())
    await asyncio.sleep(0)
    bell.ring()
    bell.ring()
    await asyncio.wait_for(waiting, 1)
    waiting = asyncio.create_task(bell.wait())
    await asyncio.sleep(0.01)
    assert not waiting.done()
    waiting.cancel()


async def test_a_ring_before_the_wait_is_not_lost():
    bell = Bell()
    bell.ring()
    await asyncio.wait_for(bell.wait(), 1)


async def test_the_time_wakes_too():
    started = time.monotonic()
    await asyncio.wait_for(Bell().wait(started + 0.02), 1)
    assert time.monotonic() - started >= 0.015


async def test_a_time_that_has_passed_lets_others_run():
    seen = []
    asyncio.get_running_loop().call_soon(seen.append, "other")
    await Bell().wait(0.0)
    assert seen == ["other"]


async def test_a_cancelled_wait_leaves_a_bell_that_works():
    bell = Bell()
    waiting = asyncio.create_task(bell.wait())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    bell.ring()
    await asyncio.wait_for(bell.wait(), 1)
