"""An identity provider that does not answer as it must."""

import asyncio
import contextlib

import httpx
import pytest
from headrace_console.signing_in.provider import OpenIdProvider
from headrace_servicekit.errors import Unavailable
from headrace_servicekit.testing import patience


async def test_a_provider_that_answers_a_byte_at_a_time_holds_nobody_up():
    ended = asyncio.Event()

    async def drip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
        with contextlib.suppress(OSError):
            while True:
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.01)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        ended.set()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    issuer = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, asyncio.timeout(patience(5)):
        async with httpx.AsyncClient(trust_env=False) as client:
            with pytest.raises(Unavailable, match="identity provider"):
                await OpenIdProvider(issuer, client, timeout_s=0.2).metadata()
        await ended.wait()
