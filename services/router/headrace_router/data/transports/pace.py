"""How fast one client's requests may come within streams, which the front door counts as one call each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from headrace_router.data.identity.callers import Bucket

# A stream that comes faster than its client may is looked at again so often.
PACE_S = 0.01
MAX_CLIENTS = 10_000


class ClientPace:
    """Requests of each client in all its streams. per_second: beyond which they wait; None leaves them be."""

    def __init__(self, per_second: float | None, now: Callable[[], float]) -> None:
        self._per_second, self._now = per_second, now
        self._buckets: dict[str, Bucket] = {}

    async def wait(self, client: str) -> None:
        """Return when a client may have one more request."""
        if self._per_second is None:
            return
        bucket = self._buckets.get(client)
        if bucket is None:
            if len(self._buckets) >= MAX_CLIENTS:
                del self._buckets[next(iter(self._buckets))]
            bucket = self._buckets[client] = Bucket(self._per_second, self._now())
        while not bucket.take(self._now()):  # noqa: ASYNC110 - time fills it
            await asyncio.sleep(PACE_S)
