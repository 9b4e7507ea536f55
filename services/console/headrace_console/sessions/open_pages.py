"""Open live pages: each ends with its session, also if the sign-out happens at another replica."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from headrace_servicekit.errors import Unauthenticated

from headrace_console.sessions.cookie_secrets import CookieSecret

# Of the promise that they end within five seconds.
LOOK_EVERY_S = 2.0


class OpenPages:
    """going_on: returns which of these sessions have not ended, by their digests; all pages share the question."""

    def __init__(self, going_on: Callable[[Sequence[bytes]], Awaitable[set[bytes]]]) -> None:
        self._going_on = going_on
        self._open: defaultdict[bytes, set[asyncio.Timeout]] = defaultdict(set)

    @asynccontextmanager
    async def during(self, secret: CookieSecret) -> AsyncIterator[None]:
        """Run the block while the session lasts. Raises Unauthenticated when the session ends."""
        digest, limit = secret.digest, asyncio.timeout(None)
        try:
            async with limit:
                self._open[digest].add(limit)
                try:
                    yield
                finally:
                    self._forget(digest, limit)
        except TimeoutError:
            if not limit.expired():
                raise
            raise Unauthenticated("the session has ended: sign in again", reason="SIGNED_OUT") from None

    async def look(self) -> None:
        """End the pages of ended sessions. For `periodic`; raises Unavailable while the database is away."""
        asked = list(self._open)
        if not asked:
            return
        ended = set(asked) - await self._going_on(asked)
        now = asyncio.get_running_loop().time()
        for limit in [limit for digest in ended for limit in self._open.get(digest, ())]:
            if not limit.expired():
                limit.reschedule(now)

    def _forget(self, digest: bytes, limit: asyncio.Timeout) -> None:
        self._open[digest].discard(limit)
        if not self._open[digest]:
            del self._open[digest]
