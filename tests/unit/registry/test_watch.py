"""The feed behind watches: news, patience with a store that is away, replaced stores."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest
from headrace_registry.storage.memory import MemoryStore
from headrace_registry.tokens import Position
from headrace_registry.watch import BATCH, PATIENCE_S, Feed
from headrace_servicekit.errors import Unavailable
from headrace_servicekit.testing import FakeClock

NOW = datetime(2030, 1, 1, tzinfo=UTC)


class Rig:
    def __init__(self) -> None:
        self.store, self.clock = MemoryStore(), FakeClock()
        self.away = False
        answer = self.store.position

        async def position() -> Position:
            if self.away:
                raise Unavailable("away")
            return await answer()

        self.store.position = position  # type: ignore[method-assign]
        self.feed = Feed(self.store, self.clock, max_watches=10)

    async def touch(self, name: str) -> None:
        async with self.store.transaction() as transaction:
            model = await transaction.open_model(name, NOW)
            await transaction.save(replace(model, epoch=model.epoch + 1), [])


@pytest.fixture
def rig() -> Rig:
    return Rig()


async def test_who_waits_hears_of_a_change_at_the_next_poll(rig):
    await rig.feed.poll()
    seen = await rig.store.position()
    waiting = asyncio.create_task(rig.feed.beyond(seen))
    await rig.touch("digits")
    await asyncio.sleep(0)
    assert not waiting.done()
    await rig.feed.poll()
    await waiting


async def test_a_store_that_is_away_for_a_moment_ends_no_watch(rig):
    await rig.feed.poll()
    waiting = asyncio.create_task(rig.feed.beyond(await rig.store.position()))
    rig.away = True
    await rig.clock.advance(PATIENCE_S)
    await rig.feed.poll()
    rig.away = False
    await rig.touch("digits")
    await rig.feed.poll()
    await waiting


async def test_a_store_that_stays_away_ends_watches_until_it_is_back(rig):
    await rig.feed.poll()
    seen = await rig.store.position()
    waiting = asyncio.create_task(rig.feed.beyond(seen))
    rig.away = True
    await rig.clock.advance(PATIENCE_S + 1)
    await rig.feed.poll()
    with pytest.raises(Unavailable) as caught:
        await waiting
    assert caught.value.reason == "STORE_LOST"
    rig.away = False
    await rig.touch("digits")
    await rig.feed.poll()
    await rig.feed.beyond(seen)


async def test_a_store_that_was_replaced_ends_watches(rig):
    await rig.feed.poll()
    seen = await rig.store.position()
    waiting = asyncio.create_task(rig.feed.beyond(seen))
    rig.store.incarnation = UUID(int=7)
    await rig.feed.poll()
    with pytest.raises(Unavailable) as caught:
        await waiting
    assert caught.value.reason == "INCARNATION_CHANGED"


async def test_a_snapshot_longer_than_a_batch_is_whole(rig):
    names = [f"m{number:03}" for number in range(2 * BATCH + 1)]
    for name in names:
        await rig.touch(name)
    found = []
    async for seen in rig.feed.watch(None, lambda _: True):
        if seen.state is None:
            break
        found.append(seen.state.model.name)
    assert found == names


async def test_what_changes_during_a_snapshot_comes_after_it(rig):
    await rig.touch("a")
    await rig.touch("b")
    await rig.feed.poll()
    watch = rig.feed.watch(None, lambda _: True)
    first = await anext(watch)
    await rig.touch("a")
    await rig.feed.poll()
    rest = [await anext(watch) for _ in range(3)]
    assert [seen.state and (seen.state.model.name, seen.state.model.epoch) for seen in (first, *rest)] == [
        ("a", 1),
        ("b", 1),
        None,
        ("a", 2),
    ]
    await watch.aclose()
    assert rig.feed.watches == 0


async def test_a_position_ahead_of_the_store_means_the_snapshot(rig):
    await rig.touch("a")
    ahead = Position(rig.store.incarnation, 99)
    watch = rig.feed.watch(ahead, lambda _: True)
    assert [(await anext(watch)).resume, (await anext(watch)).resume] == [None, await rig.store.position()]
    await watch.aclose()


async def test_what_a_caller_may_not_see_moves_its_watch_on_without_a_word(rig):
    await rig.touch("a")
    await rig.feed.poll()
    watch = rig.feed.watch(await rig.store.position(), lambda name: name == "b")
    waiting = asyncio.ensure_future(anext(watch))
    await rig.touch("a")
    await rig.touch("b")
    await rig.feed.poll()
    seen = await waiting
    assert seen.state is not None
    assert (seen.state.model.name, seen.resume) == ("b", await rig.store.position())
    await watch.aclose()
