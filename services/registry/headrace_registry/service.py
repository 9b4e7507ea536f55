"""The registry put together: what `__main__` runs, and tests run in their own process."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from headrace.registry.v1 import approval_pb2_grpc, registry_pb2_grpc, webhook_pb2, webhook_pb2_grpc
from headrace_runtime.signatures import policy_file
from headrace_servicekit.outbox.messages import webhook_kind
from headrace_servicekit.outbox.outbox import Outbox
from headrace_servicekit.outbox.webhooks import Webhooks
from headrace_servicekit.outbox.wiring import keep_lineage_receiver, start_deliveries
from headrace_servicekit.postgres.connections import Address, Connections
from headrace_servicekit.postgres.head_storage import start_storing
from headrace_servicekit.resources import serve_kind
from headrace_servicekit.runtime import Runtime
from headrace_servicekit.s3 import Place

from headrace_registry.api.approval_servicer import ApprovalServicer
from headrace_registry.api.servicer import RegistryServicer
from headrace_registry.artifacts.blobs import Blobs
from headrace_registry.artifacts.content import FormatProcess, Inspection, OnnxProcess
from headrace_registry.artifacts.downloads import Downloads
from headrace_registry.artifacts.format_policy import FormatPolicy
from headrace_registry.artifacts.fusion import Fuse, FusionProcess
from headrace_registry.artifacts.s3 import S3Blobs
from headrace_registry.artifacts.signatures import Signatures
from headrace_registry.artifacts.signed_uploads import StagedUploads
from headrace_registry.artifacts.trials import Trials, TryOut
from headrace_registry.artifacts.uploads import UploadLimits, Uploads
from headrace_registry.catalog.composition import Composing
from headrace_registry.catalog.measurements import Measurements
from headrace_registry.catalog.reads import Catalog, feed_of
from headrace_registry.catalog.registration import Registrations
from headrace_registry.catalog.serving_settings import ServingUpdates
from headrace_registry.metrics import Metrics
from headrace_registry.promotion.approvals import Approvals
from headrace_registry.promotion.holds import Holds
from headrace_registry.promotion.promotion_requests import SWEEP_EVERY_S, RequestExpiry
from headrace_registry.promotion.promotions import Promotions
from headrace_registry.retention.expiry import EXPIRE_EVERY_S, collect, expire, expire_uploads, policy_of
from headrace_registry.retention.garbage_collection import GarbageCollector
from headrace_registry.settings import RegistrySettings
from headrace_registry.storage import rows
from headrace_registry.storage.postgres import HISTORY, PostgresStore
from headrace_registry.storage.store import Store


async def start(runtime: Runtime[RegistrySettings]) -> None:
    """Build the service on PostgreSQL and S3. Neither has to be up: calls are UNAVAILABLE until they are."""
    settings = runtime.settings
    address, size = Address.of(settings), settings.database_connections
    connections = await runtime.enter(Connections(address, owner="registry", size=size))
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
    outbox = Outbox(connections, rows.delivered_event, hold=settings.webhook_hold)
    guard = await start_deliveries(runtime, settings, outbox, inside=settings.called, count=metrics.delivery)
    keep_lineage_receiver(runtime, settings, connections, there)
    webhooks, kind = webhook_pb2_grpc.RegistryWebhookServiceServicer(), webhook_kind("registryWebhooks")
    service = webhook_pb2.DESCRIPTOR.services_by_name["RegistryWebhookService"]
    serve_kind(webhooks, service, kind, Webhooks(connections, guard))
    webhook_pb2_grpc.add_RegistryWebhookServiceServicer_to_server(webhooks, runtime.servers[0])
    remember = timedelta(hours=settings.request_id_memory_h)
    runtime.every("sweep", EXPIRE_EVERY_S, partial(expire, store, blobs, runtime.clock, remember=remember))
    collector = GarbageCollector(store, blobs, policy_of(settings), runtime.clock)
    runtime.every("collect", settings.collection_every_s, partial(collect, collector, metrics), after=there)
    await start_storing(runtime, HISTORY, connections, there)


def serve(
    runtime: Runtime[RegistrySettings], store: Store, blobs: Blobs, inspection: Inspection, try_out: TryOut, fuse: Fuse
) -> Metrics:
    """Offer RegistryService and ApprovalService over these stores; return their instruments."""
    settings, clock = runtime.settings, runtime.clock
    metrics = Metrics(runtime.metrics)
    signatures = Signatures(blobs, policy_file.followed(runtime, settings.signing_policy_file))
    uploads = Uploads(store, blobs, inspection, UploadLimits.of(settings), clock)
    staged = StagedUploads(store, blobs, uploads, clock)
    runtime.every("staged", EXPIRE_EVERY_S, partial(expire_uploads, staged))
    feed = feed_of(store, clock, max_watches=settings.max_watches)
    metrics.follow(watches=lambda: feed.watches, uploads=lambda: uploads.active)
    catalog, promotions = Catalog(store, clock), Promotions(store, clock, signatures)
    approvals = Approvals(store, promotions, clock)
    runtime.every("requests", SWEEP_EVERY_S, RequestExpiry(store).sweep)
    servicer = RegistryServicer(
        catalog=catalog,
        registrations=Registrations(store, clock),
        trials=Trials(store, blobs, try_out, clock, directory=settings.upload_dir),
        promotions=promotions,
        serving=ServingUpdates(store, clock),
        holds=Holds(store, clock),
        policy=FormatPolicy(
            *(store, blobs, clock, signatures), allow_code=settings.allow_code, targets=settings.oip_targets
        ),
        measuring=Measurements(store, clock),
        composing=Composing(store, blobs, uploads, fuse, clock, directory=settings.upload_dir),
        uploads=uploads,
        staged=staged,
        downloads=Downloads(blobs),
        feed=feed,
        metrics=metrics,
        stopping=runtime.stopping,
    )
    server = runtime.server()
    registry_pb2_grpc.add_RegistryServiceServicer_to_server(servicer, server)
    approval_pb2_grpc.add_ApprovalServiceServicer_to_server(ApprovalServicer(catalog, approvals, metrics), server)
    runtime.loop("feed", feed.run)
    runtime.every("listen", 1.0, feed.listen)
    return metrics
