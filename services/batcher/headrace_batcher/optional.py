"""What a batcher has where its settings ask for it: a watch on memory, reports to the registry; and who used it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from typing import Any, NoReturn

import grpc
import grpc.aio
import structlog
from headrace.registry.v1 import registry_pb2, registry_pb2_grpc
from headrace.router.v1 import usage_pb2, usage_pb2_grpc
from headrace_runtime.artifacts.cache import Artifacts
from headrace_runtime.backends.backend import Backend
from headrace_runtime.backends.triton_process import TritonProcess
from headrace_servicekit.client import channel
from headrace_servicekit.peers import Peer
from headrace_servicekit.runtime import Runtime
from headrace_servicekit.tls import Tls

from headrace_batcher.backend import load_budget
from headrace_batcher.batching.usage import ClientUse, Usage
from headrace_batcher.decisions.version_state import Wanted
from headrace_batcher.in_process.backend import cheapest
from headrace_batcher.loading.gpu import LOOK_EVERY_S, GpuWatch
from headrace_batcher.loading.held import Held
from headrace_batcher.loading.memory import MemoryWatch
from headrace_batcher.settings import BatcherSettings

log = structlog.get_logger()


def signature_check(
    runtime: Runtime[BatcherSettings], artifacts: Artifacts
) -> Callable[[Wanted], Awaitable[None]] | None:
    """Return what raises LoadError for a version that may not be loaded, None without a signing policy."""
    if runtime.settings.signing_policy_file is None:
        return None
    # Late: cryptography takes a tenth of a second and 16 MB, which a batcher without a policy does not need.
    from headrace_runtime.signatures import policy_file

    from headrace_batcher.loading.signatures import Signatures

    policy = policy_file.followed(runtime, runtime.settings.signing_policy_file)
    return None if policy is None else Signatures(artifacts, policy).check


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


async def cheapest_backend(
    runtime: Runtime[BatcherSettings],
    backend: Backend,
    memory: MemoryWatch | None,
    gpus: GpuWatch,
    changed: Callable[[], None],
    then: Callable[[Held], None],
) -> tuple[Backend, Callable[[Held], None]]:
    """Return a backend that executes versions where they are cheapest, before one that has all of them, and what to
    call with each that was loaded; the backend itself where it executes all.

    changed: called when it changes where a version is executed. then: called with a version once that is known.
    """
    settings = runtime.settings
    if settings.backend != "triton" or settings.compute == "triton":
        return backend, then

    async def unfit(file_bytes: int) -> str:
        await gpus.look()
        if gpus.load is not None:
            return "Triton has GPUs"
        used = None if memory is None else memory.last
        if used is not None and used.used + budget.memory_per_byte * file_bytes > used.limit:
            return "there is no memory for it a second time"
        return ""

    budget = load_budget(settings)
    opening = cheapest(
        backend,
        settings.state_dir / "in-process",
        threads=settings.onnxruntime_threads,
        budget=budget,
        anyway=settings.compute == "in-process",
        unfit=unfit,
        changed=changed,
        then=then,
    )
    try:
        before = await runtime.enter(opening)
    except OSError as error:  # without a record of crashes a version would end this process again and again
        log.warning("versions are executed through Triton alone", cause=str(error))
        return backend, then
    runtime.loop("compute", before.run)
    return before, before.became_ready


def follow_memory(
    runtime: Runtime[BatcherSettings], memory: MemoryWatch | None, gpus: GpuWatch, changed: Callable[[], None]
) -> None:
    """Keep up to date what is in use, here and on GPUs. changed: called when it was read."""
    if runtime.settings.backend == "triton":
        runtime.every("gpus", LOOK_EVERY_S, gpus.look)
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
    runtime: Runtime[BatcherSettings], control: Any, process: str, usage: Usage, busy_s: Callable[[], float]
) -> None:
    """Report who used this batcher. control: a channel to the control plane. busy_s: how long anything has executed."""
    used = UsageReports(usage_pb2_grpc.UsageServiceStub(control), runtime.settings.pool, process, usage, busy_s)
    await runtime.enter(used.flushed())
    runtime.loop("usage", used.run)


EVERY_S = 5.0
_TIMEOUT_S = 5.0
_RETRY_S = 1.0
_MAX_USES = 5_000


class UsageReports:
    """Reports usage. pool, process: of this batcher. busy_s: how long anything has executed so far.

    A report keeps its number until it is acknowledged, so one that came twice counts once; meanwhile what is used sums
    up for the next one.
    """

    def __init__(
        self,
        stub: Any,
        pool: str,
        process: str,
        usage: Usage,
        busy_s: Callable[[], float],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stub, self._pool, self._process = stub, pool, process
        self._usage, self._busy_s, self._now = usage, busy_s, now
        self._numbers = itertools.count(1)
        self._until, self._busy_until_s = now(), busy_s()
        self._unsent: deque[usage_pb2.ReportUsageRequest] = deque()
        self._control = Peer("control", every_s=_RETRY_S, max_backoff_s=EVERY_S, call="usage")

    async def run(self) -> NoReturn:
        """Report for ever."""
        while True:
            await asyncio.sleep(EVERY_S)
            await self.report()

    async def report(self) -> bool:
        """Report what was used since the last time; return whether the control plane has all of it."""
        if not self._unsent:
            self._unsent.extend(self._made())
        while self._unsent:
            if not await self._control.call(self._send):
                return False
        return True

    @contextlib.asynccontextmanager
    async def flushed(self) -> AsyncIterator[None]:
        """Report at the end what there still is. `run` has ended by then."""
        try:
            yield
        finally:
            if await self.report():  # what was on its way when the loop ended
                await self.report()

    async def _send(self) -> None:
        try:
            await self._stub.ReportUsage(self._unsent[0], timeout=_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            # It would be refused again for ever. A control plane of 0.1.0 is UNIMPLEMENTED until it is upgraded.
            if error.code() is not grpc.StatusCode.INVALID_ARGUMENT:
                raise
            log.error("usage refused", code=error.code().name, reason=error.details())
        self._unsent.popleft()

    def _made(self) -> Iterator[usage_pb2.ReportUsageRequest]:
        now, busy_s = self._now(), self._busy_s()
        present_us, busy_us = round((now - self._until) * 1e6), round((busy_s - self._busy_until_s) * 1e6)
        self._until, self._busy_until_s = now, busy_s
        uses = self._usage.take()
        while (some := list(itertools.islice(uses, _MAX_USES))) or present_us:
            yield usage_pb2.ReportUsageRequest(
                pool=self._pool,
                process=self._process,
                sequence=next(self._numbers),
                present_us=present_us,
                busy_us=min(busy_us, present_us),
                uses=_uses(some),
            )
            present_us = busy_us = 0


def _uses(uses: Iterable[ClientUse]) -> Iterator[usage_pb2.ComputeUse]:
    for one in uses:
        yield usage_pb2.ComputeUse(
            model=one.model,
            version=one.version,
            client=one.client,
            # As in InferRequest, whose classes begin at 1.
            priority=one.priority + 1,
            requests=one.requests,
            rows=one.rows,
            compute_us=round(one.compute_s * 1e6),
        )


# The registry's no for good: the version is gone, is another one, or the registry is older than this call.
_SETTLED = frozenset(
    (
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.UNIMPLEMENTED,
    )
)


class RegistryReports:
    """Reports measured metrics. source: names this process in the record."""

    def __init__(self, stub: Any, source: str) -> None:
        self._stub = stub
        self._source = source

    async def record(self, model: str, version: str, digest: str, metrics: dict[str, float]) -> bool:
        """Return whether the values were taken, or never will be. Values that are not finite are left out."""
        if "--" in version:  # a graph of a pipeline's own is no version that the registry could note them of
            return True
        request = registry_pb2.RecordMeasuredMetricsRequest(
            name=f"models/{model}/versions/{version}",
            digest=digest,
            metrics=[
                registry_pb2.Metric(name=name, value=value, source=registry_pb2.Metric.SOURCE_MEASURED)
                for name, value in metrics.items()
                if math.isfinite(value)
            ],
            source_process=self._source,
        )
        if not request.metrics:
            return True
        try:
            await self._stub.RecordMeasuredMetrics(request, timeout=_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            log.warning("measured values not taken", model=model, version=version, code=error.code().name)
            return error.code() in _SETTLED
        return True
