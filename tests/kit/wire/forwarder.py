"""A TCP forwarder that a test puts before a real server, to take the server away without stopping it for others."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import socket
import struct
from collections.abc import Callable
from typing import Self
from urllib.parse import urlsplit, urlunsplit

_TEXT = re.compile(rb"[ -~]{8,}")


class Forwarder:
    """Forwards a free port of 127.0.0.1 to a server: `async with Forwarder("127.0.0.1", 5432) as forwarder`.

    cut: connections are closed, and so are new ones. abort: connections are reset, as a process that dies with unread
    bytes does it; new ones are forwarded. freeze: connections stay, and nothing comes through.
    garble: connections stay, and what the server says arrives as nonsense, on new ones too.
    lose: connections stay, and nothing comes through them ever again, as if the machine had vanished; new ones work.
    mend: everything works again, for new connections and, after a freeze, for old ones.
    change: what becomes of bytes on their way, in either direction; nothing unless a test says.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._open = asyncio.Event()
        self._open.set()
        self._refusing = False
        self._garbled: Callable[[bytes], bytes] | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.port = 0
        self.change: Callable[[bytes], bytes] = lambda data: data

    @classmethod
    def before(cls, url: str) -> Self:
        """Return a forwarder before the server of a URL."""
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        return cls(parts.hostname, parts.port)

    def url(self, url: str) -> str:
        """Return a URL of the server that leads through the forwarder."""
        parts = urlsplit(url)
        user = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
        return urlunsplit(parts._replace(netloc=f"{user}127.0.0.1:{self.port}"))

    def cut(self) -> None:
        self._refusing = True
        self.drop()

    def drop(self) -> None:
        """Close the connections that there are; new ones are forwarded."""
        for task in self._tasks:
            task.cancel()

    def abort(self) -> None:
        for writer in [writer for writer in self._writers if not writer.transport.is_closing()]:
            # To linger for no time makes the kernel send RST in place of FIN.
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        self.drop()

    def garble(self, how: Callable[[bytes], bytes] | None = None) -> None:
        rng = random.Random(1)
        self._garbled = how or (lambda data: rng.randbytes(len(data)))

    def freeze(self) -> None:
        self._open.clear()

    def lose(self) -> None:
        self._open.clear()
        self._open = asyncio.Event()
        self._open.set()

    def mend(self) -> None:
        self._refusing = False
        if self._garbled is not None:
            self._garbled = None
            self.drop()  # what came through them does not fit together any more
        self._open.set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.drop()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _accept(self, incoming: asyncio.StreamReader, outgoing: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(outgoing)
        try:
            # A cancel is how a connection is cut; asyncio would report it as an error of this callback.
            with contextlib.suppress(asyncio.CancelledError):
                await self._forward(incoming, outgoing)
        finally:
            self._tasks.discard(task)
            self._writers.discard(outgoing)
            outgoing.transport.abort()

    async def _forward(self, incoming: asyncio.StreamReader, outgoing: asyncio.StreamWriter) -> None:
        if self._refusing:
            return
        opened = self._open
        await opened.wait()
        try:
            there_in, there_out = await asyncio.open_connection(self._host, self._port)
        except OSError:
            return
        self._writers.add(there_out)
        try:
            both = [
                asyncio.create_task(self._pump(incoming, there_out, opened, answers=False)),
                asyncio.create_task(self._pump(there_in, outgoing, opened, answers=True)),
            ]
            try:
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in both:
                    task.cancel()
                await asyncio.gather(*both, return_exceptions=True)
        finally:
            self._writers.discard(there_out)
            there_out.transport.abort()

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, opened: asyncio.Event, *, answers: bool
    ) -> None:
        while data := await source.read(65536):
            await opened.wait()
            data = self.change(data)
            # Of the answers only: a server that takes nonsense for a write would be harmed for good.
            sink.write(self._garbled(data) if answers and self._garbled is not None else data)
            await sink.drain()
        with contextlib.suppress(OSError):
            sink.write_eof()


def texts_garbled(data: bytes) -> bytes:
    """Return data in which texts of some length are nonsense, and what frames them is whole.

    For asyncpg, whose C code reads beyond its buffer, and so ends the process, when lengths are wrong.
    """
    return _TEXT.sub(lambda text: b"?" * len(text.group()), data)
