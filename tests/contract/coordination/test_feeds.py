"""The feed behind watches: a snapshot, news, resuming, patience with a store that is away, replaced stores."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from headrace_servicekit.coordination.feeds import BATCH, PATIENCE_S, Change, ChangeFeed, Position
from headrace_servicekit.errors import ResourceExhausted, Unavailable
from headrace_servicekit.loops import periodic
from headrace_servicekit.testing import FakeClock, eventually

from tests.kit.stores.change_feeds import Item, MemorySource, PostgresSource

LONG_S = 3600.0


class Rig:
    """A feed that polls when the test says."""

    def __init__(self, source: MemorySource | PostgresSource) -> None:
        self.source, self.clock = source, FakeClock()
        self.feed: ChangeFeed[Item] = ChangeFeed(
            source, source.snapshot, self.clock, owner="toy", max_watches=10, poll_s=LONG_S
        )

    def watch(self, resume: Position | None = None, *, sees: str = "") -> AsyncIterator[Change[Item]]:
        return self.feed.watch(resume, lambda item: sees in item.name)

    async def waiting(self) -> asyncio.Future[Change[Item]]:
        """Return the next message of a watch that has seen everything and waits for more."""
        await self.feed.poll()
        waiting = asyncio.ensure_future(anext(self.watch(await self.source.position())))
        # It asks the store twice before it waits; whichever comes first, what is promised holds.
        await asyncio.sleep(0.02)
        assert not waiting.done()
        return waiting


@pytest.fixture
async def postgres_source(connections) -> PostgresSource:
    source = PostgresSource(connections)
    await source.prepare()
    return source


@pytest.fixture
def memory_source() -> MemorySource:
    return MemorySource()


@pytest.fixture(params=["memory_source", "postgres_source"])
def rig(request) -> Rig:
    return Rig(request.getfixturevalue(request.param))


async def test_who_waits_hears_of_a_change_at_the_next_poll(rig):
    waiting = await rig.waiting()
    await rig.source.touch("a")
    assert not waiting.done()
    await rig.feed.poll()
    change = await asyncio.wait_for(waiting, 5)
    assert change == Change(Item("a", 1, 1), await rig.source.position())


async def test_who_waits_hears_of_a_change_at_once_when_the_store_tells(rig):
    waiting = await rig.waiting()
    running = asyncio.create_task(rig.feed.run())
    listening = asyncio.create_task(periodic("listen", rig.feed.listen, every_s=0.05))
    await rig.source.touch("a")
    change = await asyncio.wait_for(waiting, 5)
    assert change.state is not None
    assert change.state.name == "a"
    for task in (running, listening):
        task.cancel()
    await asyncio.gather(running, listening, return_exceptions=True)


async def test_a_store_that_is_away_for_a_moment_ends_no_watch(rig):
    waiting = await rig.waiting()
    rig.source.away = True
    await rig.clock.advance(PATIENCE_S)
    await rig.feed.poll()
    rig.source.away = False
    await rig.source.touch("a")
    await rig.feed.poll()
    assert (await asyncio.wait_for(waiting, 5)).state == Item("a", 1, 1)


async def test_a_store_that_stays_away_ends_watches_until_it_is_back(rig):
    waiting, seen = await rig.waiting(), await rig.source.position()
    rig.source.away = True
    await rig.clock.advance(PATIENCE_S + 1)
    await rig.feed.poll()
    with pytest.raises(Unavailable, match="toy") as caught:
        await asyncio.wait_for(waiting, 5)
    assert caught.value.reason == "STORE_LOST"
    rig.source.away = False
    await rig.source.touch("a")
    await rig.feed.poll()
    assert (await anext(rig.watch(seen))).state == Item("a", 1, 1)


async def test_a_store_that_was_replaced_ends_watches(rig):
    waiting = await rig.waiting()
    await rig.source.restore()
    await rig.feed.poll()
    with pytest.raises(Unavailable) as caught:
        await asyncio.wait_for(waiting, 5)
    assert caught.value.reason == "INCARNATION_CHANGED"


async def test_a_store_that_went_back_ends_watches_though_nobody_renewed_its_incarnation(rig):
    await rig.source.touch("a")
    waiting = await rig.waiting()
    await rig.source.go_back()
    await rig.feed.poll()
    with pytest.raises(Unavailable) as caught:
        await asyncio.wait_for(waiting, 5)
    assert caught.value.reason == "INCARNATION_CHANGED"


async def test_a_snapshot_longer_than_a_batch_is_whole(rig):
    names = [f"m{number:03}" for number in range(2 * BATCH + 1)]
    for name in names:
        await rig.source.touch(name)
    found = []
    async for change in rig.watch():
        if change.state is None:
            break
        found.append(change.state.name)
    assert found == names


async def test_what_changes_during_a_snapshot_comes_after_it(rig):
    await rig.source.touch("a")
    await rig.source.touch("b")
    await rig.feed.poll()
    watch = rig.watch()
    first = await anext(watch)
    await rig.source.touch("a")
    await rig.feed.poll()
    rest = [await anext(watch) for _ in range(3)]
    assert [change.state and (change.state.name, change.state.times) for change in (first, *rest)] == [
        ("a", 1),
        ("b", 1),
        None,
        ("a", 2),
    ]
    await watch.aclose()
    assert rig.feed.watches == 0


async def test_a_watch_goes_on_where_it_was_and_is_told_once_of_what_changed_twice(rig):
    await rig.source.touch("a")
    seen = await rig.source.position()
    for name in ("b", "c", "b"):
        await rig.source.touch(name)
    watch = rig.watch(seen)
    assert [(await anext(watch)).state for _ in range(2)] == [Item("c", 3, 1), Item("b", 4, 2)]
    await watch.aclose()


@pytest.mark.parametrize("ahead", [True, False], ids=["ahead of the store", "of another store"])
async def test_a_position_that_is_none_of_this_store_means_the_snapshot(rig, ahead):
    await rig.source.touch("a")
    now = await rig.source.position()
    watch = rig.watch(Position(now.incarnation, 99) if ahead else Position(UUID(int=7), now.sequence))
    assert [(await anext(watch)).resume, (await anext(watch)).resume] == [None, now]
    await watch.aclose()


async def test_what_a_caller_may_not_see_moves_its_watch_on_without_a_word(rig):
    await rig.source.touch("a")
    await rig.feed.poll()
    watch = rig.watch(await rig.source.position(), sees="b")
    waiting = asyncio.ensure_future(anext(watch))
    await rig.source.touch("a")
    await rig.source.touch("b")
    await rig.feed.poll()
    change = await asyncio.wait_for(waiting, 5)
    assert (change.state and change.state.name, change.resume) == ("b", await rig.source.position())
    await watch.aclose()


async def test_watches_are_bounded(rig):
    watches = [rig.watch() for _ in range(10)]
    for watch in watches:
        await anext(watch)
    with pytest.raises(ResourceExhausted) as caught:
        await anext(rig.watch())
    assert caught.value.reason == "TOO_MANY_WATCHES"
    for watch in watches:
        await watch.aclose()


@pytest.mark.faults
async def test_a_listener_that_is_cut_off_listens_again_and_the_poll_carries_meanwhile(postgres_source):
    rig = Rig(postgres_source)
    waiting = await rig.waiting()
    running = asyncio.create_task(rig.feed.run())
    listening = asyncio.create_task(periodic("listen", rig.feed.listen, every_s=0.05))
    for number in range(1, 4):
        await postgres_source.touch("a")
        change = await asyncio.wait_for(waiting, 10)
        assert change.state == Item("a", number, number)
        assert await eventually(postgres_source.cut_off) == 1
        waiting = asyncio.ensure_future(anext(rig.watch(change.resume)))
    waiting.cancel()
    for task in (running, listening):
        task.cancel()
    await asyncio.gather(waiting, running, listening, return_exceptions=True)
