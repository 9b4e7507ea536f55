"""The events that webhooks get about an alert. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from headrace_servicekit.outbox.events import Event
from headrace_servicekit.outbox.formats import time_text
from headrace_statistics.severity import Severity

from headrace_monitor.alert.decisions.values import Alert, Kind

SOURCE = "/headrace/monitor"
EVENT_TYPES = {
    Kind.OPENED: "headrace.alert.opened",
    Kind.ESCALATED: "headrace.alert.escalated",
    Kind.RESOLVED: "headrace.alert.resolved",
    Kind.RETRAIN: "headrace.model.retrain",
}

_LEVELS = {Severity.HIGH: "critical", Severity.MEDIUM: "error", Severity.LOW: "warning"}


def event_of(delivery: UUID, kind: Kind, alert: Alert, time: datetime) -> Event:
    """Return what happened to an alert, which is as it was then."""
    key, severity = alert.key, alert.severity.name
    subject = f"alerts/{alert.id}"
    if kind is Kind.RETRAIN:
        subject = f"models/{key.model}" + (f"/versions/{key.version}" if key.version else "")
    state = {Kind.RESOLVED: "Resolved", Kind.ESCALATED: f"Now {severity}"}.get(kind, severity)
    notes = []
    if alert.freeze and alert.open:
        notes.append("Rollouts of the model are to stop.")
    if alert.retrain and alert.open:
        notes.append("The model is to be trained again.")
    return Event(
        delivery,
        SOURCE,
        EVENT_TYPES[kind],
        subject,
        time,
        _data(alert),
        headline=f"{state}: {key.rule}",
        about=key.subject or f"{key.model} {key.version}".strip(),
        summary=alert.summary,
        incident=f"headrace/alerts/{alert.id}",
        notes=tuple(notes),
        ends=kind is Kind.RESOLVED,
        level=_LEVELS.get(alert.severity, "info"),
        origin=key.subject or key.model,
        component=key.subject or key.version or key.model,
        category=alert.signal,
    )


def _data(alert: Alert) -> dict[str, Any]:
    """Return an alert as the REST API writes it."""
    data = {
        "name": f"alerts/{alert.id}",
        "state": "STATE_OPEN" if alert.open else "STATE_RESOLVED",
        "rule": alert.key.rule,
        "model": alert.key.model,
        "version": alert.key.version,
        "subject": alert.key.subject,
        "signal": alert.signal,
        "severity": f"SEVERITY_{alert.severity.name}",
        "summary": alert.summary,
        "value": alert.value,
        "open_time": time_text(alert.open_time),
        "freeze": alert.freeze,
        "retrain": alert.retrain,
    }
    return data if alert.resolve_time is None else {**data, "resolve_time": time_text(alert.resolve_time)}
