"""A wake-up wakes its loop at once, in time, and never in vain."""

import asyncio
import time

from headrace_servicekit.coordination.wakeup import Wakeup


async def test_a_wake_up_wakes_who_waits_and_several_count_as_one():
    wakeup = Wakeup()
    waiting = asyncio.create_task(wakeup.wait())
    await asyncio.sleep(0)
    wakeup.wake()
    wakeup.wake()
    assert await asyncio.wait_for(waiting, 1)
    waiting = asyncio.create_task(wakeup.wait())
    await asyncio.sleep(0.01)
    assert not waiting.done()
    waiting.cancel()


async def test_a_wake_up_before_the_wait_is_not_lost():
    wakeup = Wakeup()
    wakeup.wake()
    assert await asyncio.wait_for(wakeup.wait(), 1)


async def test_the_time_wakes_too_and_is_told_from_a_wake_up():
    started = time.monotonic()
    assert not await asyncio.wait_for(Wakeup().wait(0.02), 1)
    assert time.monotonic() - started >= 0.015


async def test_a_time_that_has_passed_lets_others_run():
    seen = []
    asyncio.get_running_loop().call_soon(seen.append, "other")
    assert not await Wakeup().wait(-1.0)
    assert seen == ["other"]


async def test_a_cancelled_wait_leaves_a_wake_up_that_works():
    wakeup = Wakeup()
    waiting = asyncio.create_task(wakeup.wait())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    wakeup.wake()
    assert await asyncio.wait_for(wakeup.wait(), 1)


async def test_a_wake_up_of_a_cancelled_wait_is_left_for_the_next():
    wakeup = Wakeup()
    waiting = asyncio.create_task(wakeup.wait())
    await asyncio.sleep(0)
    wakeup.wake()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert await asyncio.wait_for(wakeup.wait(), 1)


async def test_everybody_who_waits_after_a_count_is_woken():
    wakeup = Wakeup()
    count = wakeup.count
    waiting = [asyncio.create_task(wakeup.after(count)) for _ in range(3)]
    await asyncio.sleep(0)
    wakeup.wake()
    assert await asyncio.wait_for(asyncio.gather(*waiting), 1) == [True] * 3


async def test_who_looks_before_a_wake_up_and_waits_after_it_misses_nothing():
    wakeup = Wakeup()
    count = wakeup.count
    wakeup.wake()
    assert await asyncio.wait_for(wakeup.after(count), 1)
    assert not await wakeup.after(wakeup.count, 0.01)
