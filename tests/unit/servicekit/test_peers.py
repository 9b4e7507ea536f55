"""The border between a loop and its peer: what ends a session, what ends the process, what is logged and counted."""

from __future__ import annotations

import asyncio
import json

import grpc
import grpc.aio
import pytest
from headrace_servicekit.client import Unreadable
from headrace_servicekit.errors import NotFound
from headrace_servicekit.peers import ERRORS, MAX_REASON_CHARS, Peer, reading
from headrace_servicekit.testing import FakeClock
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

# What peers and their libraries were seen to raise for one broken connection.
SEEN = [
    pytest.param(
        RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed"), id="uvloop"
    ),
    pytest.param(json.JSONDecodeError("Expecting value", "", 0), id="a row of nonsense"),
    pytest.param(AssertionError(), id="a driver out of step"),
    pytest.param(KeyError("state"), id="a field that is missing"),
    pytest.param(ConnectionResetError(104, "reset"), id="an abort"),
    pytest.param(asyncio.CancelledError(), id="a library that cancels who waits for a lost call"),
]


def raising(error: BaseException):
    async def session() -> None:
        raise error

    return session


def peer(clock: FakeClock | None = None) -> Peer:
    return Peer("them", every_s=1.0, max_backoff_s=8.0, clock=clock or FakeClock())


@pytest.mark.parametrize("error", SEEN)
async def test_whatever_a_session_raises_ends_that_session_and_is_counted(error: BaseException):
    counted = ERRORS.labels("them", type(error).__name__)
    before = counted._value.get()
    them = peer()
    assert await them.hold(raising(error))
    assert not await them.call(raising(error))
    assert counted._value.get() == before + 2


async def test_a_cancelled_loop_ends():
    async def for_ever() -> None:
        await asyncio.get_running_loop().create_future()

    held = asyncio.create_task(peer().hold(for_ever))
    await asyncio.sleep(0)
    held.cancel()
    with pytest.raises(asyncio.CancelledError):
        await held


async def test_it_is_logged_once_for_each_kind_of_error_until_the_peer_was_well_for_a_while():
    clock = FakeClock()
    them = peer(clock)

    async def breaks_off() -> None:
        them.well()
        raise ConnectionError("gone")

    with capture_logs() as logs:
        for _ in range(5):
            await them.hold(breaks_off)
        await them.hold(raising(KeyError("x")))
        assert [line["reason"] for line in logs] == ["gone", "KeyError: 'x'"]
        them.well()
        await clock.advance(8.0)
        await them.hold(raising(ConnectionError("gone")))
    assert [line["reason"] for line in logs] == ["gone", "KeyError: 'x'", "gone"]
    assert [bool(line.get("exc_info")) for line in logs] == [False, True, False], "nonsense comes with its stack"


async def test_the_pause_grows_to_its_bound_while_a_peer_answers_only_to_break_off():
    clock = FakeClock()
    them = peer(clock)
    pauses = []
    for _ in range(6):
        them.well()
        await them.hold(raising(ConnectionError("gone")))
        pauses.append(round(them.pause_s()))
    assert pauses[0] <= 2
    assert 6 <= pauses[-1] <= 10
    them.well()
    await clock.advance(8.0)
    await them.hold(raising(ConnectionError("gone")))
    assert them.pause_s() <= 1.2


@given(st.text())
def test_what_a_stranger_sent_is_one_short_line_of_the_log(text: str):
    with pytest.raises(RuntimeError) as told, reading("them", RuntimeError):
        raise ValueError(text)
    said = str(told.value)
    assert len(said) <= MAX_REASON_CHARS
    assert "\n" not in said


def test_errors_of_services_cross_the_border_as_they_are():
    with pytest.raises(NotFound), reading("them", RuntimeError):
        raise NotFound("no such model")


def test_who_reads_from_a_message_that_was_none_is_told_as_of_a_lost_connection():
    message = Unreadable(ValueError("wrong"))
    with pytest.raises(grpc.aio.AioRpcError) as told:
        _ = message.models
    assert told.value.code() is grpc.StatusCode.UNAVAILABLE
