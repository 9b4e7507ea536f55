"""From `headrace.webhook.v1` to webhooks and back."""

from __future__ import annotations

from headrace.webhook.v1 import webhook_pb2 as pb

from headrace_servicekit.outbox.destinations import shown
from headrace_servicekit.outbox.events import Format
from headrace_servicekit.outbox.webhooks import Webhook
from headrace_servicekit.request_fields import optional_id
from headrace_servicekit.resource_names import ids, invalid

_FORMATS = {
    pb.Webhook.FORMAT_UNSPECIFIED: Format.CLOUD_EVENT,
    pb.Webhook.FORMAT_CLOUD_EVENT: Format.CLOUD_EVENT,
    pb.Webhook.FORMAT_SLACK: Format.SLACK,
    pb.Webhook.FORMAT_PAGERDUTY: Format.PAGERDUTY,
}


def webhook_id(name: str, field: str, collection: str) -> str:
    """Return the webhook in `{collection}/{webhook}`. Raises InvalidArgument that names `field`."""
    (webhook,) = ids(name, field, f"{collection}/{{webhook}}")
    return webhook


def webhook_of(message: pb.Webhook, collection: str) -> Webhook:
    """Return the webhook of a message, named `{collection}/{webhook}`. Raises InvalidArgument."""
    if message.format not in _FORMATS:
        raise invalid("webhook.format", f"{message.format} is not a format")
    return Webhook(
        name=webhook_id(message.name, "webhook.name", collection),
        url=message.url,
        secret=message.secret,
        format=_FORMATS[message.format],
        model=optional_id(message.model, "webhook.model"),
    )


def to_webhook(webhook: Webhook, collection: str) -> pb.Webhook:
    """Return a webhook without its secret; the path of a Slack URL is one."""
    message = pb.Webhook(
        name=f"{collection}/{webhook.name}",
        url=shown(webhook.url) if webhook.format is Format.SLACK else webhook.url,
        format=getattr(pb.Webhook, f"FORMAT_{webhook.format.name}"),
        model=webhook.model,
        waiting=webhook.waiting,
        last_error=webhook.last_error,
    )
    if webhook.last_success_time is not None:
        message.last_success_time.FromDatetime(webhook.last_success_time)
    return message
