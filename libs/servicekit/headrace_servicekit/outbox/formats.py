"""Formats of deliveries: CloudEvents, Slack, PagerDuty, and their signature. Pure functions."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from headrace_servicekit.outbox.events import Event, Format, Receiver

SIGNATURE_HEADER = "Headrace-Signature"
# The same for every attempt of a delivery: who sees one twice has it already.
DELIVERY_HEADER = "Headrace-Delivery"

_PAGERDUTY_SUMMARY_CHARS = 1024
_SLACK_CHARS = 3000


@dataclass(frozen=True, slots=True)
class Message:
    """Body and headers of one POST."""

    body: bytes
    headers: dict[str, str]


def message(event: Event, receiver: Receiver, now: datetime) -> Message:
    """Return what is sent: the same body in every attempt, with the time of the attempt signed."""
    if receiver.format is Format.CLOUD_EVENT:
        kind, body = "application/cloudevents+json", _cloud_event(event)
    elif receiver.format is Format.OPEN_LINEAGE:
        kind, body = "application/json", dict(event.data)
    else:
        kind = "application/json"
        body = _slack(event) if receiver.format is Format.SLACK else _pagerduty(event, receiver.secret)
    text = json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
    agent = event.source.strip("/").replace("/", "-")
    headers = {"Content-Type": kind, "User-Agent": agent, DELIVERY_HEADER: str(event.id)}
    # PagerDuty's routing key is not a signing key: it is part of the body.
    if receiver.secret and receiver.format is Format.OPEN_LINEAGE:
        headers["Authorization"] = f"Bearer {receiver.secret}"
    elif receiver.secret and receiver.format is not Format.PAGERDUTY:
        headers[SIGNATURE_HEADER] = signature(receiver.secret, text, now)
    return Message(text, headers)


def signature(secret: str, body: bytes, now: datetime) -> str:
    """Return the value of the signature's header: `t={seconds},v1={HMAC-SHA-256 of "{t}.{body}" in hex}`."""
    seconds = int(now.timestamp())
    digest = hmac.new(secret.encode(), f"{seconds}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={seconds},v1={digest}"


def time_text(value: datetime) -> str:
    """Return a time as JSON has it."""
    return value.isoformat().replace("+00:00", "Z")


def _cloud_event(event: Event) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": str(event.id),
        "source": event.source,
        "type": event.type,
        "subject": event.subject,
        "time": time_text(event.time),
        "datacontenttype": "application/json",
        "data": event.data,
    }


def _slack(event: Event) -> dict[str, Any]:
    lines = [f"*{_escaped(event.headline)}* of {_escaped(event.about)}", _escaped(event.summary), *event.notes]
    text = "\n".join(lines)
    if len(text) > _SLACK_CHARS:
        text = text[: _SLACK_CHARS - 1] + "…"
    return {
        "text": text,
        "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": text}}],
    }


def _pagerduty(event: Event, routing_key: str) -> dict[str, Any]:
    sent: dict[str, Any] = {
        "routing_key": routing_key,
        "event_action": "resolve" if event.ends else "trigger",
        "dedup_key": event.incident,
    }
    if not event.ends:
        sent["client"] = "Headrace"
        sent["payload"] = {
            "summary": f"{event.about}: {event.summary}"[:_PAGERDUTY_SUMMARY_CHARS],
            "source": event.origin,
            "severity": event.level,
            "timestamp": time_text(event.time),
            "component": event.component,
            "class": event.category,
            "custom_details": event.data,
        }
    return sent


def _escaped(text: str) -> str:
    """Return text that Slack shows as it is."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
