"""Versions of jobs: kept from being removed until the job is over, however long that takes, and no longer.

That a job is over and its version still held is one row, written with its end: whichever replica claims it asks the
registry until it has answered. A model can be deleted as soon as the registry is back.
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
    """Renews the holds of all jobs that are not over, and releases those that are. Every replica may: a hold is of its
    job, whoever asks for it.
    """

    def __init__(self, store: Store, registry: Registry) -> None:
        self._store, self._registry = store, registry

    async def renew(self) -> None:
        """Renew them once. Raises Unavailable."""
        for job in await self._store.not_over():
            try:
                await self._registry.hold(job, HOLD)
            except (NotFound, PreconditionFailed) as error:  # the job itself fails of it, once it goes on
                log.warning("a version is not held any more", job=job.name, reason=error.public_message)

    async def release(self) -> None:
        """Release what is due. Raises the first failure; what failed is due again after a pause."""
        await self._store.release_over(self._release)

    async def _release(self, job: Job) -> None:
        with suppress(NotFound):  # the model was deleted, and its holds with it
            await self._registry.release(job)
