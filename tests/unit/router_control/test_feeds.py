"""Many watchers of one state: each sees a snapshot and every change, and none is waited for."""

import asyncio

import pytest
from headrace.router.v1 import control_pb2
from headrace_router.control.decisions.demand import Need, Wanted
from headrace_router.control.state.feeds import QUEUE_LIMIT, DemandFeed, TableFeed
from headrace_servicekit.errors import ResourceExhausted


def message(model: str, generation: int, *, removed: bool = False) -> control_pb2.WatchTablesResponse:
    made = control_pb2.WatchTablesResponse(incarnation="one", newest_generation=generation)
    if removed:
        made.removed_model = model
    else:
        made.table.model, made.table.generation = model, generation
    return made


def publish(feed: TableFeed, *numbers: int, model: str = "digits") -> None:
    for number in numbers:
        feed.publish(model, message(model, number))


async def snapshot(watch) -> list[control_pb2.WatchTablesResponse]:
    messages = [await anext(watch)]
    while not messages[-1].snapshot_complete:
        messages.append(await anext(watch))
    return messages


async def test_a_watch_begins_with_the_newest_of_each_model_and_skips_nothing_after_it():
    feed = TableFeed()
    publish(feed, 1, 2)
    publish(feed, 3, model="fraud")
    watch = feed.watch("plane-0")
    first = await snapshot(watch)
    assert [one.table.generation for one in first[:-1]] == [2, 3]
    assert (first[-1].newest_generation, first[-1].incarnation) == (3, "one")
    publish(feed, 4, 5, 6)
    assert [(await anext(watch)).table.generation for _ in range(3)] == [4, 5, 6]
    assert feed.watching == {"plane-0"}
    await watch.aclose()  # type: ignore[attr-defined]
    assert feed.watchers == 0


async def test_a_removed_model_is_told_and_is_in_no_later_snapshot():
    feed = TableFeed()
    publish(feed, 1)
    watch = feed.watch("plane-0")
    await snapshot(watch)
    feed.publish("digits", message("digits", 2, removed=True))
    assert (await anext(watch)).removed_model == "digits"
    later = await snapshot(feed.watch("plane-1"))
    assert [one.newest_generation for one in later] == [2]


async def test_a_slow_watcher_is_ended_and_the_others_are_not():
    feed = TableFeed()
    slow, quick = feed.watch("slow"), feed.watch("quick")
    await snapshot(slow)
    await snapshot(quick)
    for number in range(1, QUEUE_LIMIT + 2):
        publish(feed, number)
        assert (await anext(quick)).newest_generation == number
    with pytest.raises(ResourceExhausted) as caught:
        await anext(slow)
    assert caught.value.reason == "WATCH_BEHIND"
    assert feed.watching == {"quick"}


async def test_another_store_makes_every_watcher_begin_anew():
    feed = TableFeed()
    publish(feed, 1)
    watch = feed.watch("plane-0")
    await snapshot(watch)
    feed.reset("two")
    with pytest.raises(ResourceExhausted):
        await anext(watch)
    assert [(one.incarnation, one.newest_generation) for one in await snapshot(feed.watch("plane-0"))] == [("two", 0)]


def wanted(version: str) -> Wanted:
    return Wanted("digits", version, f"d-{version}", Need.ACTIVE)


async def test_a_watcher_of_demand_gets_the_newest_state_whenever_it_changed():
    current = {"default": (wanted("v1"),), "cpu": ()}
    rendered = []

    def render(demand: tuple[Wanted, ...]) -> control_pb2.WatchDemandResponse:
        rendered.append(demand)
        made = control_pb2.WatchDemandResponse()
        for one in demand:
            made.versions.add().version.version = one.version
        return made

    feed = DemandFeed(lambda pool: current[pool], render)
    watch = feed.watch("default")

    async def versions() -> list[str]:
        return [one.version.version for one in (await anext(watch)).versions]

    assert await versions() == ["v1"]
    following = asyncio.create_task(versions())
    await asyncio.sleep(0)
    feed.refresh()
    await asyncio.sleep(0)
    assert not following.done()  # nothing changed
    current["default"] = (wanted("v1"), wanted("v2"))
    feed.refresh()
    assert await following == ["v1", "v2"]
    current["default"] = (wanted("v3"),)
    feed.refresh()
    current["default"] = (wanted("v4"),)
    feed.refresh()
    assert await versions() == ["v4"]
    assert len(rendered) == 4
    await watch.aclose()  # type: ignore[attr-defined]
    assert feed.watchers == 0
