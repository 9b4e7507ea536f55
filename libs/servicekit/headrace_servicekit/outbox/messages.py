"""From `headrace.webhook.v1` to webhooks and back."""

from __future__ import annotations

from typing import Any, TypeVar

from headrace.webhook.v1 import webhook_pb2 as pb

from headrace_servicekit.outbox.destinations import shown as shown_url
from headrace_servicekit.outbox.events import Format
from headrace_servicekit.outbox.webhooks import Webhook
from headrace_servicekit.resource_names import ID_RULE, ids, invalid, is_id, shown
from headrace_servicekit.resources import Kind

# A message of this package, or of the monitor, whose webhooks have more fields.
Filled = TypeVar("Filled", bound=Any)

_FORMATS = {
    pb.Webhook.FORMAT_UNSPECIFIED: Format.CLOUD_EVENT,
    pb.Webhook.FORMAT_CLOUD_EVENT: Format.CLOUD_EVENT,
    pb.Webhook.FORMAT_SLACK: Format.SLACK,
    pb.Webhook.FORMAT_PAGERDUTY: Format.PAGERDUTY,
}


def webhook_kind(collection: str) -> Kind[Webhook]:
    """Return the webhooks of a service, named `{collection}/{webhook}`."""

    def value_of(message: pb.Webhook) -> Webhook:
        return Webhook(**webhook_fields(message, collection))

    def message_of(webhook: Webhook) -> pb.Webhook:
        return fill_webhook(pb.Webhook(), webhook, collection)

    return Kind(pb.Webhook, f"{collection}/{{webhook}}", value_of, message_of)


def webhook_fields(message: Any, collection: str) -> dict[str, Any]:
    """Return what every webhook has, from a message. Raises InvalidArgument."""
    if message.format not in _FORMATS:
        raise invalid("webhook.format", f"{message.format} is not a format", reason="WEBHOOK_INVALID")
    if message.model and not is_id(message.model):
        problem = f"{shown(message.model)} is not the id of a model ({ID_RULE}); empty means every model"
        raise invalid("webhook.model", problem, reason="WEBHOOK_INVALID")
    return {
        "name": ids(message.name, "webhook.name", f"{collection}/{{webhook}}")[0],
        "url": message.url,
        "secret": message.secret,
        "format": _FORMATS[message.format],
        "model": message.model,
    }


def fill_webhook(message: Filled, webhook: Webhook, collection: str) -> Filled:
    """Return a message with a webhook in it, without its secret; the path of a Slack URL is one."""
    message.name = f"{collection}/{webhook.name}"
    message.url = shown_url(webhook.url) if webhook.format is Format.SLACK else webhook.url
    message.format = getattr(pb.Webhook, f"FORMAT_{webhook.format.name}")
    message.model = webhook.model
    message.waiting = webhook.waiting
    message.last_error = webhook.last_error
    if webhook.last_success_time is not None:
        message.last_success_time.FromDatetime(webhook.last_success_time)
    return message
