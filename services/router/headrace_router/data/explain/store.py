"""The store of explanations: Valkey, by redis-py, which is imported when it is first needed.

Importing it takes a seventh of the time in which a data plane starts (`python -X importtime`), and no start should
wait for explanations.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from typing import TYPE_CHECKING, Any, Protocol

from headrace_servicekit.peers import reading

if TYPE_CHECKING:
    from redis.asyncio import Redis

TIMEOUT_S = 1.0
MOST_CONNECTIONS = 8


class StoreError(Exception):
    """The store did not do what it was asked; the message is its own."""


class Store(Protocol):
    """What explanations need of a store. Both methods raise StoreError."""

    async def put(self, entries: Iterable[tuple[bytes, bytes | str]], *, for_s: int) -> None:
        """Keep values for so many seconds."""
        ...

    async def get(self, key: bytes) -> bytes | None:
        """Return a value, None when there is none."""
        ...


class ValkeyStore:
    """The store behind a URL. Nothing is sent before the first command, and no command is tried again."""

    def __init__(self, url: str, password: str = "") -> None:
        self._url, self._password = url, password
        self._client: Redis | None = None
        self._connecting = asyncio.Lock()

    async def put(self, entries: Iterable[tuple[bytes, bytes | str]], *, for_s: int) -> None:
        """Keep values for so many seconds. Raises StoreError."""
        client = await self._connected()
        with reading("valkey", StoreError):
            async with asyncio.timeout(TIMEOUT_S):
                pipeline = client.pipeline(transaction=False)
                for key, value in entries:
                    pipeline.set(key, value, ex=for_s)
                await pipeline.execute()

    async def get(self, key: bytes) -> bytes | None:
        """Return a value, None when there is none. Raises StoreError."""
        client = await self._connected()
        with reading("valkey", StoreError):
            async with asyncio.timeout(TIMEOUT_S):
                found: Any = await client.get(key)
                return found

    async def close(self) -> None:
        """Close the connections, if there are any."""
        if self._client is not None:
            await self._client.aclose()

    async def _connected(self) -> Redis:
        async with self._connecting:
            if self._client is None:
                # In a thread, as it imports redis-py: the loop continues meanwhile, in smaller steps.
                self._client = await asyncio.to_thread(_client, self._url, self._password)
            return self._client


@contextlib.asynccontextmanager
async def valkey(url: str, password: str = "") -> AsyncIterator[ValkeyStore]:
    """Open the store behind a URL until the block ends."""
    store = ValkeyStore(url, password)
    try:
        yield store
    finally:
        await store.close()


def _client(url: str, password: str) -> Redis:
    from redis.asyncio import Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    return Redis.from_url(
        url,
        password=password or None,
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
        max_connections=MOST_CONNECTIONS,
    )
