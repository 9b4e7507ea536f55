"""The registry put together: what `__main__` runs, and tests run in their own process."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

from headrace.registry.v1 import registry_pb2_grpc
from headrace_servicekit.errors import Unavailable
from headrace_servicekit.loops import periodic
from headrace_servicekit.postgres.connections import Address, Connections
from headrace_servicekit.runtime import Runtime
from headrace_servicekit.s3 import Place

from headrace_registry.artifacts.blobs import Blobs
from headrace_registry.artifacts.content import Inspection, OnnxProcess
from headrace_registry.artifacts.s3 import S3Blobs
from headrace_registry.artifacts.staging import StagedUploads
from headrace_registry.artifacts.uploads import ABANDONED_AFTER, UploadLimits, Uploads
from headrace_registry.catalog import Catalog
from headrace_registry.collection import Collection
from headrace_registry.holding import Holds
from headrace_registry.measuring import Measuring
from headrace_registry.metrics import Metrics
from headrace_registry.promotion import Promotions
from headrace_registry.registration import Registrations
from headrace_registry.retention import Policy
from headrace_registry.servicer import RegistryServicer
from headrace_registry.settings import RegistrySettings
from headrace_registry.storage.postgres import PostgresStore
from headrace_registry.storage.store import Store
from headrace_registry.watch import feed_of

SWEEP_S = 600.0
SWEEP_REQUESTS = 1000


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
    metrics = serve(runtime, store, blobs, Inspection(OnnxProcess(timeout_s=settings.onnx_check_timeout_s)))
    runtime.loop("sweep", lambda: periodic("sweep", lambda: sweep(store, blobs, runtime), every_s=SWEEP_S))
    collection = Collection(store, blobs, policy_of(settings), runtime.clock)

    async def collect_often() -> None:
        await there.wait()
        await periodic("collect", lambda: collect(collection, metrics), every_s=settings.collection_every_s)

    runtime.loop("collect", collect_often)


def policy_of(settings: RegistrySettings) -> Policy:
    """Return for how long things are kept that nothing needs."""

    def days(value: float | None) -> timedelta | None:
        return None if value is None else timedelta(days=value)

    grace = timedelta(hours=settings.unnamed_grace_h)
    return Policy(grace, days(settings.archive_after_d), days(settings.collect_after_d))


def serve(runtime: Runtime[RegistrySettings], store: Store, blobs: Blobs, inspection: Inspection) -> Metrics:
    """Offer RegistryService over these stores; return its instruments."""
    settings, clock = runtime.settings, runtime.clock
    metrics = Metrics(runtime.metrics)
    limits = UploadLimits(
        settings.max_artifact_bytes,
        settings.max_uploads,
        settings.upload_idle_s,
        settings.upload_min_bytes_per_s,
        settings.upload_dir,
    )
    uploads = Uploads(store, blobs, inspection, limits, clock)
    staged = StagedUploads(store, blobs, uploads, clock)
    runtime.loop("staged", lambda: periodic("staged", lambda: sweep_staged(staged), every_s=SWEEP_S))
    feed = feed_of(store, clock, max_watches=settings.max_watches)
    metrics.follow(watches=lambda: feed.watches, uploads=lambda: uploads.active)
    servicer = RegistryServicer(
        catalog=Catalog(store, clock),
        registrations=Registrations(store, clock),
        promotions=Promotions(store, clock),
        holds=Holds(store, clock),
        measuring=Measuring(store, clock),
        uploads=uploads,
        staged=staged,
        feed=feed,
        metrics=metrics,
        stopping=runtime.stopping,
    )
    registry_pb2_grpc.add_RegistryServiceServicer_to_server(servicer, runtime.server())
    runtime.loop("feed", feed.run)
    runtime.loop("listen", lambda: periodic("listen", feed.listen, every_s=1.0))
    return metrics


async def sweep(store: Store, blobs: S3Blobs, runtime: Runtime[RegistrySettings]) -> None:
    """Forget old request ids and holds that expired, and drop parts of uploads whose process died."""
    now = runtime.clock.now()
    memory = timedelta(hours=runtime.settings.request_id_memory_h)
    try:
        while await store.forget_requests(now - memory, limit=SWEEP_REQUESTS) == SWEEP_REQUESTS:
            pass
        await store.forget_holds(now)
        await blobs.abort_abandoned(now - ABANDONED_AFTER)
    except Unavailable:
        pass  # health tells; the next sweep does it


async def sweep_staged(staged: StagedUploads) -> None:
    """Remove what expired uploads by URL have left."""
    with suppress(Unavailable):  # health tells; the next sweep does it
        await staged.sweep()


async def collect(collection: Collection, metrics: Metrics) -> None:
    """Remove what nothing needs any more."""
    with suppress(Unavailable):
        report = await collection.run()
        metrics.collected(
            len(report.archived), len(report.collected), len(report.removed), sum(report.removed.values())
        )
