"""What the data plane tells the monitor, each part with the settings and loops that belong to it."""

from __future__ import annotations

import asyncio

from headrace_servicekit.client import channel
from headrace_servicekit.runtime import Runtime
from headrace_servicekit.tls import Tls

from headrace_router.data.batchers.work import Online
from headrace_router.data.lookup.lookup import Lookup
from headrace_router.data.predictor import new_id
from headrace_router.data.reporting.decisions.series import Source
from headrace_router.data.reporting.reports import Allowance, Reporting
from headrace_router.data.reporting.senders import GrpcIngest
from headrace_router.data.reporting.shadow_copies import Shadowing
from headrace_router.data.settings import DataSettings
from headrace_router.data.telemetry.counters import Counters

# At the end, for what the monitor does not have yet.
FLUSH_S = 4.0


async def monitor_ingest(runtime: Runtime[DataSettings]) -> GrpcIngest | None:
    """Return the monitor, None without one. Readiness does not depend on it."""
    settings = runtime.settings
    if not settings.monitor_target:
        return None
    return GrpcIngest(await runtime.enter(channel(settings.monitor_target, tls=Tls.of(settings))))


async def begin_reporting(
    runtime: Runtime[DataSettings], counters: Counters, monitor: GrpcIngest | None
) -> Reporting | None:
    """Return what tells the monitor, None without one."""
    settings = runtime.settings
    if monitor is None:
        return None
    allowed = Allowance(settings.record_bytes_per_s, settings.record_buffer_bytes, settings.record_flush_s)
    source = Source(settings.id, new_id())
    reporting = Reporting(source, counters, monitor, allowed, runtime.clock, new_id)
    await runtime.enter(reporting.flushed(min(settings.grace_s, FLUSH_S)))
    runtime.metrics.register(reporting)
    runtime.loop("encode predictions", reporting.encode)
    runtime.loop("send predictions", reporting.send_predictions)
    runtime.loop("send counters", reporting.send_counters)
    return reporting


def begin_shadowing(
    runtime: Runtime[DataSettings], online: Online, monitor: GrpcIngest | None, lookup: Lookup
) -> Shadowing | None:
    """Return what sends copies to shadows, None without a monitor that compares them."""
    if monitor is None:
        return None
    settings = runtime.settings
    shadowing = Shadowing(
        online,
        monitor,
        lookup,
        runtime.clock,
        max_in_flight=settings.shadow_max_in_flight,
        max_bytes=settings.shadow_max_bytes,
        max_rows=settings.max_rows,
        loop=asyncio.get_running_loop(),
    )
    runtime.metrics.register(shadowing)
    runtime.loop("send shadow pairs", shadowing.send)
    return shadowing
