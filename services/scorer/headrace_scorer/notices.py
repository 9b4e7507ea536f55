"""Notifications about jobs to webhooks and the lineage collector, through the outbox."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from headrace_servicekit.outbox.events import Event as Sent
from headrace_servicekit.outbox.outbox import Notice, enqueue
from headrace_servicekit.outbox.webhooks import webhooks_of

from headrace_scorer import lineage
from headrace_scorer.decisions.events import LEVELS, event_of
from headrace_scorer.decisions.jobs import Event, Job
from headrace_scorer.documents import notice_json, notice_of


async def tell(connection: Any, job: Job, number: int, event: Event, time: datetime) -> None:
    """Enqueue the notifications of a job event in the caller's transaction. number: of the event."""
    await lineage.tell(connection, job, number, event, time)
    if event.type in LEVELS:
        webhooks = await webhooks_of(connection, job.model)
        await enqueue(
            connection, [Notice(name, str(job.id), str(number), notice_json(event, job)) for name in webhooks]
        )


def event_in(row: Any) -> Sent:
    """Return the CloudEvent of a row of the deliveries table."""
    return event_of(row["id"], *notice_of(row["body"]), row["create_time"])
