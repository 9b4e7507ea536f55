"""The events that webhooks get about a job. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from headrace_servicekit.outbox import events

from headrace_scorer.decisions.jobs import Event, Job

SOURCE = "/headrace/scorer"
TYPE = "headrace.scoring."

# Event types that webhooks receive, with PagerDuty's severity.
LEVELS = {"late": "warning", "failed": "error", "succeeded": "info", "cancelled": "info"}
_ENDS = frozenset({"succeeded", "cancelled"})


def event_of(delivery: UUID, event: Event, job: Job, time: datetime) -> events.Event:
    """Return the CloudEvent of a job event. job: its state when the event happened."""
    return events.Event(
        delivery,
        SOURCE,
        f"{TYPE}{event.type}",
        job.name,
        time,
        _data(event, job),
        headline=f"Scoring job {event.type}",
        about=f"{job.model} {job.version.id}, job {job.id}",
        summary=event.reason or event.type,
        incident=f"headrace/{job.holder}",
        ends=event.type in _ENDS,
        level=LEVELS.get(event.type, "info"),
        origin=job.model,
        component=job.version.id,
        category="scoring",
    )


def _data(event: Event, job: Job) -> dict[str, Any]:
    """Return an event as a program reads it; names are those of the REST API."""
    return {
        "job": job.name,
        "model": job.model,
        "version": job.version.id,
        "state": f"STATE_{job.state.name}",
        "reason": event.reason,
        "failure": job.failure,
        "client": job.client,
        "input_uri": job.spec.input.uri,
        "output_uri": job.output.uri,
        "rows": job.progress.rows,
        "rows_done": job.progress.rows_done,
        "rows_rejected": job.progress.rows_rejected,
        "late": job.late,
    }
