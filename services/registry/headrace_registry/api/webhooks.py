"""The RPCs of RegistryWebhookService: convert, call, convert."""

from __future__ import annotations

from headrace.registry.v1 import webhook_pb2 as pb
from headrace.registry.v1 import webhook_pb2_grpc
from headrace_servicekit.identity import identity
from headrace_servicekit.outbox.messages import to_webhook, webhook_id, webhook_of
from headrace_servicekit.outbox.webhooks import Webhooks

_COLLECTION = "registryWebhooks"


class WebhookServicer(webhook_pb2_grpc.RegistryWebhookServiceServicer):
    """RegistryWebhookService over its use cases."""

    def __init__(self, webhooks: Webhooks) -> None:
        self._webhooks = webhooks

    async def PutRegistryWebhook(self, request, context):
        kept = await self._webhooks.put(webhook_of(request.webhook, _COLLECTION), identity())
        return pb.PutRegistryWebhookResponse(webhook=to_webhook(kept, _COLLECTION))

    async def ListRegistryWebhooks(self, request, context):
        found = await self._webhooks.list(identity())
        return pb.ListRegistryWebhooksResponse(webhooks=[to_webhook(one, _COLLECTION) for one in found])

    async def DeleteRegistryWebhook(self, request, context):
        await self._webhooks.delete(webhook_id(request.name, "name", _COLLECTION), identity())
        return pb.DeleteRegistryWebhookResponse()
