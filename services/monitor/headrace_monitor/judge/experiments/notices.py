"""Notifications of experiments to webhooks, written in the transaction of the event."""

from __future__ import annotations

from typing import Any

from headrace_servicekit.outbox.events import Event
from headrace_servicekit.outbox.outbox import Notice, enqueue

from headrace_monitor.alert.webhooks import webhooks
from headrace_monitor.judge.experiments.decisions import events
from headrace_monitor.judge.experiments.decisions.definitions import Experiment
from headrace_monitor.judge.experiments.decisions.events import Kind


async def notify(connection: Any, experiment: Experiment, kind: Kind, reason: str, variant: str = "") -> None:
    """Enqueue an event for the webhooks that subscribe to it; each kind once, safe to repeat."""
    topic = f"models/{experiment.model}/experiments/{experiment.id}"
    body = events.body_of(experiment, kind, reason, variant)
    concerned = [one for one in await webhooks(connection) if events.concerns(one, kind, experiment.model)]
    await enqueue(connection, [Notice(one.name, topic, kind.value, body) for one in concerned])


def event_in(row: Any) -> Event:
    """Return the CloudEvent of a row of the deliveries table."""
    return events.event_of(row["id"], row["body"], row["create_time"])
