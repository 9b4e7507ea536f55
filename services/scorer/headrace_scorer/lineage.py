"""Lineage: OpenLineage RunEvents of jobs, sent to the lineage collector through the outbox."""

from __future__ import annotations

from datetime import datetime
from importlib.metadata import version as installed
from typing import Any

from headrace_servicekit.outbox.lineage import is_collected, lineage_notice
from headrace_servicekit.outbox.outbox import enqueue
from headrace_servicekit.postgres.sql import load_queries

from headrace_scorer.decisions.jobs import Event, Job
from headrace_scorer.decisions.lineage import run_event

_QUERIES = load_queries("headrace_scorer.sql")
_CODE_VERSION = installed("headrace-scorer")


async def tell(connection: Any, job: Job, number: int, event: Event, time: datetime) -> None:
    """Enqueue the RunEvent of a job event in the caller's transaction if lineage is collected. number: of the event."""
    if not await is_collected(connection):
        return
    incarnation = (await connection.fetchrow(_QUERIES["position"]))["incarnation"]
    run = run_event(job, event, time, incarnation, _CODE_VERSION)
    if run is not None:
        await enqueue(connection, [lineage_notice(str(job.id), str(number), run)])
