"""A backend before Triton that executes a version in this process where that is cheaper.

Triton has every version, and executes it until it is known where it is cheapest, and again when it is loaded again,
when executions in process take longer than they may, and for good once this process has died of one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NoReturn

import structlog
from headrace_runtime.backends.backend import Backend, BackendLost, LoadBudget, ModelFiles, stream
from headrace_runtime.backends.onnx import OnnxBackend
from headrace_runtime.shapes import Layout, OutputTensor
from headrace_servicekit.coordination.wakeup import Wakeup

from headrace_batcher.decisions import compute
from headrace_batcher.decisions.compute import Bounds, Choice, Way
from headrace_batcher.in_process.comparison import Comparison
from headrace_batcher.in_process.crash_record import CrashRecord
from headrace_batcher.in_process.inline import WATCH_S, InlineRuns, TakesTooLong
from headrace_batcher.loading.held import Held

log = structlog.get_logger()

# An execution in a thread that takes longer is ended there and begins again in Triton, whose processes can be ended.
THREAD_S = 1.0
# Of `OnnxBackend`, which load sessions, and the one of the event loop.
_OTHER_THREADS = 5

# Returns why no version with a file of so many bytes may be executed in process now, empty where it may.
Unfit = Callable[[int], Awaitable[str]]


class CheapestBackend:
    """Measures each version once it is loaded, and executes it where it is cheapest.

    anyway: in process, whatever it takes. changed: called when it changes where a version is executed. then: called
    with a version that was loaded once that is known.
    """

    load_control = True

    def __init__(
        self,
        backend: Backend,
        onnx: OnnxBackend,
        inline: InlineRuns,
        record: CrashRecord,
        *,
        anyway: bool,
        unfit: Unfit,
        changed: Callable[[], None],
        then: Callable[[Held], None],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._backend, self._onnx, self._inline, self._record = backend, onnx, inline, record
        self._anyway, self._unfit, self._now = anyway, unfit, now
        self._changed, self._then = changed, then
        # What is loaded; of that, what is executed in process, and what waits to be measured.
        self._files: dict[str, ModelFiles] = {}
        self._here: dict[str, tuple[Held, Bounds]] = {}
        self._todo: dict[str, Held] = {}
        self._wakeup = Wakeup()

    async def load(self, files: ModelFiles) -> None:
        await self._leave(files.name)
        await self._backend.load(files)
        self._files[files.name] = files

    async def unload(self, name: str) -> None:
        await self._leave(name)
        await self._backend.unload(name)

    async def infer(self, name: str, layout: Layout, rows: int, inputs: Sequence[bytes]) -> list[OutputTensor]:
        if (here := self._here.get(name)) is None:
            return await self._backend.infer(name, layout, rows, inputs)
        held, bounds = here
        size_bytes = sum(map(len, inputs))
        try:
            if bounds.inline(size_bytes):
                try:
                    outputs, seconds = await self._inline.run(name, layout, rows, inputs)
                except TakesTooLong:
                    self._observe(held, bounds, size_bytes, WATCH_S)
                else:
                    self._observe(held, bounds, size_bytes, seconds)
                    return outputs
            async with asyncio.timeout(THREAD_S):
                outputs, seconds = await self._onnx.run_in_thread(name, layout, rows, inputs)
            self._observe(held, bounds, size_bytes, seconds)
            return outputs
        except TimeoutError:
            self._observe(held, bounds, size_bytes, THREAD_S)
        except BackendLost:  # it was unloaded here in that moment
            pass
        return await self._backend.infer(name, layout, rows, inputs)

    def stream(
        self, name: str, layout: Layout, rows: int, inputs: Sequence[bytes]
    ) -> AsyncGenerator[list[OutputTensor], None]:
        return stream(self._backend, name, layout, rows, inputs)

    async def ready(self) -> bool:
        return await self._backend.ready()

    def became_ready(self, held: Held) -> None:
        """Find out where a version is cheapest that was loaded."""
        self._todo[held.name] = held
        self._wakeup.wake()

    async def run(self) -> NoReturn:
        """Measure what was loaded, for ever, one version after the other."""
        while True:
            while self._todo:
                held = self._todo.pop(next(iter(self._todo)))
                if (files := self._files.get(held.name)) is not None:
                    await self._settle(held, files)
                self._then(held)
            await self._wakeup.wait()

    async def _settle(self, held: Held, files: ModelFiles) -> None:
        """Choose where a version is executed, and have it executed there."""
        largest_bytes = 0
        try:
            choice = Choice(Way.BACKEND, await self._pinned(files))
            if not choice.reason:
                comparison = Comparison(files, self._backend, self._onnx, self._now)
                choice, largest_bytes = await comparison.choose(anyway=self._anyway), comparison.largest_bytes
        except BackendLost:  # it is measured when it is loaded again
            return
        except Exception as error:
            log.error("version not measured", model=files.name, exc_info=error)
            choice = Choice(Way.BACKEND, "internal error while it was measured")
        if self._files.get(files.name) is not files or choice.way is Way.BACKEND:
            await self._onnx.unload(files.name)
        if self._files.get(files.name) is not files:
            return
        if choice.way is not Way.BACKEND:
            self._here[files.name] = held, Bounds(choice.way, largest_bytes)
        self._choose(held, choice)

    async def _pinned(self, files: ModelFiles) -> str:
        file_bytes, digest = files.path.stat().st_size, files.path.name
        self._record.name(files.name, digest)
        if self._record.crashed(digest):
            return "the batcher died while it executed this file in process"
        return compute.pinned(files, file_bytes) or await self._unfit(file_bytes)

    def _observe(self, held: Held, bounds: Bounds, size_bytes: int, seconds: float) -> None:
        choice = bounds.observe(size_bytes, seconds)
        if choice is None:
            return
        here = self._here.get(held.name)
        if here is not None and here[1] is bounds:
            if choice.way is Way.BACKEND:  # its session goes with the version
                del self._here[held.name]
            self._choose(held, choice)

    def _choose(self, held: Held, choice: Choice) -> None:
        held.compute = choice
        log.info("version executed", model=held.name, where=choice.way.name, reason=choice.reason)
        self._changed()

    async def _leave(self, name: str) -> None:
        self._files.pop(name, None)
        self._todo.pop(name, None)
        if (here := self._here.pop(name, None)) is not None:
            here[0].compute = None
        await self._onnx.unload(name)


@asynccontextmanager
async def cheapest(
    backend: Backend,
    folder: Path,
    *,
    threads: int,
    budget: LoadBudget,
    anyway: bool,
    unfit: Unfit,
    changed: Callable[[], None],
    then: Callable[[Held], None],
) -> AsyncIterator[CheapestBackend]:
    """Open it before a backend. folder: for the record of crashes. threads: executions in threads at once."""
    with CrashRecord(folder, threads + _OTHER_THREADS).kept() as record:
        async with OnnxBackend(threads=threads, budget=budget, observer=record) as onnx:
            with InlineRuns(onnx).watched() as inline:
                yield CheapestBackend(
                    backend, onnx, inline, record, anyway=anyway, unfit=unfit, changed=changed, then=then
                )
