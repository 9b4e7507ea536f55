"""Look at the experiments that run, so that harm and wrong shares are told of while nobody looks."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

import structlog
from headrace_servicekit.errors import ServiceError, Unavailable

from headrace_monitor.judge.experiments.analyst import Analyst
from headrace_monitor.judge.experiments.store import ExperimentStore

log = structlog.get_logger()


class ExperimentWatch:
    """Analyses each running experiment once in a while, whichever replica does it; analysing tells of what is found."""

    def __init__(self, store: ExperimentStore, analyst: Analyst, every: timedelta) -> None:
        self._store, self._analyst, self._every = store, analyst, every

    async def step(self) -> None:
        """Analyse those that are due, one after the other: one that cannot be read keeps no other waiting."""
        with suppress(Unavailable):  # health tells of the database; the next round looks
            while (due := await self._store.claim_due(self._every)) is not None:
                await self._look(*due)

    async def _look(self, model: str, id_: str) -> None:
        try:
            await self._analyst.analyse(model, id_)
        except ServiceError as error:
            log.warning("an experiment waits", model=model, experiment=id_, reason=error.public_message)
