"""One request answered in parts: several are under way at a time, and each is written as soon as it is there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

T = TypeVar("T")
A = TypeVar("A")

# Rows of a part, and parts of one call that are under way.
PART_ROWS, MOST_PARTS = 256, 8


async def answer_in_parts(
    parts: Iterable[tuple[int, T]],
    begin: Callable[[], Awaitable[None]],
    predict: Callable[[T, Callable[[A], Awaitable[None]]], Awaitable[object]],
    write: Callable[[int, A], Awaitable[None]],
) -> None:
    """Answer every part. A place is free again when its answers are written, so who does not read waits.

    parts: each with the position of its first row. begin: returns when one more may begin. predict: gives what it is
    called with the answers, one unless the version itself answers in parts. The first error ends all, in an
    ExceptionGroup.
    """
    room, writing = asyncio.Semaphore(MOST_PARTS), asyncio.Lock()

    async def answer(first_row: int, part: T) -> None:
        async def give(found: A) -> None:
            async with writing:
                await write(first_row, found)

        try:
            await predict(part, give)
        finally:
            room.release()

    try:
        async with asyncio.TaskGroup() as tasks:
            for first_row, part in parts:
                await begin()
                await room.acquire()
                tasks.create_task(answer(first_row, part), name="part of a prediction")
    except BaseExceptionGroup as group:
        # The frame of the task group holds it: with that, all of the request would wait for the garbage collector.
        raise group.with_traceback(None)  # noqa: B904 - it is the same one
