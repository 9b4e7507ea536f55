"""Pages that follow what changes: one look for everybody who may see the same."""

import asyncio
from contextlib import aclosing
from datetime import UTC, datetime

from headrace_client.errors import Unauthenticated, Unavailable
from headrace_console.live import LONGEST_S, MOST_OF_ONE, LiveFeeds
from headrace_console.pages.streams import EventStream
from headrace_servicekit.clock import SystemClock
from headrace_servicekit.testing import FakeClock, eventually, patience
from starlette.types import Message


def feeds(most: int = 10) -> LiveFeeds:
    return LiveFeeds(most, every_s=0.01, stopping=asyncio.Event(), clock=SystemClock())


class CountedReading:
    """A page whose content a test changes, and how often it was looked at."""

    def __init__(self, *contents: str | Exception) -> None:
        self.contents = list(contents)
        self.count = 0

    async def __call__(self) -> str:
        self.count += 1
        now = self.contents[min(self.count, len(self.contents)) - 1]
        if isinstance(now, Exception):
            raise now
        return now


async def first(live: LiveFeeds, key: str, looks: CountedReading, count: int = 1) -> list[str]:
    async with aclosing(live.follow(key, looks, "session")) as events:
        return [await anext(events) for _ in range(count)]


async def test_people_who_may_see_the_same_share_one_look():
    live, looks = feeds(), CountedReading("<p>one</p>")
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(first(live, "page", looks)) for _ in range(8)]
    assert {tuple(task.result()) for task in tasks} == {("data: <p>one</p>\n\n",)}
    assert looks.count <= 2
    assert live.open == 0


async def test_a_follower_is_told_what_is_new_and_nothing_twice():
    looks = CountedReading("a", "a", "a", "b")
    assert await first(feeds(), "page", looks, 2) == ["data: a\n\n", "data: b\n\n"]


async def test_what_changed_while_a_follower_was_slow_is_told_at_once():
    looks = CountedReading("a", "b")
    async with aclosing(feeds().follow("page", looks, "session")) as events:
        assert await anext(events) == "data: a\n\n"
        await eventually(lambda: looks.count > 3, within=5)
        async with asyncio.timeout(patience(5)):
            assert await anext(events) == "data: b\n\n"


async def test_who_may_not_look_any_more_ends_and_others_go_on():
    live = feeds()
    async with aclosing(live.follow("page", CountedReading("a", Unauthenticated("no")), "session")) as denied:
        assert await anext(denied) == "data: a\n\n"
        async with aclosing(live.follow("page", CountedReading("b"), "session")) as other:
            assert await anext(denied, None) is None
            told = ""
            while told != "data: b\n\n":
                told = await anext(other)


async def test_what_is_away_for_a_moment_ends_nothing():
    assert await first(feeds(), "page", CountedReading(Unavailable("away"), "a")) == ["data: a\n\n"]


async def test_nobody_looks_when_nobody_follows():
    live, looks = feeds(), CountedReading("a")
    await first(live, "page", looks)
    count = looks.count
    await asyncio.sleep(0.05)
    assert looks.count == count


async def test_so_many_may_follow():
    live = feeds(most=1)
    assert not live.full("session")
    async with aclosing(live.follow("page", CountedReading("a"), "session")) as events:
        await anext(events)
        assert live.full("session")


async def test_more_than_may_follow_are_told_nothing_although_they_came_at_the_same_time():
    live = feeds(most=2)
    followed = [live.follow("page", CountedReading("a"), "session") for _ in range(5)]
    assert not live.full("session")
    told = [await anext(events, None) for events in followed]
    assert told == ["data: a\n\n"] * 2 + [None] * 3
    for events in followed:
        await events.aclose()
    assert live.open == 0


async def test_one_session_leaves_places_for_others():
    live = feeds(most=2 * MOST_OF_ONE)
    followed = [live.follow("page", CountedReading("a"), "mine") for _ in range(MOST_OF_ONE)]
    for events in followed:
        await anext(events)
    assert live.full("mine")
    assert not live.full("another")
    assert await first(live, "page", CountedReading("a")) == ["data: a\n\n"]
    await followed.pop().aclose()
    assert not live.full("mine")
    for events in followed:
        await events.aclose()


async def test_a_page_is_followed_for_some_minutes_and_then_asked_for_anew():
    clock = FakeClock(datetime(2030, 1, 1, tzinfo=UTC))
    live = LiveFeeds(10, every_s=1.0, stopping=asyncio.Event(), clock=clock)
    async with aclosing(live.follow("page", CountedReading("a", "b"), "session")) as events:
        assert await anext(events) == "data: a\n\n"
        await clock.advance(LONGEST_S)
        async with asyncio.timeout(patience(5)):
            assert [told async for told in events] in ([], ["data: b\n\n"])
    assert live.open == 0


async def test_a_reader_that_takes_nothing_loses_its_place():
    live = feeds()
    begun, sent = asyncio.Event(), []

    async def never(message: Message) -> None:
        sent.append(message["type"])
        if message["type"] == "http.response.body":
            begun.set()
            await asyncio.get_running_loop().create_future()

    stream = EventStream(live.follow("page", CountedReading("a"), "session"), read_within_s=0.05)
    answering = asyncio.create_task(stream.stream_response(never))
    await begun.wait()
    assert live.open == 1
    async with asyncio.timeout(patience(5)):
        await answering
    assert (live.open, sent) == (0, ["http.response.start", "http.response.body"])


async def test_followers_end_as_soon_as_the_service_stops():
    stopping = asyncio.Event()
    live = LiveFeeds(10, every_s=0.01, stopping=stopping, clock=SystemClock())
    async with aclosing(live.follow("page", CountedReading("a"), "session")) as events:
        assert await anext(events) == "data: a\n\n"
        stopping.set()
        async with asyncio.timeout(patience(5)):
            assert await anext(events, None) is None
