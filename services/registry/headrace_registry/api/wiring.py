"""The registry's API put together over its stores."""

from __future__ import annotations

from functools import partial

from headrace.registry.v1 import approval_pb2_grpc, registry_pb2_grpc
from headrace_servicekit.runtime import Runtime

from headrace_registry.api.approval_servicer import ApprovalServicer
from headrace_registry.api.servicer import RegistryServicer
from headrace_registry.artifacts.blobs import Blobs
from headrace_registry.artifacts.code_signatures import read_keys
from headrace_registry.artifacts.content import Inspection
from headrace_registry.artifacts.downloads import Downloads
from headrace_registry.artifacts.format_policy import FormatPolicy
from headrace_registry.artifacts.fusion import Fuse
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
from headrace_registry.promotion.pools import Pools
from headrace_registry.promotion.promotion_requests import SWEEP_EVERY_S, RequestExpiry
from headrace_registry.promotion.promotions import Promotions
from headrace_registry.retention.expiry import EXPIRE_EVERY_S, expire_uploads
from headrace_registry.settings import RegistrySettings
from headrace_registry.storage.store import Store


def serve(
    runtime: Runtime[RegistrySettings],
    store: Store,
    blobs: Blobs,
    inspection: Inspection,
    try_out: TryOut,
    fuse: Fuse,
) -> Metrics:
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
    runtime.every("staged", EXPIRE_EVERY_S, partial(expire_uploads, staged))
    feed = feed_of(store, clock, max_watches=settings.max_watches)
    metrics.follow(watches=lambda: feed.watches, uploads=lambda: uploads.active)
    catalog, promotions = Catalog(store, clock), Promotions(store, clock)
    approvals = Approvals(store, promotions, clock)
    runtime.every("requests", SWEEP_EVERY_S, RequestExpiry(store).sweep)
    server = runtime.server()
    servicer = RegistryServicer(
        catalog=catalog,
        registrations=Registrations(store, clock),
        trials=Trials(store, blobs, try_out, clock, directory=settings.upload_dir),
        promotions=promotions,
        serving=ServingUpdates(store, clock),
        holds=Holds(store, clock),
        pools=Pools(store),
        policy=FormatPolicy(
            *(store, blobs, clock),
            allow_code=settings.allow_code,
            targets=settings.oip_targets,
            keys=None if settings.code_keys_file is None else read_keys(settings.code_keys_file),
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
    registry_pb2_grpc.add_RegistryServiceServicer_to_server(servicer, server)
    approval_pb2_grpc.add_ApprovalServiceServicer_to_server(ApprovalServicer(catalog, approvals, metrics), server)
    runtime.loop("feed", feed.run)
    runtime.every("listen", 1.0, feed.listen)
    return metrics
