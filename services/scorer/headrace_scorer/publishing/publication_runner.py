"""Publications that need work, each under a separate lease, so that only one process works on it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import NoReturn

import structlog
from headrace_servicekit.clock import Clock
from headrace_servicekit.coordination.leases import LeaderLease
from headrace_servicekit.coordination.wakeup import Wakeup
from headrace_servicekit.errors import Aborted, Unavailable
from headrace_servicekit.loops import delay_s
from headrace_servicekit.postgres.connections import Connections

from headrace_scorer.decisions.publications import Publication
from headrace_scorer.engine_processes import ProcessLost
from headrace_scorer.job_runner import LEASE, LOOK_EVERY_S, RENEW_S
from headrace_scorer.job_work import NO_ROOM, no_room
from headrace_scorer.publishing.publication_work import PublicationWork
from headrace_scorer.publishing.store import PublicationStore

log = structlog.get_logger()


class PublicationRunner:
    """Works on one publication at a time: what takes the time is the store of answers, which all of them share."""

    def __init__(self, store: PublicationStore, connections: Connections, work: PublicationWork, clock: Clock) -> None:
        self._store, self._connections, self._work, self._clock = store, connections, work, clock
        self._wakeup = Wakeup()
        self._failures: dict[int, int] = {}
        self._not_before: dict[int, float] = {}

    def wake(self) -> None:
        """Look at once."""
        self._wakeup.wake()

    async def run(self) -> NoReturn:
        """Run publications until cancelled."""
        while True:
            try:
                for job in await self._store.unpublished():
                    await self._work.begin(job)
                for publication in await self._store.wanting_work():
                    if self._clock.monotonic() >= self._not_before.get(publication.job, 0.0):
                        await self._try(publication)
            except Unavailable as error:
                log.debug("publications are not looked for", reason=error.public_message)
            await self._wakeup.wait(LOOK_EVERY_S)

    async def _try(self, publication: Publication) -> None:
        """Work on a publication, unless another process does. One that fails rests while others have their turns."""
        lease = LeaderLease(self._connections, f"publications/{publication.job}", self._clock, lease=LEASE)
        if not await lease.acquire():
            return
        try:
            await self._while_held(publication, lease)
            self._failures.pop(publication.job, None)
            self._not_before.pop(publication.job, None)
        except Aborted as error:
            log.warning(
                "another process has the publication", publication=publication.name, reason=error.public_message
            )
        except Exception as error:
            failures = self._failures[publication.job] = self._failures.get(publication.job, 0) + 1
            pause = delay_s(failures, every_s=0.5, max_backoff_s=30.0, jitter=0.2, draw=0.5)
            self._not_before[publication.job] = self._clock.monotonic() + pause
            lost = isinstance(error, ProcessLost)
            message = error.public_message if isinstance(error, Unavailable) else str(error) if lost else repr(error)
            wrote = error.wrote if lost else ""
            log.warning(
                "a publication waits", publication=publication.name, reason=message, failures=failures, wrote=wrote
            )
            with suppress(Unavailable, Aborted):
                if lost:
                    await self._work.lost(publication, message, failures, lease)
                elif isinstance(error, Unavailable):
                    await self._work.waits(publication, message)
                elif isinstance(error, OSError) and error.errno in NO_ROOM:
                    await self._work.waits(publication, no_room(error))
        finally:
            with suppress(Unavailable):
                await lease.release()

    async def _while_held(self, publication: Publication, lease: LeaderLease) -> None:
        work = asyncio.create_task(self._work.work(publication, lease), name=f"publish {publication.name}")
        try:
            renewed = self._clock.monotonic()
            while not work.done():
                await asyncio.wait([work], timeout=0.5)
                if self._clock.monotonic() - renewed >= RENEW_S:
                    renewed = self._clock.monotonic()
                    with suppress(Unavailable):  # the fence protects what is written meanwhile
                        await lease.renew()
                if lease.fence is None:
                    return
            work.result()
        finally:
            work.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.wait([work])
