"""A reverse proxy before a real S3 store that can refuse writes, as a store does that is full or overloaded, or where
something else happens to the same key.

async with S3Front.before(s3) as front:
    ... use front.store in the store's place ...
    front.refuses_writes = True
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

import aiohttp
from aiohttp import web
from yarl import URL

from tests.kit.stores.servers import S3Store

_SLOW_DOWN = (
    b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
)
_CONFLICT = b"<?xml version='1.0'?><Error><Code>ConditionalRequestConflict</Code><Message>Try again.</Message></Error>"
_OF_A_CONNECTION = frozenset(("connection", "transfer-encoding", "content-length", "keep-alive"))
_MOST_BYTES = 1 << 30


@dataclasses.dataclass(slots=True)
class S3Front:
    """store: what to tell who is to use it. refused: writes so far. A signature covers the host: it is handed on.

    conflicts: whether others are said to write what is written, under the same keys.
    """

    store: S3Store
    refuses_writes: bool = False
    conflicts: bool = False
    refused: int = 0

    @classmethod
    @asynccontextmanager
    async def before(cls, store: S3Store) -> AsyncIterator[Self]:
        """Serve on a free port until the block ends."""
        front = cls(store)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:
            app = web.Application(client_max_size=_MOST_BYTES)

            async def pass_on(request: web.Request) -> web.StreamResponse:
                return await front._pass_on(request, session, store.endpoint)

            app.router.add_route("*", "/{tail:.*}", pass_on)
            runner = web.AppRunner(app, access_log=None)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            front.store = dataclasses.replace(store, endpoint=f"http://127.0.0.1:{runner.addresses[0][1]}")
            try:
                yield front
            finally:
                await runner.cleanup()

    async def _pass_on(self, request: web.Request, session: aiohttp.ClientSession, to: str) -> web.StreamResponse:
        content = await request.read()
        if self.refuses_writes and request.method in ("PUT", "POST", "DELETE"):
            self.refused += 1
            return web.Response(status=503, body=_SLOW_DOWN, content_type="application/xml")
        if self.conflicts and request.method in ("PUT", "POST") and "If-None-Match" in request.headers:
            return web.Response(status=409, body=_CONFLICT, content_type="application/xml")
        # As it came: what is signed must not be written in another way.
        url = URL(f"{to}{request.raw_path}", encoded=True)
        headers = [(name, value) for name, value in request.headers.items() if name.lower() not in _OF_A_CONNECTION]
        skipped = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
        body = io.BytesIO(content) if content else None
        async with session.request(
            request.method, url, headers=headers, data=body, skip_auto_headers=skipped
        ) as answer:
            # What a HEAD tells of the length is all that it tells.
            dropped = _OF_A_CONNECTION - ({"content-length"} if request.method == "HEAD" else set())
            kept = [(name, value) for name, value in answer.headers.items() if name.lower() not in dropped]
            return web.Response(status=answer.status, headers=dict(kept), body=await answer.read())
