"""HTTP/1 on the port of a gRPC server, as the front door has it: pages from a function, anything else is relayed."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator

# Returns the JSON document of a path.
Pages = Callable[[str], str]
_HTTP_2 = b"PRI "


@contextlib.contextmanager
def beside_grpc(address: str, pages: Pages) -> Iterator[str]:
    """Serve until the block ends; yields the host:port of both. address: of the gRPC server, host:port."""
    loop, ended = asyncio.new_event_loop(), asyncio.Event()
    bound: list[str] = []
    started = threading.Event()
    host, _, port = address.partition(":")

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            first = await reader.readexactly(len(_HTTP_2))
            if first == _HTTP_2:
                there, onward = await asyncio.open_connection(host, int(port))
                onward.write(first)
                with contextlib.closing(onward):
                    await asyncio.gather(_copied(reader, onward), _copied(there, writer))
                return
            line = first + await reader.readuntil(b"\r\n\r\n")
            body = pages(line.split()[1].decode()).encode()
            head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            await writer.drain()

    async def serve() -> None:
        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        bound.append("{}:{}".format(*server.sockets[0].getsockname()[:2]))
        started.set()
        async with server:
            await ended.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    started.wait(10)
    try:
        yield bound[0]
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(10)
        for task in asyncio.all_tasks(loop):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                loop.run_until_complete(task)
        loop.close()


async def _copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while some := await reader.read(65536):
            writer.write(some)
            await writer.drain()
    writer.close()
