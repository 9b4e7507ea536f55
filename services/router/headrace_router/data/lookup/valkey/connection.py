"""One connection to a server that speaks Redis' protocol: commands out, replies matched in their order.

A command costs a write and a call, no task: redis-py takes 90 µs for what takes a tenth of it here. What is missing is
everything that the look-up does not need.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

import hiredis

Replies = Callable[[list[Any] | None], object]
Command = tuple[bytes | str | int, ...]

_INCOMPLETE = object()
_packed: Callable[[Command], bytes] = hiredis.pack_command  # type: ignore[assignment]  # it takes tuples of any length
# Commands that the server has not answered, above which no more are accepted: it does not read.
MAX_UNANSWERED = 16_384


DEFAULT_PORT = 6379


@dataclass(frozen=True, slots=True)
class Address:
    """tls: whether to speak TLS. user: empty for the default one."""

    host: str
    port: int
    database: int = 0
    user: str = ""
    tls: bool = False

    def context(self) -> ssl.SSLContext | None:
        """Return what checks the server's certificate, by the authorities that this machine trusts."""
        return ssl.create_default_context() if self.tls else None


def address_of(url: str) -> Address:
    """Return the address in `redis://[user@]host[:port][/database]`, or rediss:// for TLS. Raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme not in ("redis", "rediss"):
        raise ValueError(f"{url!r} does not begin with redis:// or rediss://")
    if parts.password is not None:
        raise ValueError("the URL holds a password: give it in a file")
    database = parts.path.removeprefix("/") or "0"
    if not parts.hostname or not database.isdigit() or parts.query or parts.fragment:
        raise ValueError(f"{url!r} is not redis://[user@]host[:port][/database]")
    user = unquote(parts.username or "")
    return Address(parts.hostname, parts.port or DEFAULT_PORT, int(database), user, parts.scheme == "rediss")


class Connection(asyncio.Protocol):
    """Sends commands. lost: called once when the connection is gone, after every sender got None."""

    def __init__(self, lost: Callable[[], object] = lambda: None) -> None:
        self._lost = lost
        self._reader = hiredis.Reader(notEnoughData=_INCOMPLETE)
        self._transport: asyncio.Transport | None = None
        self._awaited: deque[tuple[int, Replies]] = deque()
        self._replies: list[Any] = []
        self._unanswered = 0
        self.writable = True
        """False while the server reads more slowly than it is sent."""

    @property
    def open(self) -> bool:
        """Return whether commands can be sent."""
        return self._transport is not None

    def send(self, commands: Sequence[Command], on_replies: Replies) -> None:
        """Send commands at once. on_replies: called later with their replies, errors among them, or None without any.

        Raises ConnectionError when the connection is gone or the server does not read.
        """
        if self._transport is None or self._unanswered + len(commands) > MAX_UNANSWERED:
            raise ConnectionError("the connection is gone, or the server does not read")
        self._awaited.append((len(commands), on_replies))
        self._unanswered += len(commands)
        self._transport.write(b"".join([_packed(command) for command in commands]))

    async def ask(self, *commands: Command) -> list[Any]:
        """Return the replies of commands. Raises ConnectionError when the connection is lost, ReplyError for errors."""
        answer = asyncio.get_running_loop().create_future()
        self.send(commands, lambda replies: answer.done() or answer.set_result(replies))
        replies = await answer
        if replies is None:
            raise ConnectionError("the server closed the connection")
        for reply in replies:
            if isinstance(reply, hiredis.ReplyError):
                raise reply
        return replies

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # TCP and TLS give a Transport

    def data_received(self, data: bytes) -> None:
        reader, replies = self._reader, self._replies
        reader.feed(data)
        try:
            while self._awaited and (reply := reader.gets()) is not _INCOMPLETE:
                replies.append(reply)
                count, on_replies = self._awaited[0]
                if len(replies) == count:
                    self._awaited.popleft()
                    self._unanswered -= count
                    self._replies = []
                    on_replies(replies)
                    replies = self._replies
        except hiredis.ProtocolError:  # this is no Redis
            self.abort()

    def pause_writing(self) -> None:
        self.writable = False

    def resume_writing(self) -> None:
        self.writable = True

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        awaited, self._awaited = self._awaited, deque()
        for _, on_replies in awaited:
            on_replies(None)
        self._lost()


# A reading that took longer than this says less than the one before.
GOOD_ROUND_TRIP_S = 0.02
# Readings older than this are replaced by any newer one.
KEEP_S = 60.0


class StoreClock:
    """Unix time in milliseconds by the clock of the store; until that was read, by this machine's.

    loop_time: the loop's clock, whose advance is trusted. wall_s: this machine's Unix time.
    """

    def __init__(self, loop_time: Callable[[], float], wall_s: Callable[[], float]) -> None:
        self._loop_time = loop_time
        self._offset_ms = (wall_s() - loop_time()) * 1000
        self._read_at: float | None = None

    def now_ms(self) -> float:
        """Return the present."""
        return self._loop_time() * 1000 + self._offset_ms

    def read(self, store_ms: float, asked_at: float, answered_at: float) -> None:
        """Take a reading of the store's clock, made between two times of the loop's clock."""
        round_trip_s = answered_at - asked_at
        known = self._read_at is not None and answered_at - self._read_at < KEEP_S
        if known and round_trip_s > GOOD_ROUND_TRIP_S:
            return
        self._offset_ms = store_ms - (asked_at + round_trip_s / 2) * 1000
        self._read_at = answered_at
