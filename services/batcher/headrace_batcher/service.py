"""The batcher put together: what `__main__` runs, and tests run in their own process."""

from __future__ import annotations

import asyncio
import time
import uuid

from headrace.router.v1 import control_pb2_grpc
from headrace_runtime.artifacts.process import Fetcher
from headrace_runtime.thread_priority import Background, go_first
from headrace_servicekit.client import channel
from headrace_servicekit.runtime import Runtime
from headrace_servicekit.tls import Tls

from headrace_batcher import optional
from headrace_batcher.backend import Supervision, keep_backend, open_backend, own_triton, with_formats
from headrace_batcher.batching.traces import spans_for
from headrace_batcher.batching.usage import Usage
from headrace_batcher.decisions.policy import Limits
from headrace_batcher.decisions.turns import LoadBounds
from headrace_batcher.loading.demand import DemandWatch
from headrace_batcher.loading.gpu import GpuWatch
from headrace_batcher.loading.liveness import LivenessProbes
from headrace_batcher.loading.measurements import Measuring
from headrace_batcher.loading.reports import BatcherStatus, Reports
from headrace_batcher.loading.versions import Versions
from headrace_batcher.metrics import BatcherCollector
from headrace_batcher.roster import Roster
from headrace_batcher.servicer import REPORT_WAITING_EVERY_S, BatcherServicer
from headrace_batcher.settings import BatcherSettings
from headrace_batcher.state_dir import placed


async def start(runtime: Runtime[BatcherSettings]) -> None:
    """Build the service on a backend and S3. Readiness depends on neither the control plane nor the registry."""
    go_first()  # before anything is started that is to inherit it
    settings = runtime.settings = await runtime.enter(placed(runtime.settings))
    process, usage = uuid.uuid4().hex, Usage()
    server = runtime.server(on_the_loop=True)
    roster = Roster()
    background = await runtime.enter(Background())
    artifacts = await runtime.enter(Fetcher(settings.artifacts()))
    main = await open_backend(runtime, background)
    triton = own_triton(settings, main)
    formats = await with_formats(runtime, main)
    end_model = formats.end_model(triton)
    gpus = GpuWatch(f"http://127.0.0.1:{settings.triton_metrics_port}/metrics")
    memory = await optional.memory_watch(settings, triton, gpus)
    backend, became_ready = await optional.cheapest_backend(
        *(runtime, formats.backend, memory, gpus), lambda: reports.changed(), lambda held: measuring.became_ready(held)
    )
    measuring = Measuring(backend, artifacts, await optional.registry_reports(runtime, process), background.run)
    versions = Versions(
        backend,
        roster,
        artifacts,
        unload_after_s=settings.unload_after_s,
        changed=lambda: reports.changed(),
        became_ready=became_ready,
        memory=memory,
        end_model=end_model,
        spans=spans_for(runtime.tracing),
        usage=usage,
        bounds=LoadBounds(settings.loads_at_once, settings.load_timeout_s),
        warm_for_s=settings.warm_for_s,
        check_signature=optional.signature_check(runtime, artifacts),
    )
    inside = await runtime.enter(channel(settings.control_target, tls=Tls.of(settings)))
    control = control_pb2_grpc.ControlServiceStub(inside)

    def status() -> BatcherStatus:
        rows, wait_s = roster.load(time.monotonic())
        return BatcherStatus(versions.statuses(), rows, wait_s, roster.draining, gpus.load)

    reports = Reports(
        control, settings.pool, process, lambda: settings.advertised(server.port), status, formats.offered
    )
    demand = DemandWatch(
        control,
        settings.pool,
        settings.state_dir / "demand.pb",
        Limits(max_queue_rows=settings.max_queue_rows, max_queue_bytes=settings.max_queue_bytes),
        versions.want,
        lambda connected, reason: runtime.health.set("control", connected, reason),
        formats.offered,
    )
    liveness = LivenessProbes(
        backend,
        versions,
        supervisor=None if triton is None or end_model is None else Supervision(triton, end_model),
        silence_s=settings.liveness_probe_after_s,
        restart_after_s=settings.restart_silent_after_s,
    )
    servicer = BatcherServicer(roster, process, max_message_bytes=settings.max_message_bytes)
    servicer.serve_on(server)
    runtime.metrics.register(BatcherCollector(versions.counters, lambda: servicer.frames_garbled, formats.processes))
    runtime.health.add("control", required=False)
    runtime.check("backend", liveness.healthy)
    runtime.check("versions", versions.settled)
    runtime.on_drain(servicer.finish)

    async def announce_drain() -> None:
        await runtime.stopping.wait()
        roster.drain()
        reports.changed()
        await asyncio.Event().wait()

    await optional.report_usage(runtime, inside, process, usage, lambda: versions.busy_s)
    demand.restore()
    runtime.loop("demand", demand.run)
    runtime.loop("reports", reports.run)
    runtime.every("waiting", REPORT_WAITING_EVERY_S, servicer.report_waiting)
    optional.follow_memory(runtime, memory, gpus, versions.reconsider)
    runtime.loop("versions", versions.run)
    runtime.loop("backend", lambda: keep_backend(runtime, main, triton, versions))
    runtime.loop("liveness", liveness.run)
    runtime.loop("measure", measuring.run)
    runtime.loop("report measurements", measuring.report)
    runtime.loop("drain", announce_drain)
