"""Which backend this process has, who starts it, and who tells the versions when it comes and goes."""

from __future__ import annotations

import asyncio
import shlex

from headrace_servicekit.http2.channel import Channel
from headrace_servicekit.runtime import Runtime

from headrace_batcher.backends.backend import LoadBudget
from headrace_batcher.backends.oip import OipBackend, ServerNames
from headrace_batcher.backends.onnx import OnnxBackend
from headrace_batcher.backends.triton import TritonBackend
from headrace_batcher.backends.triton_process import TritonProcess, Watcher, watch_neighbour
from headrace_batcher.backends.triton_repository import Repository
from headrace_batcher.background import Background
from headrace_batcher.settings import BatcherSettings

# Three of them, at worst, until a half-open link is given up: less than five seconds.
SILENT_S = 1.25

AnyBackend = TritonBackend | OnnxBackend | OipBackend


async def open_backend(runtime: Runtime[BatcherSettings], background: Background) -> AnyBackend:
    """Open the backend that the settings name; it may be empty, or not up yet."""
    settings = runtime.settings
    budget = LoadBudget(settings.load_cpu_s, settings.load_memory_bytes)
    if settings.backend == "onnxruntime":
        return await runtime.enter(OnnxBackend(threads=settings.onnxruntime_threads, budget=budget))
    if settings.backend == "oip":
        assert settings.oip_target is not None  # the settings see to that
        return OipBackend(
            # A server in one Python process may answer nothing while it executes, which is not to be given up early.
            await runtime.enter(_channel(settings.oip_target, settings.execution_timeout_s / 2)),
            names=ServerNames(settings.oip_model_name, settings.oip_model_version),
            execution_timeout_s=settings.execution_timeout_s,
            service=settings.oip_service,
        )
    repository = Repository(settings.state_dir / "models", budget)
    # What an earlier process loaded is not loaded now.
    await asyncio.to_thread(repository.clear)
    return TritonBackend(
        await runtime.enter(_channel(f"127.0.0.1:{settings.triton_grpc_port}", SILENT_S)),
        repository,
        execution_timeout_s=settings.execution_timeout_s,
        load_timeout_s=settings.load_timeout_s,
        in_thread=background.run,
    )


def _channel(address: str, silent_s: float) -> Channel:
    """Return a channel to a server that is not ours: those send away who ping often.

    It is asked every half second whether it is live (`loading/canary.py`). When it says nothing for `silent_s`, nor for
    as long again, the link is half open, or the server hangs: a new connection tells which.
    """
    return Channel(address, keepalive_s=silent_s, keepalive_timeout_s=silent_s, pings=False)


def own_triton(settings: BatcherSettings, backend: AnyBackend) -> TritonProcess | None:
    """Return the Triton that we start ourselves, if that is asked for."""
    if not isinstance(backend, TritonBackend) or not settings.triton_command:
        return None
    options = (
        f"--model-repository={settings.state_dir / 'models'}",
        f"--grpc-port={settings.triton_grpc_port}",
        f"--metrics-port={settings.triton_metrics_port}",
    )
    return TritonProcess((*shlex.split(settings.triton_command), *options), backend.ready)


async def keep_backend(
    runtime: Runtime[BatcherSettings],
    backend: AnyBackend,
    triton: TritonProcess | None,
    versions: Watcher,
) -> None:
    """Start Triton, or watch what others run, and tell the versions when it comes and goes; never returns."""
    if isinstance(backend, OnnxBackend):
        versions.backend_up()
        await asyncio.get_running_loop().create_future()
    elif triton is not None:
        await triton.run(versions)
    else:
        name = "Triton" if isinstance(backend, TritonBackend) else "the inference server"
        await watch_neighbour(backend.ready, backend.holds_all, versions, runtime.clock, name=name)
