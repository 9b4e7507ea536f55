"""Pools of batchers: which there are and what each runs, as control planes report it."""

from __future__ import annotations

from collections.abc import Sequence

from headrace_registry.decisions.models import PoolFormats
from headrace_registry.storage.store import Store


class Pools:
    """What is known of pools, over a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def report(self, pools: Sequence[PoolFormats]) -> None:
        """Replace what is known. Raises Unavailable."""
        await self._store.put_pools(pools)
