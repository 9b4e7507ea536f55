"""After a rollout: the registry and the control plane let go what they hold in its name.

That a rollout is over and still held is one row, written with its end: whichever replica claims it asks until both have
answered. A promotion by hand is refused for no longer than the registry is away.
"""

from __future__ import annotations

from contextlib import suppress

from headrace_servicekit.errors import NotFound

from headrace_rollout.decisions.rollouts import Rollout
from headrace_rollout.peers import Routes
from headrace_rollout.registry import Registry
from headrace_rollout.store import Store

EVERY_S = 1.0


class Releasing:
    """Releases what rollouts that are over held."""

    def __init__(self, store: Store, routes: Routes, registry: Registry) -> None:
        self._store, self._routes, self._registry = store, routes, registry

    async def run(self) -> None:
        """Release what is due. Raises the first failure; what failed is due again after a pause."""
        await self._store.release_ended(self._release)

    async def _release(self, rollout: Rollout) -> None:
        with suppress(NotFound):  # the model was deleted, and its holds with it
            await self._registry.release(rollout)
        for version in (rollout.version, rollout.baseline):
            with suppress(NotFound):
                await self._routes.end_lease(rollout, version)
