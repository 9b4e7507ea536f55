"""Which backend this process has, who starts it, and who tells the versions when it comes and goes."""

from __future__ import annotations

import asyncio
import shlex
import ssl
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from headrace_runtime.backends.backend import Backend, LoadBudget
from headrace_runtime.backends.by_format import BackendsByFormat, FormatBackend
from headrace_runtime.backends.oip import OipBackend, ServerNames
from headrace_runtime.backends.oip_servers import OipServers
from headrace_runtime.backends.onnx import OnnxBackend
from headrace_runtime.backends.python_code import PythonBackend
from headrace_runtime.backends.python_process import CodeLimits
from headrace_runtime.backends.server_links import channel, triton
from headrace_runtime.backends.triton import TritonBackend
from headrace_runtime.backends.triton_process import TritonProcess, Watcher, watch_neighbour
from headrace_runtime.backends.triton_repository import BACKENDS
from headrace_runtime.environments import Environments
from headrace_runtime.formats import Format
from headrace_runtime.thread_priority import Background
from headrace_servicekit.runtime import Runtime
from headrace_servicekit.tls import Tls, client_context

from headrace_batcher.settings import BatcherSettings
from headrace_batcher.triton_link import options_of

# Three of them, at worst, until a half-open link is given up: less than five seconds. It is asked every half
# second whether it is live (`loading/liveness.py`).
SILENT_S = 1.25

AnyBackend = TritonBackend | OnnxBackend | OipBackend


def load_budget(settings: BatcherSettings) -> LoadBudget:
    """Return what loading one version may use."""
    return LoadBudget(settings.load_cpu_s, settings.load_memory_bytes, variables="BATCHER_")


async def open_backend(runtime: Runtime[BatcherSettings], background: Background) -> AnyBackend:
    """Open the backend that the settings name; it may be empty, or not up yet. `triton_target` names Triton by now."""
    settings = runtime.settings
    budget = load_budget(settings)
    if settings.backend == "onnxruntime":
        return await runtime.enter(OnnxBackend(threads=settings.onnxruntime_threads, budget=budget))
    if settings.backend == "oip":
        assert settings.oip_target is not None  # the settings see to that
        return OipBackend(
            # A server in one Python process may answer nothing while it executes, which is not to be given up early.
            await runtime.enter(
                channel(settings.oip_target, settings.execution_timeout_s / 2, _tls_of_others(settings))
            ),
            names=ServerNames(settings.oip_model_name, settings.oip_model_version),
            execution_timeout_s=settings.execution_timeout_s,
            service=settings.oip_service,
            service_setting="BATCHER_OIP_SERVICE",
        )
    return await runtime.enter(
        triton(
            settings.triton_target,
            settings.state_dir / "models",
            silent_s=SILENT_S,
            execution_timeout_s=settings.execution_timeout_s,
            load_timeout_s=settings.load_timeout_s,
            budget=budget,
            in_thread=background.run,
        )
    )


@dataclass(frozen=True, slots=True)
class Formats:
    """A backend for every format that this process runs. offered: those formats; own: where some of them have backends
    of their own, None where they do not; code: of Python versions, None where they are not run."""

    backend: Backend
    offered: frozenset[Format]
    own: BackendsByFormat | None = None
    code: PythonBackend | None = None

    def processes(self) -> Mapping[str, int]:
        """Return how many processes of Python versions there are, by what they do."""
        return {} if self.code is None else self.code.processes

    def end_model(self, triton: TritonProcess | None) -> Callable[[str], bool] | None:
        """Return what ends at once what executes a version; None where nothing can."""
        if self.own is None:
            return None if triton is None else triton.end_model
        own = self.own
        return own.end_model if triton is None else lambda name: own.end_model(name) or triton.end_model(name)


@dataclass(frozen=True, slots=True)
class Supervision:
    """Ends what is stuck: Triton, or what runs one version."""

    triton: TritonProcess
    ends: Callable[[str], bool]

    def restart(self, reason: str) -> None:
        """Restart Triton."""
        self.triton.restart(reason)

    def end_model(self, name: str) -> bool:
        """End what executes a version; return whether that was all there is to end."""
        return self.ends(name)


async def with_formats(runtime: Runtime[BatcherSettings], main: AnyBackend) -> Formats:
    """Return the backend of every format, those that `main` does not run among them."""
    settings = runtime.settings
    if isinstance(main, OipBackend):
        return Formats(main, frozenset(Format))  # whatever its server has
    own: dict[Format, FormatBackend] = {
        Format.OIP: await runtime.enter(
            OipServers(execution_timeout_s=settings.execution_timeout_s, tls=_tls_of_others(settings))
        )
    }
    code: PythonBackend | None = None
    if settings.allow_code:
        environments = Environments(settings.state_dir / "environments", index=settings.package_index)
        limits = CodeLimits(settings.code_memory_bytes, settings.load_cpu_s)
        place = settings.state_dir / "code"
        code = own[Format.PYTHON] = await runtime.enter(
            PythonBackend(place, environments, limits=limits, timeout_s=settings.execution_timeout_s)
        )
    backend = BackendsByFormat(main, own)
    runs: Collection[Format] = (Format.ONNX,)
    if isinstance(main, TritonBackend) and settings.triton_backends is not None:
        runs = formats_of_triton(settings.triton_backends, allow_code=settings.allow_code)
    return Formats(backend, frozenset((*runs, *own)), backend, code)


def _tls_of_others(settings: BatcherSettings) -> ssl.SSLContext | None:
    return None if settings.oip_ca is None else client_context(Tls(ca=settings.oip_ca))


def formats_of_triton(backends: Path, *, allow_code: bool) -> Collection[Format]:
    """Return what a Triton with a folder of backends runs. allow_code: shared libraries of versions, too."""
    found = [kept_as for name, formats in BACKENDS.items() if (backends / name).is_dir() for kept_as in formats]
    return [kept_as for kept_as in found if allow_code or kept_as is not Format.PT2]


def own_triton(settings: BatcherSettings, backend: AnyBackend) -> TritonProcess | None:
    """Return the Triton that this process starts itself, if that is asked for."""
    if not isinstance(backend, TritonBackend) or not settings.triton_command:
        return None
    options = (
        f"--model-repository={settings.state_dir / 'models'}",
        *options_of(settings.triton_target),
        f"--metrics-port={settings.triton_metrics_port}",
    )
    return TritonProcess((*shlex.split(settings.triton_command), *options), backend.ready)


async def keep_backend(
    runtime: Runtime[BatcherSettings], backend: AnyBackend, process: TritonProcess | None, versions: Watcher
) -> None:
    """Start Triton, or watch what others run, and tell the versions when it comes and goes; never returns."""
    if isinstance(backend, OnnxBackend):
        versions.backend_up()
        await asyncio.get_running_loop().create_future()
    elif process is not None:
        await process.run(versions)
    else:
        name = "Triton" if isinstance(backend, TritonBackend) else "the inference server"
        await watch_neighbour(backend.ready, backend.holds_all, versions, runtime.clock, name=name)
