"""A TCP forwarder that a test puts before a real server, to take the server away without stopping it for others."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Self
from urllib.parse import urlsplit, urlunsplit


class Forwarder:
    """Forwards a free port of 127.0.0.1 to a server: `async with Forwarder("127.0.0.1", 5432) as forwarder`.

    cut: connections are closed, and so are new ones. freeze: connections stay, and nothing comes through.
    lose: connections stay, and nothing comes through them ever again, as if the machine had vanished; new ones work.
    mend: everything works again, for new connections and, after a freeze, for old ones.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._open = asyncio.Event()
        self._open.set()
        self._refusing = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

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

    def freeze(self) -> None:
        self._open.clear()

    def lose(self) -> None:
        self._open.clear()
        self._open = asyncio.Event()
        self._open.set()

    def mend(self) -> None:
        self._refusing = False
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
        try:
            # A cancel is how a connection is cut; asyncio would report it as an error of this callback.
            with contextlib.suppress(asyncio.CancelledError):
                await self._forward(incoming, outgoing)
        finally:
            self._tasks.discard(task)
            outgoing.transport.abort()

    async def _forward(self, incoming: asyncio.StreamReader, outgoing: asyncio.StreamWriter) -> None:
        if self._refusing:
            return
        opened = self._open
        await opened.wait()
        there_in, there_out = await asyncio.open_connection(self._host, self._port)
        try:
            both = [
                asyncio.create_task(self._pump(incoming, there_out, opened)),
                asyncio.create_task(self._pump(there_in, outgoing, opened)),
            ]
            try:
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in both:
                    task.cancel()
                await asyncio.gather(*both, return_exceptions=True)
        finally:
            there_out.transport.abort()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, opened: asyncio.Event) -> None:
        while data := await source.read(65536):
            await opened.wait()
            sink.write(data)
            await sink.drain()
        with contextlib.suppress(OSError):
            sink.write_eof()
