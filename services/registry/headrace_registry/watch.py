"""What watches of the registry are told, from its store."""

from __future__ import annotations

from collections.abc import AsyncIterator

from headrace_servicekit.clock import Clock
from headrace_servicekit.coordination.feeds import BATCH, ChangeFeed

from headrace_registry.storage.store import ModelState, Store


def feed_of(store: Store, clock: Clock, *, max_watches: int) -> ChangeFeed[ModelState]:
    """Return the feed of every model's states."""
    return ChangeFeed(store, lambda: _snapshot(store), clock, owner="registry", max_watches=max_watches)


async def _snapshot(store: Store) -> AsyncIterator[ModelState]:
    after = ""
    while states := await store.states(after=after, limit=BATCH):
        after = states[-1].model.name
        for state in states:
            yield state
