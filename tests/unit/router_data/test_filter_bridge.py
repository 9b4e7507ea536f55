"""What passes between Envoy's filter and the event loop, and what is said where there is no filter."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from headrace_router.data.transports.envoy.bridged_answer import packed, packed_headers
from headrace_router.data.transports.envoy.bridged_request import NAMES, VARYING
from headrace_router.data.transports.envoy.filter_bridge import FilterBridge, NotLoaded, configuration, opened
from headrace_router.data.transports.envoy.unary_calls import framed, refusal
from headrace_servicekit.errors import NotFound
from headrace_servicekit.testing import eventually

from tests.kit.front_door.played_filter import PlayedFilter, packed_request

CONTENT = b"\x0c\x00\x10\x00content-typeapplication/grpc"


def test_an_answer_is_headers_a_body_and_trailers():
    begin = packed_headers([(b":status", b"200"), (b"content-type", b"application/grpc")])
    data = packed(7, (begin, framed(b"abc"), packed_headers([(b"grpc-status", b"0")])))
    assert int.from_bytes(data[:8], "little") == 7
    headers, body, trailers = (int.from_bytes(data[at : at + 4], "little") for at in (8, 12, 16))
    begins = 24
    assert data[begins:].startswith(b"\x07\x00\x03\x00:status200" + CONTENT)
    assert data[begins + headers :][:body] == framed(b"abc")
    assert data[begins + headers + body :] == b"\x0b\x00\x01\x00grpc-status0"
    assert trailers == 16


def test_a_refusal_has_headers_alone():
    data = packed(7, refusal(NotFound("no such model"), []))
    assert data[12:20] == bytes(8)
    assert b"\x0b\x00\x01\x00grpc-status5" in data


def test_the_filter_can_count_the_headers_that_are_wanted():
    assert NAMES[: len(VARYING)] == VARYING
    assert len(set(NAMES)) == len(NAMES) <= 64
    bounds, names, by_rest, *by_grpc = configuration(1000, 5).split("\n")
    assert bounds.split()[1::2] == ["5", "1000"]
    assert tuple(names.split(" ")) == NAMES
    assert by_grpc[0] == ":status 200"
    assert "grpc-status 8" in by_grpc
    body = json.loads(by_rest)
    assert body["error"] == body["message"]
    assert body["details"][0]["reason"] == "TOO_MANY_REQUESTS"


def test_a_filter_that_cannot_be_opened_is_named(tmp_path: Path):
    with pytest.raises(NotLoaded, match="libheadrace_filter_bridge"):
        opened(tmp_path / "libheadrace_filter_bridge.so")


@contextlib.asynccontextmanager
async def _waiting_requests(count: int) -> AsyncIterator[tuple[list[asyncio.Future[None]], list[int]]]:
    """Yield what each of so many requests waits for, and how many answers have left at a time."""
    played, waiting, left = PlayedFilter(), list[asyncio.Future[None]](), list[int]()

    async def respond(_request: object) -> tuple[bytes, bytes, bytes]:
        waiting.append(asyncio.get_running_loop().create_future())
        await waiting[-1]
        return b"", b"", b""

    played.bridge_answer = lambda _answers, size: left.append(size // 24)  # type: ignore[method-assign]
    bridge = FilterBridge(played, respond, respond, most_message_bytes=1000, most_unfinished=5)
    bridge.start()
    requests = [packed_request(one, {":path": "/p"}, b"") for one in range(count)]
    asking = asyncio.create_task(played.answers(requests))
    try:
        await eventually(lambda: len(waiting) == count)
        yield waiting, left
    finally:
        asking.cancel()
        bridge.stop()
        played.close()


async def test_answers_leave_with_those_of_their_turn_and_the_last_at_once():
    async with _waiting_requests(3) as (waiting, left):
        waiting[0].set_result(None)
        waiting[1].set_result(None)
        await asyncio.sleep(0)
        assert left == []
        await asyncio.sleep(0)
        assert left == [2]
        waiting[2].set_result(None)
        await asyncio.sleep(0)
        assert left == [2, 1]


async def test_the_first_of_many_answers_do_not_wait_until_all_are_rendered():
    async with _waiting_requests(100) as (waiting, left):
        for one in waiting[:80]:
            one.set_result(None)
        await asyncio.sleep(0)
        assert left == [32, 32]
        await asyncio.sleep(0)
        assert left == [32, 32, 16]
