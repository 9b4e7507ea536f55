"""Release of holds and leases after a rollout, in the registry and the control plane.

The transaction that ends a rollout also inserts a row for the release. The replica that claims the row retries until
both peers have answered, so a manual promotion is refused only while the registry is away.
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
    """Releases the holds and leases of ended rollouts."""

    def __init__(self, store: Store, routes: Routes, registry: Registry) -> None:
        self._store, self._routes, self._registry = store, routes, registry

    async def run(self) -> None:
        """Run the due releases. Raises the first error; a failed release is due again after a pause."""
        await self._store.release_ended(self._release)

    async def _release(self, rollout: Rollout) -> None:
        with suppress(NotFound):  # the model was deleted, and its holds with it
            await self._registry.release(rollout)
        for version in (rollout.version, rollout.baseline):
            with suppress(NotFound):
                await self._routes.end_lease(rollout, version)
