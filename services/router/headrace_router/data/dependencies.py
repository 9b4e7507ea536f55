"""The dependencies of the data plane, each with the settings, loops and health that belong to it."""

from __future__ import annotations

import asyncio
import gc
import random
import time
from typing import Any

import structlog
from headrace_servicekit.client import channel
from headrace_servicekit.health import serving
from headrace_servicekit.runtime import Runtime
from headrace_servicekit.settings import variable
from headrace_servicekit.tls import Tls, client_context

from headrace_router.data.batchers.admission import QueueLimits
from headrace_router.data.batchers.frames import Limits
from headrace_router.data.batchers.members import FOLLOW_EVERY_S, PoolsFile, batcher_channel
from headrace_router.data.batchers.parts import AnswersInParts
from headrace_router.data.batchers.pool_wakes import EVERY_S, Waking
from headrace_router.data.batchers.pools import Pools
from headrace_router.data.budgets import Budgets
from headrace_router.data.explain.explanations import Explanations
from headrace_router.data.explain.store import valkey
from headrace_router.data.lookup.layers import Layers, Memory, StepCache
from headrace_router.data.lookup.metrics import Counts, LookupMetrics
from headrace_router.data.lookup.valkey.connection import StoreClock
from headrace_router.data.lookup.valkey.store import Valkey
from headrace_router.data.pipelines.online import PipelineOnline
from headrace_router.data.predictor import Predictor
from headrace_router.data.rate_limits.followed import FollowedClientLimits
from headrace_router.data.rate_limits.limiter import RateLimiter
from headrace_router.data.reporting.reports import Reporting
from headrace_router.data.settings import DataSettings, parse_pools_file
from headrace_router.data.tables.last_known_good import LastKnownGood
from headrace_router.data.tables.watch import COMPONENT, Watcher
from headrace_router.data.transports.call_context import CallContextFactory, Spans
from headrace_router.data.transports.rest.app import RestTransport
from headrace_router.data.transports.rest.event_stream import EventStreams
from headrace_router.data.transports.rest.http_server import HttpServer
from headrace_router.data.transports.rest.inference_paths import InferencePaths

log = structlog.get_logger()

# The health component that tells whether every pool has a batcher.
BATCHERS = "batchers"


def calm_collector() -> None:
    """Make the garbage collector look less often: by default it took a quarter of the event loop's time.

    What a call makes goes with it (tests/integration/router_data/test_garbage.py), so it finds next to nothing.
    What was imported lives as long as the process and is never looked at again.
    """
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


async def control_plane(runtime: Runtime[DataSettings]) -> Any:
    """Return a channel to the router's control plane."""
    return await runtime.enter(channel(runtime.settings.control_target, tls=Tls.of(runtime.settings)))


async def follow_tables(runtime: Runtime[DataSettings], control: Any) -> Watcher:
    """Return what follows the tables. The data plane is ready with the first ones."""
    settings = runtime.settings
    runtime.health.add(COMPONENT)
    watcher = Watcher(settings.id, control, LastKnownGood(settings.state_dir), runtime.health, runtime.clock)
    await watcher.start()
    runtime.loop("follow tables", watcher.follow)
    runtime.loop("acknowledge generations", watcher.acknowledge)
    runtime.loop("save tables", watcher.save)
    return watcher


def batcher_pools(runtime: Runtime[DataSettings]) -> Pools:
    """Return the pools. Readiness does not depend on them: stored answers need none."""
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
    if settings.pools_file is not None:
        file = PoolsFile(settings.pools_file, parse_pools_file, pools.retarget)
        runtime.every("follow pools", FOLLOW_EVERY_S, file.follow)
    return pools


async def kept_explanations(runtime: Runtime[DataSettings], watcher: Watcher) -> Explanations:
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


def cache_layers(runtime: Runtime[DataSettings], counts: Counts, store: Valkey | None) -> Layers:
    """Return the layers of the cache: this process's memory, and Valkey."""
    settings = runtime.settings
    memory = Memory(settings.cache_memory_bytes, settings.cache_max_entry_bytes)
    runtime.metrics.register(LookupMetrics(counts, memory))
    return Layers(
        memory,
        store,
        counts,
        max_entry_bytes=settings.cache_max_entry_bytes,
        now=asyncio.get_running_loop().time,
    )


def call_spans(runtime: Runtime[DataSettings]) -> Spans | None:
    """Return what makes spans, None without a collector."""
    if runtime.tracing is None:
        return None
    from headrace_router.data.telemetry.spans import CallSpans  # OpenTelemetry, which most never need

    return CallSpans(runtime.tracing, one_in=runtime.settings.trace_one_in)


async def wake_pools(runtime: Runtime[DataSettings], pools: Pools) -> None:
    """Have pools started that scale to zero. Readiness does not depend on the autoscaler."""
    settings = runtime.settings
    if settings.autoscaler_target:
        waking = Waking(pools, await runtime.enter(channel(settings.autoscaler_target, tls=Tls.of(settings))))
        runtime.every("wake pools", EVERY_S, waking.step)


def pipelines(
    runtime: Runtime[DataSettings], pools: Pools, reporting: Reporting | None, memory: Memory
) -> PipelineOnline:
    """Return what computes answers: the pools, and before them what takes pipelines apart."""
    settings, loop = runtime.settings, asyncio.get_running_loop()
    online = PipelineOnline(
        pools,
        pools.endpoints,
        pools.budget,
        max_rows=settings.max_rows,
        queue_timeout_s=settings.queue_timeout_s,
        miss=pools.miss,
        record=reporting.record_step if reporting is not None else None,
        cache=StepCache(memory, loop.time),
        loop=loop,
    )
    runtime.metrics.register(online)
    return online


def answers_in_parts(runtime: Runtime[DataSettings], online: PipelineOnline) -> AnswersInParts:
    """Return what asks for answers that come in parts."""
    settings = runtime.settings
    in_parts = AnswersInParts(
        online,
        max_per_client=settings.max_part_answers_per_client,
        max_per_model=settings.max_part_answers_per_model,
        loop=asyncio.get_running_loop(),
    )
    runtime.metrics.register(in_parts)
    return in_parts


def store(runtime: Runtime[DataSettings], counts: Counts) -> Valkey | None:
    """Return Valkey, None without one. Readiness does not depend on it."""
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


async def client_limits(
    runtime: Runtime[DataSettings], store: Valkey | None, watcher: Watcher, control: Any
) -> tuple[RateLimiter, Budgets]:
    """Return what holds clients to rate limits and budgets: those on disk, until the control plane says others."""
    limiter = RateLimiter(
        store,
        lambda: watcher.tables.incarnation,
        processes=runtime.settings.processes,
        loop=asyncio.get_running_loop(),
    )
    runtime.metrics.register(limiter)
    budgets = Budgets()
    followed = FollowedClientLimits(limiter, budgets, runtime.settings.state_dir, control, runtime.clock)
    await followed.start()
    runtime.loop("follow client limits", followed.follow)
    runtime.loop("save client limits", followed.save)
    return limiter, budgets


def serve_rest(
    runtime: Runtime[DataSettings],
    predictor: Predictor,
    contexts: CallContextFactory,
    paths: InferencePaths,
    events: EventStreams,
) -> None:
    """Serve REST on its port."""
    settings = runtime.settings
    rest = HttpServer(
        RestTransport(
            predictor,
            contexts,
            paths,
            events,
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
