from __future__ import annotations

import asyncio
from typing import Any

import hiredis
import pytest
from headrace_router.data.lookup.valkey.connection import MAX_UNANSWERED, Address, Connection, address_of
from hypothesis import given
from hypothesis import strategies as st


class Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        self.aborted = False

    def write(self, data: Any) -> None:
        self.sent += data

    def abort(self) -> None:
        self.aborted = True


def connected() -> tuple[Connection, Wire]:
    connection, wire = Connection(), Wire()
    connection.connection_made(wire)
    return connection, wire


def encoded(value: bytes | None) -> bytes:
    return b"$-1\r\n" if value is None else b"$%d\r\n%s\r\n" % (len(value), value)


@given(st.lists(st.lists(st.none() | st.binary(max_size=9), min_size=1, max_size=4), max_size=6), st.integers(1, 11))
def test_replies_reach_who_asked_however_they_arrive(pipelines: list[list[bytes | None]], chunk: int):
    connection, _ = connected()
    got: dict[int, Any] = {}
    for number, pipeline in enumerate(pipelines):
        connection.send([("GET", "x")] * len(pipeline), lambda replies, number=number: got.update({number: replies}))
    stream = b"".join(encoded(value) for pipeline in pipelines for value in pipeline)
    for at in range(0, len(stream), chunk):
        connection.data_received(stream[at : at + chunk])
    assert [got[number] for number in range(len(pipelines))] == pipelines


def test_commands_are_written_at_once():
    connection, wire = connected()
    connection.send([("SET", b"k", b"v", "PX", 5)], lambda replies: None)
    assert wire.sent == b"*5\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n$2\r\nPX\r\n$1\r\n5\r\n"


def test_whoever_waits_when_the_connection_is_lost_is_told():
    lost: list[str] = []
    connection = Connection(lambda: lost.append("lost"))
    connection.connection_made(Wire())
    connection.send([("GET", "x")] * 2, lambda replies: lost.append(str(replies)))
    connection.data_received(encoded(b"half"))
    connection.connection_lost(None)
    assert lost == ["None", "lost"]
    with pytest.raises(ConnectionError):
        connection.send([("GET", "x")], lambda replies: None)


def test_a_server_that_does_not_answer_is_not_sent_more_and_more():
    connection, _ = connected()
    connection.send([("GET", "x")] * MAX_UNANSWERED, lambda replies: None)
    with pytest.raises(ConnectionError):
        connection.send([("GET", "x")], lambda replies: None)


def test_what_is_no_redis_is_hung_up_on():
    connection, wire = connected()
    connection.send([("GET", "x")], lambda replies: None)
    connection.data_received(b"HTTP/1.1 400 Bad Request\r\n")
    assert wire.aborted


def test_an_error_is_a_reply():
    connection, _ = connected()
    got: list[Any] = []
    connection.send([("GET", "x"), ("GET", "y")], got.extend)  # type: ignore[arg-type]
    connection.data_received(b"-LOADING\r\n$1\r\nv\r\n")
    assert isinstance(got[0], hiredis.ReplyError)
    assert got[1] == b"v"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://store", Address("store", 6379)),
        ("redis://store:1/5", Address("store", 1, 5)),
        ("rediss://me@store", Address("store", 6379, 0, "me", True)),
        ("redis://[::1]:7/0", Address("::1", 7)),
    ],
)
def test_addresses(url, expected):
    assert address_of(url) == expected


@pytest.mark.parametrize(
    "url",
    ["http://store", "redis://", "redis://store/x", "redis://store:x", "redis://me:secret@store", "redis://a?b=c"],
)
def test_other_addresses_are_refused(url):
    with pytest.raises(ValueError, match=r"redis|password|[Pp]ort"):
        address_of(url)
