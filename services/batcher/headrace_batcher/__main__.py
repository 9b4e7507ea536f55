"""The batcher: queues, batches and one inference backend. Run as `python -m headrace_batcher`."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable

from headrace.registry.v1 import registry_pb2_grpc
from headrace.router.v1 import control_pb2_grpc
from headrace_servicekit.client import channel
from headrace_servicekit.process import run
from headrace_servicekit.runtime import Runtime
from headrace_servicekit.tls import Tls

from headrace_batcher.artifacts.credentials import read_credentials
from headrace_batcher.artifacts.fetcher import Place
from headrace_batcher.artifacts.process import Fetcher
from headrace_batcher.backends.opening import keep_backend, open_backend, own_triton
from headrace_batcher.backends.triton_process import TritonProcess
from headrace_batcher.background import Background
from headrace_batcher.batching.policy import Limits
from headrace_batcher.batching.tracing import BatchSpans
from headrace_batcher.loading.canary import Canary
from headrace_batcher.loading.demand import DemandWatch
from headrace_batcher.loading.measuring import Measuring
from headrace_batcher.loading.memory import MemoryWatch
from headrace_batcher.loading.reports import Reports
from headrace_batcher.loading.turns import LoadBounds
from headrace_batcher.loading.versions import Versions
from headrace_batcher.metrics import BatcherCollector
from headrace_batcher.registry import RegistryReports
from headrace_batcher.roster import Roster
from headrace_batcher.scheduling import go_first
from headrace_batcher.servicer import BatcherServicer
from headrace_batcher.settings import BatcherSettings
from headrace_batcher.state_dir import owned

# Room for the frame around the largest answer.
_FRAME_BYTES = 64 * 1024


async def start(runtime: Runtime[BatcherSettings]) -> None:
    """Build the service."""
    go_first()  # before anything is started that is to inherit it
    process = uuid.uuid4().hex
    held = await runtime.enter(owned(runtime.settings.state_dir))
    # From here on with the slot that was free.
    settings = runtime.settings = runtime.settings.model_copy(update={"state_dir": held})
    server = runtime.server(on_the_loop=True)
    roster = Roster()
    background = await runtime.enter(Background())
    artifacts = await _artifacts(runtime)
    backend = await open_backend(runtime, background)
    triton = own_triton(settings, backend)
    memory = await _memory(settings, triton)
    measuring = Measuring(backend, artifacts, await _registry(runtime, process), background.run)
    versions = Versions(
        backend,
        roster,
        artifacts,
        unload_after_s=settings.unload_after_s,
        changed=lambda: reports.changed(),
        became_ready=measuring.became_ready,
        memory=memory,
        end_model=None if triton is None else triton.end_model,
        spans=_spans(runtime),
        bounds=LoadBounds(settings.loads_at_once, settings.load_timeout_s),
    )
    reports, demand = await _control(runtime, process, lambda: server.port, versions)
    canary = Canary(
        backend,
        versions,
        keeper=triton,
        silence_s=settings.canary_after_s,
        restart_after_s=settings.restart_silent_after_s,
    )
    servicer = BatcherServicer(roster, process, max_answer_bytes=settings.max_message_bytes - _FRAME_BYTES)
    servicer.serve_on(server)
    runtime.metrics.register(BatcherCollector(versions.counters, lambda: servicer.frames_garbled))
    runtime.check("backend", canary.healthy)
    runtime.check("versions", versions.settled)
    runtime.on_drain(servicer.finish)

    demand.restore()
    if memory is not None:
        runtime.loop("memory", lambda: memory.run(versions.look_again))
    runtime.loop("versions", versions.run)
    runtime.loop("backend", lambda: keep_backend(runtime, backend, triton, versions))
    runtime.loop("canary", canary.run)
    runtime.loop("measure", measuring.run)
    runtime.loop("report measurements", measuring.report)
    runtime.loop("drain", lambda: _announce_drain(runtime, roster))


async def _artifacts(runtime: Runtime[BatcherSettings]) -> Fetcher:
    """Return where model files are had from."""
    settings = runtime.settings
    if settings.s3_credentials_file is not None:
        read_credentials(settings.s3_credentials_file)  # what is wrong with it is said now, not at the first file
    place = Place(
        root=str(settings.state_dir / "blobs"),
        endpoint=settings.s3_endpoint,
        bucket=settings.s3_bucket,
        region=settings.s3_region,
        credentials=None if settings.s3_credentials_file is None else str(settings.s3_credentials_file),
        max_bytes=settings.cache_bytes,
        fetch_timeout_s=settings.fetch_timeout_s,
    )
    return await runtime.enter(Fetcher(place))


async def _memory(settings: BatcherSettings, triton: TritonProcess | None) -> MemoryWatch | None:
    """Return what watches over the memory of models, None where it has no limit."""
    if settings.memory_limit_bytes is None:
        return None
    memory = MemoryWatch(settings.memory_limit_bytes, lambda: None if triton is None else triton.group)
    await memory.read()
    return memory


async def _control(
    runtime: Runtime[BatcherSettings], process: str, port: Callable[[], int], versions: Versions
) -> tuple[Reports, DemandWatch]:
    """Return what reports to the control plane, and what follows its demand. Readiness does not depend on it."""
    settings = runtime.settings
    control = await runtime.enter(channel(settings.control_target, tls=Tls.of(settings)))
    stub = control_pb2_grpc.ControlServiceStub(control)
    reports = Reports(stub, settings.pool, process, lambda: settings.advertised(port()), versions.states)
    runtime.health.add("control", required=False)
    demand = DemandWatch(
        stub,
        settings.pool,
        settings.state_dir / "demand.pb",
        Limits(max_queue_rows=settings.max_queue_rows, max_queue_bytes=settings.max_queue_bytes),
        versions.want,
        lambda connected, reason: runtime.health.set("control", connected, reason),
    )
    runtime.loop("demand", demand.run)
    runtime.loop("reports", reports.run)
    return reports, demand


async def _registry(runtime: Runtime[BatcherSettings], process: str) -> RegistryReports | None:
    settings = runtime.settings
    if settings.registry_target is None:
        return None
    registry = await runtime.enter(channel(settings.registry_target, tls=Tls.of(settings)))
    return RegistryReports(registry_pb2_grpc.RegistryServiceStub(registry), f"batcher/{settings.pool}/{process}")


def _spans(runtime: Runtime[BatcherSettings]) -> BatchSpans | None:
    if runtime.tracing is None:
        return None
    from headrace_batcher.spans import Spans  # imports that most never need

    return Spans(runtime.tracing.tracer)


async def _announce_drain(runtime: Runtime[BatcherSettings], roster: Roster) -> None:
    await runtime.stopping.wait()
    roster.drain()
    await _for_ever()


async def _for_ever() -> None:
    await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    run("batcher", BatcherSettings, start)
