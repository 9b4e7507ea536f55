"""Jobs that will miss their windows: said once, as soon as it is known."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog

from headrace_scorer.decisions import jobs
from headrace_scorer.decisions.estimates import misses
from headrace_scorer.decisions.jobs import Job
from headrace_scorer.store import Store

log = structlog.get_logger()


class Lateness:
    """Looks at the jobs that are to be over by a time. Every replica may: what it says is said once."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def look(self) -> None:
        """Look once. Raises Unavailable."""
        windowed = [job for job in await self._store.not_over() if job.spec.options.window is not None and not job.late]
        if not windowed:
            return
        now = await self._store.now()
        for job in windowed:
            by = _late_by(job, now)
            if by is not None:
                log.warning("a job will be late", job=job.name, by_s=by.total_seconds())
                await self._store.change(job.id, lambda one, _, by=by: jobs.late(one, by))


def _late_by(job: Job, now: datetime) -> timedelta | None:
    window, progress = job.spec.options.window, job.progress
    assert window is not None
    return misses(
        now,
        job.create_time + window,
        rows=progress.rows,
        rows_done=progress.rows_done,
        rows_per_second=progress.rows_per_second,
        window=window,
    )
