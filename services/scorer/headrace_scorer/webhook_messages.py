"""Webhooks between messages and values."""

from __future__ import annotations

import re

from headrace.scorer.v1 import scorer_pb2 as pb
from headrace_servicekit.outbox.destinations import shown
from headrace_servicekit.outbox.events import Format
from headrace_servicekit.outbox.webhooks import Webhook

from headrace_scorer.convert import invalid, name
from headrace_scorer.lineage import RECEIVER

_NAME = re.compile(r"scoringWebhooks/([a-z0-9]+(?:-[a-z0-9]+)*)")
_MAX_NAME_CHARS = 63
_FORMATS = {
    pb.ScoringWebhook.FORMAT_UNSPECIFIED: Format.CLOUD_EVENT,
    pb.ScoringWebhook.FORMAT_CLOUD_EVENT: Format.CLOUD_EVENT,
    pb.ScoringWebhook.FORMAT_SLACK: Format.SLACK,
    pb.ScoringWebhook.FORMAT_PAGERDUTY: Format.PAGERDUTY,
}


def webhook_name(text: str, field: str) -> str:
    """Return the webhook of `scoringWebhooks/{webhook}`."""
    match = _NAME.fullmatch(text)
    if match is None or len(match[1]) > _MAX_NAME_CHARS:
        raise invalid(
            field, f"'{text[:80]}' is not scoringWebhooks/{{webhook}} with lower-case words joined by hyphens"
        )
    if match[1] == RECEIVER:
        raise invalid(field, f"'{RECEIVER}' is the name of whoever collects lineage: choose another one")
    return match[1]


def webhook_of(message: pb.ScoringWebhook) -> Webhook:
    """Return the webhook of a message."""
    if message.format not in _FORMATS:
        raise invalid("webhook.format", f"{message.format} is not a format")
    return Webhook(
        name=webhook_name(message.name, "webhook.name"),
        url=message.url,
        secret=message.secret,
        format=_FORMATS[message.format],
        model=name(message.model, "webhook.model"),
    )


def to_webhook(webhook: Webhook) -> pb.ScoringWebhook:
    """Return a webhook without its secret; the path of a Slack URL is one."""
    message = pb.ScoringWebhook(
        name=f"scoringWebhooks/{webhook.name}",
        url=shown(webhook.url) if webhook.format is Format.SLACK else webhook.url,
        format=getattr(pb.ScoringWebhook, f"FORMAT_{webhook.format.name}"),
        model=webhook.model,
        waiting=webhook.waiting,
        last_error=webhook.last_error,
    )
    if webhook.last_success_time is not None:
        message.last_success_time.FromDatetime(webhook.last_success_time)
    return message
