"""Asks one component how it is: while it starts, until it is ready; then until it has ended or should be."""

import asyncio
import time
from collections.abc import Callable

from headrace_stack import restarts, start_progress
from headrace_stack.component import Component, missing, unwell
from headrace_stack.process import Child
from headrace_stack.restarts import Illness

CHECK_TIMEOUT_S = 5.0
# A start is asked often at first; what takes long is not kept from it by being asked.
_READY_POLL_S, _READY_POLL_MOST_S = 0.05, 1.0
_USAGE_POLL_S = 1.0


class StartError(Exception):
    """A component did not become ready; the message names it and says why."""


async def until_ready(
    component: Component,
    child: Child,
    exited: asyncio.Task[int],
    *,
    first: bool,
    has_needs: Callable[[], bool],
    note: Callable[[str], None],
) -> None:
    """Wait until the component is ready or has exited. Raises StartError when it takes too long.

    first: it has never been ready. has_needs: whether all its dependencies are healthy; time without them does not
    count. note: called with what is missing.
    """
    policy = component.start
    begin = asked = looked = time.monotonic()
    progress = start_progress.Progress(begin, start_progress.Usage())
    while not exited.done():
        lacks = await missing(component, CHECK_TIMEOUT_S)
        if lacks is None:
            return
        note(lacks)
        now = time.monotonic()
        if not has_needs():
            begin += now - asked
            progress = start_progress.Progress(now, progress.used)
        elif start_progress.is_watched(policy, now - begin) and now - looked >= min(_USAGE_POLL_S, policy.quiet_s):
            progress, looked = start_progress.follow(progress, now, child.used()), now
        asked = now
        if why := start_progress.give_up(policy, now - begin, now - progress.at_s, first=first):
            raise StartError(f"{why}: {lacks}")
        pause_s = min(_READY_POLL_MOST_S, max(_READY_POLL_S, (now - begin) / 10))
        await asyncio.wait([exited], timeout=pause_s)


async def until_the_end(
    component: Component,
    exited: asyncio.Task[int],
    patience_s: float,
    *,
    is_excused: Callable[[], bool],
    note: Callable[[str | None, Illness | None], None],
) -> Illness | None:
    """Return None when the process has exited, or the failed check when it has been unhealthy for too long.

    is_excused: whether a dependency is unhealthy. note: called with each check's result, and with the failure.
    """
    illness: Illness | None = None
    every_s = component.restart.check_every_s
    while True:
        await asyncio.wait([exited], timeout=every_s if illness is None else every_s / 2)
        if exited.done():
            return None
        asked = time.monotonic()
        said = await unwell(component, CHECK_TIMEOUT_S)
        illness = restarts.observe(illness, asked, said, excused=is_excused())
        note(said, illness)
        if illness is not None and restarts.ends(illness, time.monotonic(), patience_s):
            return illness
