"""Whether the peer of a connection is still there: a ping when nothing is heard, and a time to answer it."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from headrace_servicekit.http2 import wire


class WatchedConnection(Protocol):
    """What is asked of a connection to know whether its peer is still there."""

    heard: int
    transport: Any

    @property
    def awaited(self) -> bool:
        """Return whether there is a call that the peer could say something about."""
        ...

    def abort(self, reason: str) -> None:
        """End the connection."""
        ...


class Keepalive:
    """Of one connection. every_s: silence before a ping, None for no pings; timeout_s: time to answer it.

    pings: without them a silent peer counts as gone only while it has calls to answer and window to send; callers
    should make a quick call now and then.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, *, every_s: float | None, timeout_s: float, pings: bool = True
    ) -> None:
        self._loop, self._every_s, self._timeout_s, self._pings = loop, every_s, timeout_s, pings
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, connection: WatchedConnection) -> None:
        """Begin, or go on because something was heard."""
        if self._every_s is not None:
            self._timer = self._loop.call_later(self._every_s, self._ask, connection, connection.heard)

    def stop(self) -> None:
        """End."""
        if self._timer is not None:
            self._timer.cancel()

    def _ask(self, connection: WatchedConnection, heard: int) -> None:
        if connection.heard != heard:
            self.watch(connection)
            return
        if self._pings:
            connection.transport.write(wire.frame(wire.PING, 0, 0, b"headrace"))
        elif not connection.awaited:
            self.watch(connection)
            return
        due = self._loop.time() + self._timeout_s
        self._timer = self._loop.call_later(self._timeout_s, self._judge, connection, heard, due)

    def _judge(self, connection: WatchedConnection, heard: int, due: float) -> None:
        """Give the peer up if it did not answer; not if it was us who were held up and have not read yet."""
        now, more_s = self._loop.time(), self._timeout_s / 2
        if connection.heard != heard or not (self._pings or connection.awaited):
            self.watch(connection)
        elif now - due > more_s:
            self._timer = self._loop.call_later(more_s, self._judge, connection, heard, now + more_s)
        else:
            connection.abort("the peer answers no ping" if self._pings else "the peer answers nothing")
