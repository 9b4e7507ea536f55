"""The RPCs of RegistryWebhookService: convert, call, convert."""

from __future__ import annotations

from headrace.registry.v1 import webhook_pb2 as pb
from headrace.registry.v1 import webhook_pb2_grpc
from headrace_servicekit.identity import identity
from headrace_servicekit.outbox.destinations import shown
from headrace_servicekit.outbox.events import Format
from headrace_servicekit.outbox.webhooks import Webhook, Webhooks

from headrace_registry.api.answers import timestamp
from headrace_registry.decisions import names

_FORMATS = {
    pb.RegistryWebhook.FORMAT_UNSPECIFIED: Format.CLOUD_EVENT,
    pb.RegistryWebhook.FORMAT_CLOUD_EVENT: Format.CLOUD_EVENT,
    pb.RegistryWebhook.FORMAT_SLACK: Format.SLACK,
    pb.RegistryWebhook.FORMAT_PAGERDUTY: Format.PAGERDUTY,
}


class WebhookServicer(webhook_pb2_grpc.RegistryWebhookServiceServicer):
    """RegistryWebhookService over its use cases."""

    def __init__(self, webhooks: Webhooks) -> None:
        self._webhooks = webhooks

    async def PutRegistryWebhook(self, request, context):
        kept = await self._webhooks.put(_webhook_of(request.webhook), identity())
        return pb.PutRegistryWebhookResponse(webhook=_to_webhook(kept))

    async def ListRegistryWebhooks(self, request, context):
        found = await self._webhooks.list(identity())
        return pb.ListRegistryWebhooksResponse(webhooks=[_to_webhook(one) for one in found])

    async def DeleteRegistryWebhook(self, request, context):
        await self._webhooks.delete(names.webhook_id(request.name, "name"), identity())
        return pb.DeleteRegistryWebhookResponse()


def _webhook_of(message: pb.RegistryWebhook) -> Webhook:
    """Return the webhook of a message. Raises InvalidArgument."""
    if message.format not in _FORMATS:
        raise names.invalid("webhook.format", f"{message.format} is not a format")
    return Webhook(
        name=names.webhook_id(message.name, "webhook.name"),
        url=message.url,
        secret=message.secret,
        format=_FORMATS[message.format],
        model=names.model_id(f"models/{message.model}", "webhook.model") if message.model else "",
    )


def _to_webhook(webhook: Webhook) -> pb.RegistryWebhook:
    """Return a webhook without its secret; the path of a Slack URL is one."""
    message = pb.RegistryWebhook(
        name=f"registryWebhooks/{webhook.name}",
        url=shown(webhook.url) if webhook.format is Format.SLACK else webhook.url,
        format=getattr(pb.RegistryWebhook, f"FORMAT_{webhook.format.name}"),
        model=webhook.model,
        waiting=webhook.waiting,
        last_error=webhook.last_error,
    )
    if webhook.last_success_time is not None:
        message.last_success_time.CopyFrom(timestamp(webhook.last_success_time))
    return message
