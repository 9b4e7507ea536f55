"""The router's data plane as a process: `python -m headrace_router.data`."""

from __future__ import annotations

import asyncio
import gc
import random
import time
from importlib import metadata
from typing import NamedTuple

import structlog
import uuid_utils
from headrace_servicekit.client import channel
from headrace_servicekit.health import serving
from headrace_servicekit.process import run
from headrace_servicekit.runtime import Runtime
from headrace_servicekit.settings import variable
from headrace_servicekit.tls import Tls, client_context

from headrace_router.data.batchers.frames import Limits
from headrace_router.data.batchers.members import batcher_channel
from headrace_router.data.batchers.pending_queue import QueueLimits
from headrace_router.data.batchers.pools import Pools
from headrace_router.data.catalog import Catalog
from headrace_router.data.explain.asking import Explaining
from headrace_router.data.explain.keeping import Explanations
from headrace_router.data.explain.store import valkey
from headrace_router.data.fallbacks.chain import FallbackChain
from headrace_router.data.fallbacks.degraded import DegradedAnswers
from headrace_router.data.hosts.aio import GrpcHost
from headrace_router.data.hosts.arrivals import Arrivals, Spans
from headrace_router.data.hosts.asgi import METHOD as REST_PREDICT
from headrace_router.data.hosts.asgi import RestHost
from headrace_router.data.hosts.deadline import DeadlineLimits
from headrace_router.data.hosts.http_server import HttpServer
from headrace_router.data.hosts.inference import InferenceReads
from headrace_router.data.hosts.inference_rest import InferencePaths
from headrace_router.data.hosts.methods import NAMES
from headrace_router.data.lookup.counts import Counts, LookupMetrics
from headrace_router.data.lookup.finding import Lookup
from headrace_router.data.lookup.layers import Layers
from headrace_router.data.lookup.memory import Memory
from headrace_router.data.lookup.storeclock import StoreClock
from headrace_router.data.lookup.valkey import Valkey
from headrace_router.data.predictor import Predictor
from headrace_router.data.reporting.reporting import Allowance, Reporting
from headrace_router.data.reporting.sending import GrpcIngest
from headrace_router.data.reporting.series import Source
from headrace_router.data.routes.last_known_good import LastKnownGood
from headrace_router.data.routes.watch import COMPONENT, Watcher
from headrace_router.data.settings import DataSettings
from headrace_router.data.telemetry.accesslog import AccessLog
from headrace_router.data.telemetry.counters import Counters
from headrace_router.data.telemetry.gauges import Gauges
from headrace_router.data.telemetry.saved import SavedCompute

log = structlog.get_logger()

# The health component that tells whether every pool has a batcher.
BATCHERS = "batchers"
# At the end, for what the monitor does not have yet.
FLUSH_S = 4.0


class Faces(NamedTuple):
    """What hosts serve."""

    predictor: Predictor
    arrivals: Arrivals
    reads: InferenceReads
    paths: InferencePaths


async def start(runtime: Runtime[DataSettings]) -> Faces:
    """Wire the data plane: every dependency by name. Return what a further host needs."""
    calm_collector()
    settings, loop = runtime.settings, asyncio.get_running_loop()
    watcher = await _tables(runtime)
    pools = _batchers(runtime)
    counters = Counters(reporting=bool(settings.monitor_target))
    degraded, counts = DegradedAnswers(), Counts()
    explanations = await _explanations(runtime, watcher)
    reporting = await _reporting(runtime, counters)
    access_log = AccessLog(settings.access_log_one_in, settings.access_log_errors_per_second)
    for one in (counters, SavedCompute(counters), degraded, Gauges(pools, watcher), explanations):
        runtime.metrics.register(one)

    lookup = Lookup(pools, _layers(runtime, counts), counts, default_ttl_s=settings.cache_ttl_s, loop=loop)
    predictor = Predictor(
        watcher.tables,
        FallbackChain(lookup, pools.endpoints, pools.budget, degraded, max_rows=settings.max_rows, now=loop.time),
        counters,
        access_log,
        explanations,
        record=reporting.record if reporting is not None else None,
        new_id=lambda: str(uuid_utils.uuid7()),
        max_rows=settings.max_rows,
        loop=loop,
    )
    catalog = Catalog(
        watcher.tables,
        counters,
        serves=pools.endpoints.serves,
        ready=lambda: runtime.health.ready,
        version=metadata.version("headrace-router"),
        max_rows=settings.max_rows,
    )
    for method in (*NAMES, REST_PREDICT):  # at 0: the first is then an increase, which an alert sees
        runtime.rpc_metrics.unidentified.labels(method)
    deadlines = DeadlineLimits(settings.default_deadline_s, settings.max_deadline_s)
    arrivals = Arrivals(
        access_log,
        deadlines,
        _spans(runtime),
        loop,
        counters.clock,
        runtime.rpc_metrics.count_unidentified,
        only_forwarded=bool(settings.tls_internal),  # no other service predicts
    )
    faces = Faces(predictor, arrivals, InferenceReads(catalog), InferencePaths(catalog))
    GrpcHost(faces.predictor, faces.arrivals, faces.reads, Explaining(explanations)).add_to(runtime.server())
    _serve_rest(runtime, faces)
    return faces


async def _tables(runtime: Runtime[DataSettings]) -> Watcher:
    """Return what follows the control plane. The data plane is ready with the first tables."""
    settings = runtime.settings
    control = await runtime.enter(channel(settings.control_target, tls=Tls.of(settings)))
    runtime.health.add(COMPONENT)
    watcher = Watcher(settings.id, control, LastKnownGood(settings.state_dir), runtime.health, runtime.clock)
    await watcher.start()
    runtime.loop("follow tables", watcher.follow)
    runtime.loop("acknowledge generations", watcher.acknowledge)
    runtime.loop("save tables", watcher.save)
    return watcher


def _batchers(runtime: Runtime[DataSettings]) -> Pools:
    """Return the pools. Readiness does not depend on them: what is kept is answered without."""
    settings, tls = runtime.settings, Tls.of(runtime.settings)
    tls_to_batchers = None if tls is None else client_context(tls)
    pools = Pools(
        settings.pool_targets(),
        connect=lambda address, target: batcher_channel(address, target, tls_to_batchers),
        limits=Limits(settings.max_in_flight, settings.max_in_flight_bytes),
        retry_share=settings.retry_share,
        queue_limits=QueueLimits(settings.queue_timeout_s),
        resolve_every_s=settings.resolve_every_s,
        rng=random.Random(),
        loop=asyncio.get_running_loop(),
        changed=lambda ready: runtime.health.set(BATCHERS, ready, "" if ready else "a pool has no batcher"),
    )
    runtime.health.add(BATCHERS, required=False)
    runtime.loop("batchers", pools.run)
    return pools


async def _explanations(runtime: Runtime[DataSettings], watcher: Watcher) -> Explanations:
    """Return what keeps explanations, for as long as Valkey does."""
    settings = runtime.settings
    explanations = Explanations(
        await runtime.enter(valkey(settings.valkey_url, settings.valkey_password())) if settings.valkey_url else None,
        lambda: watcher.tables.incarnation,
        data_plane=settings.id,
        one_in=settings.explain_one_in,
        clock=runtime.clock,
    )
    runtime.loop("keep explanations", explanations.write)
    return explanations


def _layers(runtime: Runtime[DataSettings], counts: Counts) -> Layers:
    """Return the layers that answers are kept in: this process's memory, and Valkey."""
    settings = runtime.settings
    memory = Memory(settings.cache_memory_bytes, settings.cache_max_entry_bytes)
    runtime.metrics.register(LookupMetrics(counts, memory))
    return Layers(
        memory,
        _store(runtime, counts),
        counts,
        max_entry_bytes=settings.cache_max_entry_bytes,
        now=asyncio.get_running_loop().time,
    )


def _serve_rest(runtime: Runtime[DataSettings], faces: Faces) -> None:
    settings = runtime.settings
    rest = HttpServer(
        RestHost(
            faces.predictor,
            faces.arrivals,
            faces.paths,
            max_body_bytes=settings.max_message_bytes,
            max_active=settings.max_concurrent_rpcs,
            ready=lambda: runtime.health.ready,
        ),
        settings.host,
        settings.rest_port,
        port_setting=variable(DataSettings, "rest_port"),
        tls=Tls.of(settings),
        grace_s=settings.grace_s,
        begun=lambda: serving(runtime.health, ""),
    )
    runtime.loop("rest", rest.run)
    runtime.on_drain(rest.stop)
    log.info("rest", port=rest.port)


def _spans(runtime: Runtime[DataSettings]) -> Spans | None:
    """Return what makes spans, None without a collector."""
    if runtime.tracing is None:
        return None
    from headrace_router.data.telemetry.spans import CallSpans  # OpenTelemetry, which most never need

    return CallSpans(runtime.tracing, one_in=runtime.settings.trace_one_in)


async def _reporting(runtime: Runtime[DataSettings], counters: Counters) -> Reporting | None:
    """Return what tells the monitor, None without one. Readiness does not depend on it."""
    settings = runtime.settings
    if not settings.monitor_target:
        return None
    monitor = await runtime.enter(channel(settings.monitor_target, tls=Tls.of(settings)))
    allowed = Allowance(settings.record_bytes_per_s, settings.record_buffer_bytes, settings.record_flush_s)
    source = Source(settings.id, str(uuid_utils.uuid7()))
    reporting = Reporting(source, counters, GrpcIngest(monitor), allowed, runtime.clock)
    await runtime.enter(reporting.flushed(min(settings.grace_s, FLUSH_S)))
    runtime.metrics.register(reporting)
    runtime.loop("encode predictions", reporting.encode)
    runtime.loop("send predictions", reporting.send_predictions)
    runtime.loop("send counters", reporting.send_counters)
    return reporting


def _store(runtime: Runtime[DataSettings], counts: Counts) -> Valkey | None:
    settings, loop = runtime.settings, asyncio.get_running_loop()
    address = settings.valkey()
    if address is None:
        return None
    valkey = Valkey(
        address,
        counts,
        StoreClock(loop.time, time.time),
        timeout_s=settings.valkey_timeout_s,
        password=settings.valkey_password,
        loop=loop,
        rng=random.Random(),
        changed=lambda ready, reason: runtime.health.set("valkey", ready, reason),
    )
    runtime.health.add("valkey", required=False)
    runtime.loop("valkey", valkey.run)
    return valkey


def calm_collector() -> None:
    """Make the garbage collector look less often: by default it took a quarter of the event loop's time.

    A call leaves a cycle of five small objects behind (grpc.aio's), so this is one look, of some 2 ms, in 4,000 calls.
    What was imported lives as long as the process and is never looked at again.
    """
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


if __name__ == "__main__":
    run("router.data", DataSettings, start)
