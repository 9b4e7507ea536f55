"""A request that waits goes on without a task, and in one from when it asks for it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from headrace_router.data.request.deadlines import in_a_task
from headrace_router.data.transports.coroutine_driver import CoroutineDriver
from headrace_servicekit.testing import eventually


def begin(coroutine: Coroutine[Any, Any, None]) -> CoroutineDriver:
    return CoroutineDriver(coroutine, coroutine.send(None), asyncio.get_running_loop())


async def test_it_goes_on_with_what_each_future_gives():
    loop, got = asyncio.get_running_loop(), []
    futures = [loop.create_future(), loop.create_future()]

    async def serve() -> None:
        got.append(await futures[0])
        got.append(await futures[1])

    begin(serve())
    for number, future in enumerate(futures):
        future.set_result(number)
        await eventually(lambda number=number: len(got) > number)
    assert got == [0, 1]


async def test_an_error_of_what_it_waits_for_is_raised_inside():
    future, got = asyncio.get_running_loop().create_future(), []

    async def serve() -> None:
        try:
            await future
        except OSError as error:
            got.append(str(error))

    begin(serve())
    future.set_exception(OSError("gone"))
    await eventually(lambda: got == ["gone"])


async def test_cancelled_it_may_still_clear_up():
    loop, got = asyncio.get_running_loop(), []
    cleared = loop.create_future()

    async def serve() -> None:
        try:
            await loop.create_future()
        except asyncio.CancelledError:
            got.append(await cleared)

    begun = begin(serve())
    begun.cancel()
    await asyncio.sleep(0)
    cleared.set_result("cleared")
    await eventually(lambda: got == ["cleared"])


async def test_it_needs_no_task_until_it_asks_for_one():
    loop, tasks = asyncio.get_running_loop(), []
    first, second = loop.create_future(), loop.create_future()

    async def serve() -> None:
        await first
        tasks.append(asyncio.current_task())
        await in_a_task()
        async with asyncio.timeout(10):
            await second
        tasks.append(asyncio.current_task())

    begin(serve())
    first.set_result(None)
    second.set_result(None)
    await eventually(lambda: len(tasks) == 2)
    assert tasks[0] is None
    assert tasks[1] is not None


async def test_it_is_cancelled_in_the_task_that_it_asked_for():
    loop, got = asyncio.get_running_loop(), []

    async def serve() -> None:
        await in_a_task()
        try:
            await loop.create_future()
        except asyncio.CancelledError:
            got.append("cancelled")
            raise

    begun = begin(serve())
    await asyncio.sleep(0)
    begun.cancel()
    await eventually(lambda: got == ["cancelled"])
