"""Lists and watches of things with revisions, over a store in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from uuid import UUID

import pytest
from headrace_servicekit.clock import SystemClock
from headrace_servicekit.coordination.feeds import ChangeFeed, Position
from headrace_servicekit.coordination.revisions import SCAN, Changed, no_snapshot, page_of, revisions
from headrace_servicekit.errors import Unavailable
from hypothesis import given
from hypothesis import strategies as st


@dataclass(frozen=True, slots=True)
class State:
    over: bool = False


@dataclass(frozen=True, slots=True)
class Thing:
    id: int
    revision: int = 1
    state: State = field(default_factory=State)


class Things:
    """A store in memory: each save is the next change."""

    def __init__(self, thing: Thing) -> None:
        self.thing, self._sequence = thing, 1

    def save(self, thing: Thing) -> None:
        self.thing, self._sequence = thing, self._sequence + 1

    async def read(self) -> Thing:
        return self.thing

    async def position(self) -> Position:
        return Position(UUID(int=1), self._sequence)

    async def changed_since(self, sequence: int, *, limit: int) -> Sequence[Changed[Thing]]:
        return [Changed(self.thing, self._sequence)] if self._sequence > sequence else []

    async def wakes(self) -> AsyncIterator[None]:
        return
        yield


def feed_of(things: Things) -> ChangeFeed[Changed[Thing]]:
    return ChangeFeed(things, no_snapshot, SystemClock(), owner="store", max_watches=1)


async def test_a_watch_tells_each_revision_and_ends_with_the_last() -> None:
    things = Things(Thing(7))
    feed = feed_of(things)
    watch = revisions(feed, things.read, asyncio.Event())
    assert (await anext(watch)).revision == 1

    things.save(Thing(7, 2))
    await feed.poll()
    assert (await anext(watch)).revision == 2

    things.save(Thing(7, 3, State(over=True)))
    await feed.poll()
    assert [thing.revision async for thing in watch] == [3]
    assert feed.watches == 0


async def test_a_watch_leaves_out_what_it_has_told_and_what_is_of_others() -> None:
    things = Things(Thing(7))
    feed = feed_of(things)
    async with aclosing(revisions(feed, things.read, asyncio.Event())) as watch:
        first = await anext(watch)
        following = asyncio.ensure_future(anext(watch))
        for unseen in (first, Thing(8, 9)):
            things.save(unseen)
            await feed.poll()
        things.save(replace(first, revision=2))
        await feed.poll()
        assert await following == replace(first, revision=2)


async def test_a_watch_of_what_is_over_ends_at_once() -> None:
    things = Things(Thing(7, 4, State(over=True)))
    assert [thing.revision async for thing in revisions(feed_of(things), things.read, asyncio.Event())] == [4]


async def test_a_watch_says_that_the_service_stops() -> None:
    things, stopping = Things(Thing(7)), asyncio.Event()
    watch = revisions(feed_of(things), things.read, stopping)
    await anext(watch)
    stopping.set()
    with pytest.raises(Unavailable, match="watch again") as stopped:
        await anext(watch)
    assert stopped.value.reason == "STOPPING"


@given(
    ids=st.sets(st.integers(1, 3 * SCAN), max_size=3 * SCAN).map(lambda ids: sorted(ids, reverse=True)),
    every=st.integers(1, 50),
    size=st.integers(1, 300),
)
async def test_pages_hold_exactly_what_the_caller_sees(ids: list[int], every: int, size: int) -> None:
    async def read(below: int, limit: int) -> list[Thing]:
        return [Thing(id_) for id_ in ids if id_ < below][:limit]

    seen: list[int] = []
    before: int | None = 10 * SCAN
    while before is not None:
        page, token = await page_of(read, lambda thing: thing.id % every == 0, size=size, before=before)
        assert len(page) == size or not token
        seen += [thing.id for thing in page]
        before = int(token) if token else None
    assert seen == [id_ for id_ in ids if id_ % every == 0]
