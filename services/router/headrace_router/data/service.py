"""The data plane put together: what `__main__` runs in a process of its own, and `envoy_service` inside Envoy."""

from __future__ import annotations

import asyncio
from importlib import metadata

from headrace_servicekit.runtime import Runtime

from headrace_router.data import dependencies, monitor_reports
from headrace_router.data.explain.servicer import Explaining
from headrace_router.data.fallbacks.chain import FallbackChain
from headrace_router.data.fallbacks.degraded import DegradedAnswers
from headrace_router.data.lookup.lookup import Lookup
from headrace_router.data.lookup.metrics import Counts
from headrace_router.data.pipelines.online import PipelineProspects
from headrace_router.data.plane import DataPlane
from headrace_router.data.predictor import Predictor, new_id
from headrace_router.data.protocols.oip.catalog import Catalog
from headrace_router.data.settings import DataSettings
from headrace_router.data.telemetry.accesslog import AccessLog
from headrace_router.data.telemetry.counters import Counters
from headrace_router.data.telemetry.gauges import Gauges, SavedCompute
from headrace_router.data.transports.call_context import CallContextFactory, DeadlineLimits
from headrace_router.data.transports.grpc_aio.inference import InferenceReads
from headrace_router.data.transports.grpc_aio.partwise import PartwisePredictions
from headrace_router.data.transports.grpc_aio.streams import PredictionStreams
from headrace_router.data.transports.grpc_aio.transport import METHODS, GrpcTransport
from headrace_router.data.transports.pace import ClientPace
from headrace_router.data.transports.rest.app import METHOD as REST_PREDICT
from headrace_router.data.transports.rest.event_stream import EventStreams
from headrace_router.data.transports.rest.inference_paths import InferencePaths


async def start(runtime: Runtime[DataSettings]) -> DataPlane:
    """Wire the data plane: every dependency by name. Return what a further transport needs."""
    dependencies.calm_collector()
    settings, loop = runtime.settings, asyncio.get_running_loop()
    control = await dependencies.control_plane(runtime)
    watcher = await dependencies.follow_tables(runtime, control)
    pools = dependencies.batcher_pools(runtime)
    counters = Counters(reporting=bool(settings.monitor_target))
    degraded, counts = DegradedAnswers(), Counts()
    explanations = await dependencies.kept_explanations(runtime, watcher)
    monitor = await monitor_reports.monitor_ingest(runtime)
    store = dependencies.store(runtime, counts)
    rate_limits, budgets = await dependencies.client_limits(runtime, store, watcher, control)
    reporting = await monitor_reports.begin_reporting(runtime, counters, monitor)
    layers = dependencies.cache_layers(runtime, counts, store)
    online = dependencies.pipelines(runtime, pools, reporting, layers.memory)
    await dependencies.wake_pools(runtime, pools)
    prospects = PipelineProspects(pools.endpoints)
    access_log = AccessLog(settings.access_log_errors_per_second)
    for one in (counters, SavedCompute(counters), degraded, Gauges(pools, watcher), explanations):
        runtime.metrics.register(one)

    in_parts = dependencies.answers_in_parts(runtime, online)
    lookup = Lookup(pools, online, layers, counts, in_parts, default_ttl_s=settings.cache_ttl_s, loop=loop)
    shadowing = monitor_reports.begin_shadowing(runtime, online, monitor, lookup)
    predictor = Predictor(
        watcher.tables,
        FallbackChain(lookup, prospects, pools.budget, degraded, max_rows=settings.max_rows, now=loop.time),
        counters,
        access_log,
        explanations,
        budgets,
        rate_limits,
        record=reporting.record if reporting is not None else None,
        copy=shadowing.consider if shadowing is not None else None,
        new_id=new_id,
        max_rows=settings.max_rows,
        loop=loop,
    )
    catalog = Catalog(
        watcher.tables,
        counters,
        serves=prospects.serves,
        ready=lambda: runtime.health.ready,
        version=metadata.version("headrace-router"),
        max_rows=settings.max_rows,
    )
    for method in (*METHODS, REST_PREDICT):  # at 0: the first is then an increase, which an alert sees
        runtime.rpc_metrics.unidentified.labels(method)
    deadlines = DeadlineLimits(settings.default_deadline_s, settings.max_deadline_s)
    contexts = CallContextFactory(
        settings.access_log_one_in,
        deadlines,
        dependencies.call_spans(runtime),
        loop,
        counters.clock,
        runtime.rpc_metrics.count_unidentified,
        only_forwarded=bool(settings.tls_internal),  # no other service predicts
    )
    reads, explaining = InferenceReads(catalog), Explaining(explanations)
    pace = ClientPace(settings.stream_requests_per_second or None, loop.time)
    events = EventStreams(predictor, contexts, pace, loop, max_rows=settings.max_rows)
    plane = DataPlane(
        predictor, contexts, InferencePaths(catalog), events, watcher, lookup, budgets, rate_limits, explanations
    )
    streams = PredictionStreams(predictor, contexts, pace, max_active=settings.max_concurrent_rpcs)
    runtime.metrics.register(streams)
    partwise = PartwisePredictions(predictor, contexts, pace, max_rows=settings.max_rows)
    GrpcTransport(predictor, contexts, reads, explaining, streams, partwise).add_to(runtime.server())
    dependencies.serve_rest(runtime, plane.predictor, plane.contexts, plane.paths, plane.events)
    return plane
