"""What a batcher has only where its settings ask for it."""

from __future__ import annotations

import math
from collections.abc import Callable

from headrace.registry.v1 import registry_pb2_grpc
from headrace.telemetry.v1 import telemetry_pb2_grpc
from headrace_runtime.backends.triton_process import TritonProcess
from headrace_servicekit.client import channel
from headrace_servicekit.loops import periodic
from headrace_servicekit.runtime import Runtime
from headrace_servicekit.tls import Tls

from headrace_batcher.batching.usage import Usage
from headrace_batcher.loading.gpu import LOOK_EVERY_S, GpuWatch
from headrace_batcher.loading.memory import MemoryWatch
from headrace_batcher.monitor import UsageReports
from headrace_batcher.registry import RegistryReports
from headrace_batcher.settings import BatcherSettings


async def memory_watch(settings: BatcherSettings, triton: TritonProcess | None, gpus: GpuWatch) -> MemoryWatch | None:
    """Return what follows the memory in use, None where nothing limits it. It has read once."""
    if settings.memory_limit_bytes is None and settings.gpu_memory_limit_bytes is None:
        return None
    memory = MemoryWatch(
        settings.memory_limit_bytes or math.inf,
        lambda: None if triton is None else triton.group,
        gpu_limit_bytes=settings.gpu_memory_limit_bytes or math.inf,
        gpu_bytes=lambda: 0 if gpus.load is None else gpus.load.used_bytes,
    )
    await memory.read()
    return memory


def follow_memory(
    runtime: Runtime[BatcherSettings], memory: MemoryWatch | None, gpus: GpuWatch, changed: Callable[[], None]
) -> None:
    """Keep up to date what is in use, here and on GPUs. changed: called when it was read."""
    if runtime.settings.backend == "triton":
        runtime.loop("gpus", lambda: periodic("gpus", gpus.look, every_s=LOOK_EVERY_S))
    if memory is not None:
        runtime.loop("memory", lambda: memory.run(changed))


async def registry_reports(runtime: Runtime[BatcherSettings], process: str) -> RegistryReports | None:
    """Return what tells the registry of measurements, None where nothing does."""
    settings = runtime.settings
    if settings.registry_target is None:
        return None
    registry = await runtime.enter(channel(settings.registry_target, tls=Tls.of(settings)))
    return RegistryReports(registry_pb2_grpc.RegistryServiceStub(registry), f"batcher/{settings.pool}/{process}")


async def report_usage(
    runtime: Runtime[BatcherSettings], process: str, usage: Usage, busy_s: Callable[[], float]
) -> None:
    """Tell the monitor who used this batcher, where there is one. busy_s: how long anything has executed so far."""
    settings = runtime.settings
    if not settings.monitor_target:
        return
    monitor = await runtime.enter(channel(settings.monitor_target, tls=Tls.of(settings)))
    used = UsageReports(telemetry_pb2_grpc.TelemetrySinkServiceStub(monitor), settings.pool, process, usage, busy_s)
    await runtime.enter(used.flushed())
    runtime.loop("usage", used.run)
