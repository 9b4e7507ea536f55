"""Pages that follow what changes, over a connection of their own."""

import asyncio
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

from headrace_servicekit.testing import eventually, patience

from tests.kit.clients.methods import path_of
from tests.kit.console.service import ConsoleUnderTest

LIVE = "/console/live/pools/default"


def looks(console: ConsoleUnderTest) -> int:
    return sum(path == path_of("ListBatchers") for path, _, _ in console.api.asked)


async def test_twenty_people_who_look_at_a_pool_ask_for_it_as_often_as_one(console: ConsoleUnderTest):
    await console.sign_in()
    began = len(console.api.asked)
    async with AsyncExitStack() as open_pages:
        for _ in range(20):
            page = await open_pages.enter_async_context(console.browser.stream("GET", LIVE))
            assert page.headers["content-type"].startswith("text/event-stream")
            assert (await anext(page.aiter_lines())).startswith("data: ")
        before = looks(console)
        await asyncio.sleep(1)  # five looks of one page; of twenty it would be a hundred
        assert looks(console) - before <= 15
        # And none of it reaches the data plane.
        assert {path for path, _, _ in console.api.asked[began:]} == {path_of("ListBatchers"), path_of("ListPools")}


async def test_a_followed_page_ends_for_whoever_is_denied(console: ConsoleUnderTest):
    await console.sign_in("mallory")
    async with console.browser.stream("GET", LIVE) as page:
        lines = page.aiter_lines()
        assert (await anext(lines)).startswith("data: ")
        console.issuer.deny("mallory")
        async with asyncio.timeout(patience(5)):
            async for _ in lines:
                pass
    assert (await console.browser.get("/console/")).status_code == 303


async def test_what_is_new_arrives_by_itself(console: ConsoleUnderTest):
    await console.sign_in()
    async with console.browser.stream("GET", LIVE) as page:
        lines = page.aiter_lines()
        assert await anext(lines)
        console.api.text = "something-new"
        async with asyncio.timeout(patience(5)):
            async for line in lines:
                if "something-new" in line:
                    break
    await eventually(lambda: console.runtime.metrics.get_sample_value("console_streams") == 0, within=5)


async def test_followed_pages_end_within_five_seconds_of_signing_out_wherever_that_was(console: ConsoleUnderTest):
    form_token = await console.sign_in()
    async with console.browser.stream("GET", LIVE) as page, console.browser.stream("GET", LIVE) as another:
        readers = [page.aiter_lines(), another.aiter_lines()]
        for lines in readers:
            assert (await anext(lines)).startswith("data: ")
        await console.browser.post("/console/sign-out", data={"form_token": form_token})
        async with asyncio.timeout(patience(5)):
            for lines in readers:
                async for _ in lines:
                    pass
    assert (await console.browser.get(LIVE, headers={"accept": "text/event-stream"})).status_code == 401


async def test_a_reader_who_takes_nothing_holds_nobody_up(console: ConsoleUnderTest):
    await console.sign_in()
    address = urlsplit(console.url)
    # A connection whose receiver stops reading after its first 64 KiB, with a page of more than that at every look.
    _, slow = await asyncio.open_connection(address.hostname, address.port, limit=2**16)
    cookies = "; ".join(f"{name}={value}" for name, value in console.browser.cookies.items())
    slow.write(f"GET {LIVE} HTTP/1.1\r\nhost: console\r\ncookie: {cookies}\r\n\r\n".encode())
    await slow.drain()
    streams = console.runtime.metrics.get_sample_value
    await eventually(lambda: streams("console_streams") == 1, within=5)
    async with console.browser.stream("GET", LIVE) as page, asyncio.timeout(patience(20)):
        lines = page.aiter_lines()
        for number in range(5):
            told = f"version-{number}-"
            console.api.text = told + "x" * 20_000
            while told not in await anext(lines):
                pass
    slow.transport.abort()
    await eventually(lambda: streams("console_streams") == 0, within=20)
