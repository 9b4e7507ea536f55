"""The registry put together: what `__main__` runs, and tests run in their own process."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from headrace.registry.v1 import webhook_pb2, webhook_pb2_grpc
from headrace_servicekit.outbox.messages import webhook_kind
from headrace_servicekit.outbox.outbox import Outbox
from headrace_servicekit.outbox.webhooks import Webhooks
from headrace_servicekit.outbox.wiring import keep_lineage_receiver, start_deliveries
from headrace_servicekit.postgres.connections import Address, Connections
from headrace_servicekit.postgres.head_storage import start_storing
from headrace_servicekit.resources import serve_kind
from headrace_servicekit.runtime import Runtime
from headrace_servicekit.s3 import Place

from headrace_registry.api.wiring import serve
from headrace_registry.artifacts.content import FormatProcess, Inspection, OnnxProcess
from headrace_registry.artifacts.fusion import FusionProcess
from headrace_registry.artifacts.s3 import S3Blobs
from headrace_registry.retention.expiry import EXPIRE_EVERY_S, collect, expire, policy_of
from headrace_registry.retention.garbage_collection import GarbageCollector
from headrace_registry.settings import RegistrySettings
from headrace_registry.storage import rows
from headrace_registry.storage.postgres import HISTORY, PostgresStore


async def start(runtime: Runtime[RegistrySettings]) -> None:
    """Build the service on PostgreSQL and S3. Neither has to be up: calls are UNAVAILABLE until they are."""
    settings = runtime.settings
    connections = Connections(Address.of(settings), owner="registry", size=settings.database_connections)
    connections = await runtime.enter(connections)
    blobs = await runtime.enter(S3Blobs(Place.of(settings), settings.s3_public_endpoint))
    store = PostgresStore(connections)

    there = runtime.migrated(store)
    runtime.check("postgres", store.check)
    # Promotions and reads go on without it: only uploads need it.
    runtime.check("s3", blobs.check, required=False)
    onnx = OnnxProcess(timeout_s=settings.onnx_check_timeout_s)
    inspection = Inspection(onnx, FormatProcess(timeout_s=settings.onnx_check_timeout_s))
    fuse = FusionProcess(timeout_s=settings.onnx_check_timeout_s, max_bytes=settings.max_artifact_bytes)
    metrics = serve(runtime, store, blobs, inspection, onnx.try_out, fuse)
    outbox = Outbox(connections, rows.told, hold=settings.webhook_hold)
    guard = await start_deliveries(runtime, settings, outbox, inside=settings.called, count=metrics.delivery)
    keep_lineage_receiver(runtime, settings, connections, there)
    webhooks = webhook_pb2_grpc.RegistryWebhookServiceServicer()
    service = webhook_pb2.DESCRIPTOR.services_by_name["RegistryWebhookService"]
    serve_kind(webhooks, service, webhook_kind("registryWebhooks"), Webhooks(connections, guard))
    webhook_pb2_grpc.add_RegistryWebhookServiceServicer_to_server(webhooks, runtime.servers[0])
    expiry = partial(expire, store, blobs, runtime.clock, remember=timedelta(hours=settings.request_id_memory_h))
    runtime.every("sweep", EXPIRE_EVERY_S, expiry)
    collector = GarbageCollector(store, blobs, policy_of(settings), runtime.clock)
    runtime.every("collect", settings.collection_every_s, partial(collect, collector, metrics), after=there)
    await start_storing(runtime, HISTORY, connections, there)
