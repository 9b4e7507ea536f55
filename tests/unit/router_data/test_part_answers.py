"""Parts of one request: how many are under way, and what ends them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import httpx
import pytest
from headrace_router.data.transports.part_answers import MOST_PARTS, answer_in_parts
from headrace_router.data.transports.rest.disconnects import ClientGone
from headrace_router.data.transports.rest.event_stream import Events
from headrace_servicekit.errors import Unavailable
from headrace_servicekit.testing import eventually, patience

Give = Callable[[str], Awaitable[None]]
PARTS = [(number, str(number)) for number in range(3 * MOST_PARTS)]


async def at_once() -> None:
    """Let everything begin."""


async def test_who_does_not_read_has_no_more_parts_begun_than_may_be_under_way():
    begun: list[str] = []
    written: list[int] = []
    reads = asyncio.Event()

    async def predict(part: str, give: Give) -> None:
        begun.append(part)
        await give(part)

    async def write(first_row: int, answer: str) -> None:
        await reads.wait()
        written.append(first_row)

    answering = asyncio.create_task(answer_in_parts(PARTS, at_once, predict, write))
    await eventually(lambda: len(begun) == MOST_PARTS)
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(begun) == MOST_PARTS
    reads.set()
    await answering
    assert sorted(written) == [first for first, _ in PARTS]


async def test_who_takes_no_event_for_a_while_is_as_good_as_gone():
    async def never(message: Mapping[str, object]) -> None:
        if message["type"] == "http.response.body":
            await asyncio.get_running_loop().create_future()

    async with asyncio.timeout(patience(5)):
        with pytest.raises(ClientGone):
            await Events(never, [], read_within_s=0.05).end(b"end", {"parts": 0})


async def test_an_event_is_one_line_also_to_clients_that_end_lines_at_more_than_the_standard_does():
    sent: list[bytes] = []

    async def keep(message: Mapping[str, Any]) -> None:
        sent.append(message.get("body", b""))

    texts = ["a\u2028b", "a\u2029b", "a\x85b", "a\n\r\x0b\x0c\x1c\x1d\x1eb"]
    await Events(keep, []).end(b"end", {"labels": texts})
    _, data = httpx.Response(200, content=b"".join(sent).rstrip()).iter_lines()
    assert json.loads(data.removeprefix("data: ")) == {"labels": texts}


async def test_an_error_ends_the_parts_that_are_under_way_and_begins_no_more():
    begun: list[str] = []
    cancelled: list[str] = []

    async def predict(part: str, _give: Give) -> None:
        begun.append(part)
        if part == "3":
            raise Unavailable("no", reason="NO_BACKEND")
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            cancelled.append(part)
            raise

    async def write(first_row: int, answer: str) -> None:
        raise AssertionError("nothing is answered")

    with pytest.raises(BaseExceptionGroup) as caught:
        await answer_in_parts(PARTS, at_once, predict, write)
    assert [type(error) for error in caught.value.exceptions] == [Unavailable]
    assert sorted([*cancelled, "3"]) == sorted(begun)
    assert len(begun) <= MOST_PARTS
