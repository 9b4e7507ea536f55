"""Versions of jobs that are not over: kept from being removed however long a job waits, is paused or runs."""

from __future__ import annotations

import structlog
from headrace_servicekit.errors import NotFound, PreconditionFailed

from headrace_scorer.peers import HOLD, Registry
from headrace_scorer.store import Store

log = structlog.get_logger()

HOLD_EVERY_S = HOLD.total_seconds() / 24


class Holding:
    """Renews the holds of all jobs. Every replica may: a hold is of its job, whoever renews it."""

    def __init__(self, store: Store, registry: Registry) -> None:
        self._store, self._registry = store, registry

    async def renew(self) -> None:
        """Renew them once. Raises Unavailable."""
        for job in await self._store.not_over():
            try:
                await self._registry.hold(job)
            except (NotFound, PreconditionFailed) as error:  # the job itself fails of it, once it goes on
                log.warning("a version is not held any more", job=job.name, reason=error.public_message)
