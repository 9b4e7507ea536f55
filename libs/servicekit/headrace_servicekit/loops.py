"""Loops that go on: a step every so often, with jitter, and with back-off while it fails."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from typing import Any, NoReturn, TypeVar

import structlog

from headrace_servicekit.clock import Clock, SystemClock

log = structlog.get_logger()

T = TypeVar("T")


def delay_s(failures: int, *, every_s: float, max_backoff_s: float, jitter: float, draw: float) -> float:
    """Return the pause before the next step.

    failures: consecutive ones; each doubles the pause up to `max_backoff_s` (never below `every_s`).
    jitter: share of the pause that is random; draw: uniform in [0, 1). The mean over draws is the undisturbed pause.
    """
    pause = every_s
    if failures > 0:
        pause = min(max(every_s, 0.05) * 2.0 ** min(failures, 30), max(max_backoff_s, every_s))
    return pause * (1.0 + jitter * (2.0 * draw - 1.0))


async def periodic(
    name: str,
    step: Callable[[], Awaitable[object]],
    *,
    every_s: float,
    clock: Clock | None = None,
    jitter: float = 0.1,
    max_backoff_s: float = 30.0,
    rng: random.Random | None = None,
) -> NoReturn:
    """Run `step`, pause, and so on for ever. A step that raises is logged and repeated with back-off; it ends nothing.

    A service's own steps run by it through `runtime.every`.
    """
    clock, rng, failures = clock or SystemClock(), rng or random.Random(), 0
    while True:
        try:
            await step()
            if failures:
                log.info("loop recovered", loop=name, failures=failures)
            failures = 0
        except Exception:
            failures += 1
            # The first failure carries its stack; a dependency that stays down must not fill the disk with copies.
            log.warning("loop step failed", loop=name, failures=failures, exc_info=failures == 1)
        end_if_cancelled()
        pause = delay_s(failures, every_s=every_s, max_backoff_s=max_backoff_s, jitter=jitter, draw=rng.random())
        await clock.sleep(pause)


def end_if_cancelled() -> None:
    """Raise the cancellation of the present task again if something has swallowed it; for loops that catch what fails.

    `asyncio.wait_for` of Python 3.11, which drivers use, does so with one that comes in the same turn as what it waits
    for.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def until(stop: asyncio.Event, source: AsyncIterable[T]) -> AsyncIterator[T]:
    """Yield from `source` until it ends or `stop` is set; for watches and other streams that would outlive a drain.

    A stop between items loses none; an item being awaited when the stop comes is not waited for.
    """
    iterator = aiter(source)
    stopped = asyncio.ensure_future(stop.wait())
    pending: asyncio.Future[T] | None = None
    try:
        while not stop.is_set():
            pending = asyncio.ensure_future(_next(iterator))
            await asyncio.wait({pending, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not pending.done():
                return
            try:
                item = pending.result()
            except _EndedError:
                return
            yield item
    finally:
        for task in (stopped, pending):
            if task is not None and not task.done():
                task.cancel()
        tasks: list[asyncio.Future[Any]] = [stopped] if pending is None else [stopped, pending]
        await asyncio.gather(*tasks, return_exceptions=True)
        close = getattr(iterator, "aclose", None)
        if close is not None:
            await close()


class _EndedError(Exception):
    """The source ended: a task may not raise StopAsyncIteration out of itself."""


async def _next(iterator: AsyncIterator[T]) -> T:
    try:
        return await anext(iterator)
    except StopAsyncIteration:
        raise _EndedError from None
