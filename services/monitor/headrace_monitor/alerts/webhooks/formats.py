"""What is sent to whom: CloudEvents, Slack, PagerDuty, and the signature. Pure functions."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from headrace_statistics.severity import Severity

from headrace_monitor.alerts.values import Alert, Delivery, Format, Kind

SIGNATURE_HEADER = "Headrace-Signature"
# The same for every attempt of a delivery: who sees one twice has it already.
DELIVERY_HEADER = "Headrace-Delivery"

SOURCE = "/headrace/monitor"
EVENT_TYPES = {
    Kind.OPENED: "headrace.alert.opened",
    Kind.ESCALATED: "headrace.alert.escalated",
    Kind.RESOLVED: "headrace.alert.resolved",
    Kind.RETRAIN: "headrace.model.retrain",
}

_PAGERDUTY_SEVERITIES = {Severity.HIGH: "critical", Severity.MEDIUM: "error", Severity.LOW: "warning"}
_PAGERDUTY_SUMMARY_CHARS = 1024
_SLACK_CHARS = 3000


@dataclass(frozen=True, slots=True)
class Message:
    """Body and headers of one POST."""

    body: bytes
    headers: dict[str, str]


def message(delivery: Delivery, now: datetime) -> Message:
    """Return what is sent for a delivery: the same body in every attempt, with the time of the attempt signed."""
    kind, body = _FORMATS[delivery.webhook.format](delivery)
    text = json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
    headers = {"Content-Type": kind, "User-Agent": "headrace-monitor", DELIVERY_HEADER: str(delivery.id)}
    # The routing key of PagerDuty is no key to sign with: it stands in the body.
    if delivery.webhook.secret and delivery.webhook.format is not Format.PAGERDUTY:
        headers[SIGNATURE_HEADER] = signature(delivery.webhook.secret, text, now)
    return Message(text, headers)


def signature(secret: str, body: bytes, now: datetime) -> str:
    """Return the value of the signature's header: `t={seconds},v1={HMAC-SHA-256 of "{t}.{body}" in hex}`."""
    seconds = int(now.timestamp())
    digest = hmac.new(secret.encode(), f"{seconds}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={seconds},v1={digest}"


def _cloud_event(delivery: Delivery) -> tuple[str, dict[str, Any]]:
    alert = delivery.alert
    subject = f"alerts/{alert.id}"
    if delivery.kind is Kind.RETRAIN:
        subject = f"models/{alert.key.model}"
        subject += f"/versions/{alert.key.version}" if alert.key.version else ""
    return "application/cloudevents+json", {
        "specversion": "1.0",
        "id": str(delivery.id),
        "source": SOURCE,
        "type": EVENT_TYPES[delivery.kind],
        "subject": subject,
        "time": _time(delivery.create_time),
        "datacontenttype": "application/json",
        "data": _data(alert),
    }


def _data(alert: Alert) -> dict[str, Any]:
    """Return an alert as the REST API writes it."""
    data = {
        "name": f"alerts/{alert.id}",
        "state": "STATE_OPEN" if alert.open else "STATE_RESOLVED",
        "rule": alert.key.rule,
        "model": alert.key.model,
        "version": alert.key.version,
        "signal": alert.signal,
        "severity": f"SEVERITY_{alert.severity.name}",
        "summary": alert.summary,
        "value": alert.value,
        "open_time": _time(alert.open_time),
        "freeze": alert.freeze,
        "retrain": alert.retrain,
    }
    return data if alert.resolve_time is None else {**data, "resolve_time": _time(alert.resolve_time)}


def _slack(delivery: Delivery) -> tuple[str, dict[str, Any]]:
    alert = delivery.alert
    state = {Kind.RESOLVED: "Resolved", Kind.ESCALATED: f"Now {alert.severity.name}"}.get(
        delivery.kind, alert.severity.name
    )
    lines = [f"*{state}: {_escaped(alert.key.rule)}* of {_escaped(_about(alert))}", _escaped(alert.summary)]
    if alert.freeze and alert.open:
        lines.append("Rollouts of the model are to stop.")
    if alert.retrain and alert.open:
        lines.append("The model is to be trained again.")
    text = "\n".join(lines)
    if len(text) > _SLACK_CHARS:
        text = text[: _SLACK_CHARS - 1] + "…"
    return "application/json", {
        "text": text,
        "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": text}}],
    }


def _pagerduty(delivery: Delivery) -> tuple[str, dict[str, Any]]:
    alert = delivery.alert
    event: dict[str, Any] = {
        "routing_key": delivery.webhook.secret,
        "event_action": "resolve" if delivery.kind is Kind.RESOLVED else "trigger",
        "dedup_key": f"headrace/alerts/{alert.id}",
    }
    if delivery.kind is not Kind.RESOLVED:
        summary = f"{_about(alert)}: {alert.summary}"[:_PAGERDUTY_SUMMARY_CHARS]
        event["client"] = "Headrace"
        event["payload"] = {
            "summary": summary,
            "source": alert.key.model,
            "severity": _PAGERDUTY_SEVERITIES.get(alert.severity, "info"),
            "timestamp": _time(delivery.create_time),
            "component": alert.key.version or alert.key.model,
            "class": alert.signal,
            "custom_details": _data(alert),
        }
    return "application/json", event


_FORMATS = {Format.CLOUD_EVENT: _cloud_event, Format.SLACK: _slack, Format.PAGERDUTY: _pagerduty}


def _about(alert: Alert) -> str:
    return f"{alert.key.model} {alert.key.version}".strip()


def _escaped(text: str) -> str:
    """Return text that Slack shows as it is."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _time(value: datetime) -> str:
    return value.isoformat().replace("+00:00", "Z")
