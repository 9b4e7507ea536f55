"""Version holds: the registry does not remove the version of a job until the job is over.

The transaction that ends a job also inserts a row for the release of its hold. The replica that claims the row retries
until the registry answers, so a model can be deleted as soon as the registry is back.
"""

from __future__ import annotations

from contextlib import suppress

import structlog
from headrace_servicekit.errors import NotFound, PreconditionFailed

from headrace_scorer.decisions.jobs import Job
from headrace_scorer.peers import HOLD, Registry
from headrace_scorer.store import Store

log = structlog.get_logger()

HOLD_EVERY_S = 300.0
RELEASE_EVERY_S = 1.0


class Holding:
    """Renews the holds of active jobs and releases those of ended ones. Every replica may do it: a hold belongs to the
    job, not to a process.
    """

    def __init__(self, store: Store, registry: Registry) -> None:
        self._store, self._registry = store, registry

    async def renew(self) -> None:
        """Renew the holds of all active jobs. Raises Unavailable."""
        for job in await self._store.not_over():
            try:
                await self._registry.hold(job, HOLD)
            except (NotFound, PreconditionFailed) as error:  # the job fails with the same error when it runs
                log.warning("a version is not held any more", job=job.name, reason=error.public_message)

    async def release(self) -> None:
        """Release the holds that are due. Raises the first error; a failed release is due again after a pause."""
        await self._store.release_over(self._release)

    async def _release(self, job: Job) -> None:
        with suppress(NotFound):  # the model was deleted, and its holds with it
            await self._registry.release(job)
