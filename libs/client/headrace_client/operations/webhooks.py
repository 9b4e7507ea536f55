"""Who hears of models by HTTP."""

from __future__ import annotations

from headrace.registry.v1 import webhook_pb2 as registry_webhook_pb2
from headrace.webhook.v1.webhook_pb2 import Webhook

from headrace_client.calls import Operation, Session, invoke
from headrace_client.operations.models import DEFAULT_TIMEOUT_S


def put_registry_webhook(
    session: Session, webhook: Webhook, *, timeout: float = DEFAULT_TIMEOUT_S
) -> Operation[Webhook]:
    """Create a webhook for events of models, or replace the one of its name. Without a secret the former one stays."""
    request = registry_webhook_pb2.PutRegistryWebhookRequest(webhook=webhook)
    return (
        yield from invoke(session, registry_webhook_pb2.PutRegistryWebhookResponse, request, timeout_s=timeout)
    ).webhook


def list_registry_webhooks(session: Session, *, timeout: float = DEFAULT_TIMEOUT_S) -> Operation[list[Webhook]]:
    """Return the webhooks for events of models, with the state of their deliveries."""
    request = registry_webhook_pb2.ListRegistryWebhooksRequest()
    return list(
        (
            yield from invoke(session, registry_webhook_pb2.ListRegistryWebhooksResponse, request, timeout_s=timeout)
        ).webhooks
    )


def delete_registry_webhook(session: Session, name: str, *, timeout: float = DEFAULT_TIMEOUT_S) -> Operation[None]:
    """Remove a webhook and its undelivered events; one that does not exist is no error."""
    request = registry_webhook_pb2.DeleteRegistryWebhookRequest(name=f"registryWebhooks/{name}")
    yield from invoke(session, registry_webhook_pb2.DeleteRegistryWebhookResponse, request, timeout_s=timeout)
