"""Things of a store that change by revisions until they are over: lists of them, and the watch of one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from headrace_servicekit.coordination.feeds import ChangeFeed
from headrace_servicekit.errors import Unavailable
from headrace_servicekit.loops import until

# How many are read at a time to fill a page, where a caller may not see all.
SCAN = 200


class _State(Protocol):
    @property
    def over(self) -> bool: ...


class Revised(Protocol):
    """A thing with numbered revisions. id: a later thing has a higher one."""

    @property
    def id(self) -> int: ...
    @property
    def revision(self) -> int: ...
    @property
    def state(self) -> _State: ...


T = TypeVar("T", bound=Revised)


@dataclass(frozen=True, slots=True)
class Changed(Generic[T]):
    """A thing with the place of its last change."""

    thing: T
    sequence: int


async def no_snapshot() -> AsyncIterator[Any]:
    """What the feed of such things begins with: a watch is of one, which it reads by itself."""
    return
    yield


async def page_of(
    read: Callable[[int, int], Awaitable[list[T]]], sees: Callable[[T], bool], *, size: int, before: int
) -> tuple[list[T], str]:
    """Return up to `size` things that the caller sees, the latest first, and the token of the next page.

    read: the things with ids below the first argument, at most the second many, the latest first.
    """
    found: list[T] = []
    while len(found) <= size:
        things = await read(before, SCAN)
        found += [thing for thing in things if sees(thing)]
        if len(things) < SCAN:
            break
        before = things[-1].id
    return found[:size], str(found[size - 1].id) if len(found) > size else ""


async def revisions(
    feed: ChangeFeed[Changed[T]], read: Callable[[], Awaitable[T]], stopping: asyncio.Event
) -> AsyncGenerator[T, None]:
    """Yield a thing as it is and each later revision until it is over. read: returns it as it is.

    Raises Unavailable, reason STOPPING, once `stopping` is set, and what `read` and the feed raise.
    """
    position = await feed.position()
    thing = await read()
    yield thing
    if thing.state.over:
        return
    id_ = thing.id
    changes = feed.watch(position, lambda changed: changed.thing.id == id_)
    ended_by_drain: Any = until(stopping, changes)
    async with aclosing(ended_by_drain) as watched:
        async for change in watched:
            if change.state is None or change.state.thing.revision <= thing.revision:
                continue
            thing = change.state.thing
            yield thing
            if thing.state.over:
                return
    raise Unavailable("the service is stopping: watch again", reason="STOPPING", retry_after_s=0.1)
