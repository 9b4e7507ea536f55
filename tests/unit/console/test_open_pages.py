"""Pages that go on end with their session, and no other page with them."""

import asyncio
from collections.abc import Sequence

import pytest
from headrace_console.sessions.cookie_secrets import CookieSecret
from headrace_console.sessions.open_pages import OpenPages
from headrace_servicekit.errors import Unauthenticated
from headrace_servicekit.testing import eventually


class Ended:
    """Sessions that a test ends. asked: how often somebody wanted to know, and of how many."""

    def __init__(self) -> None:
        self.digests: set[bytes] = set()
        self.asked: list[int] = []

    async def going_on(self, digests: Sequence[bytes]) -> set[bytes]:
        self.asked.append(len(digests))
        return set(digests) - self.digests


async def test_every_page_of_a_session_ends_with_it_and_those_of_others_go_on():
    ended, leaving, staying = Ended(), CookieSecret.new(), CookieSecret.new()
    pages, begun = OpenPages(ended.going_on), 0

    async def page(secret: CookieSecret) -> None:
        nonlocal begun
        async with pages.during(secret):
            begun += 1
            await asyncio.Event().wait()

    tasks = [asyncio.create_task(page(secret)) for secret in (leaving, leaving, staying)]
    await eventually(lambda: begun == 3, within=5)
    await pages.look()
    ended.digests.add(leaving.digest)
    await pages.look()
    for task in tasks[:2]:
        with pytest.raises(Unauthenticated):
            await task
    assert not tasks[2].done()
    assert ended.asked == [2, 2]
    tasks[2].cancel()
    with pytest.raises(asyncio.CancelledError):
        await tasks[2]


async def test_nobody_is_asked_while_no_page_is_open():
    ended = Ended()
    pages = OpenPages(ended.going_on)
    async with pages.during(CookieSecret.new()):
        pass
    await pages.look()
    assert ended.asked == []


async def test_a_time_out_of_the_page_itself_is_not_taken_for_the_end_of_the_session():
    with pytest.raises(TimeoutError):
        async with OpenPages(Ended().going_on).during(CookieSecret.new()):
            raise TimeoutError
