"""Notifications about jobs to webhooks and the lineage collector, through the outbox."""

from __future__ import annotations

from datetime import datetime
from importlib.metadata import version as installed
from typing import Any

from headrace_servicekit.outbox.events import Event as Sent
from headrace_servicekit.outbox.lineage import is_collected, lineage_notice
from headrace_servicekit.outbox.outbox import Notice, enqueue
from headrace_servicekit.outbox.webhooks import webhooks_of
from headrace_servicekit.postgres.sql import load_queries

from headrace_scorer.decisions.events import LEVELS, event_of
from headrace_scorer.decisions.jobs import Event, Job
from headrace_scorer.decisions.lineage import run_event
from headrace_scorer.documents import notice_json, notice_of

_QUERIES = load_queries("headrace_scorer.sql")
_CODE_VERSION = installed("headrace-scorer")


async def tell(connection: Any, job: Job, number: int, event: Event, time: datetime) -> None:
    """Enqueue the notifications of a job event in the caller's transaction. number: of the event."""
    await _tell_collector(connection, job, number, event, time)
    if event.type in LEVELS:
        webhooks = await webhooks_of(connection, job.model)
        await enqueue(
            connection, [Notice(name, str(job.id), str(number), notice_json(event, job)) for name in webhooks]
        )


async def _tell_collector(connection: Any, job: Job, number: int, event: Event, time: datetime) -> None:
    """Enqueue the RunEvent of a job event in the caller's transaction if lineage is collected. number: of the event."""
    if not await is_collected(connection):
        return
    incarnation = (await connection.fetchrow(_QUERIES["position"]))["incarnation"]
    run = run_event(job, event, time, incarnation, _CODE_VERSION)
    if run is not None:
        await enqueue(connection, [lineage_notice(str(job.id), str(number), run)])


def event_in(row: Any) -> Sent:
    """Return the CloudEvent of a row of the deliveries table."""
    return event_of(row["id"], *notice_of(row["body"]), row["create_time"])
