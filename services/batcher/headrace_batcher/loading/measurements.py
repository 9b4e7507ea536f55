"""What a version shows once it is loaded: how long its executions take, and how close it comes to expected outputs.

The registry keeps these values as MEASURED. Measuring gives way to serving: it executes only while the version has
nothing to do, one execution at a time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

import numpy as np
import structlog
from headrace_runtime import expected_outputs
from headrace_runtime.artifacts.cache import ArtifactError, Artifacts
from headrace_runtime.backends.backend import Backend, BackendLost, ModelError
from headrace_runtime.expected_outputs import Difference, UnreadableValidation
from headrace_runtime.shapes import WrongInput, WrongOutput
from headrace_servicekit.coordination.wakeup import Wakeup
from headrace_servicekit.peers import count

from headrace_batcher.decisions.version_state import Phase
from headrace_batcher.loading.held import Held

log = structlog.get_logger()

P50, P99, PARITY = "latency_p50_ms", "latency_p99_ms", "parity_max_abs_diff"
# What the registry asks of every version that goes into production.
OVER_TOLERANCE = "parity_over_tolerance"

# Executions of each kind in a round, and how long they may take together once there are the fewest of them.
SERIES, SERIES_S, MIN_SERIES = 100, 0.7, 3
# Rounds, unless they take long: then the model is slower than what disturbs it.
ROUNDS, LONG_ROUND_S = 3, 2.0
# How long an idle moment is waited for before measuring is given up until the version is loaded again.
PATIENCE_S = 600.0
_IDLE_POLL_S = 0.05
_RETRY_S, _MAX_RETRY_S = 1.0, 60.0
# Versions whose values wait to be taken by the registry; the oldest are given up beyond that.
_MAX_UNREPORTED = 256


class Registry(Protocol):
    """Where values go."""

    async def record(self, model: str, version: str, digest: str, metrics: dict[str, float]) -> bool:
        """Return whether that is settled: taken, or refused for good. False is tried again."""
        ...


class _Gone(Exception):
    """The version is not there any more, or never idle."""


@dataclass(frozen=True, slots=True)
class Round:
    """How long executions took, in seconds: of one row, and of a full batch."""

    single_s: Sequence[float]
    full_s: Sequence[float]


def latencies(rounds: Sequence[Round]) -> dict[str, float]:
    """Return the metrics of at least one round, in milliseconds.

    The median is that of one row, what a lone caller sees. The 99th percentile is over both kinds, so it is in the main
    that of full batches: what a caller meets under load, its wait left out. Each is of the round in which it was least:
    what else the machine does only ever adds to what the model takes.
    """
    return {
        P50: min(float(np.median(one.single_s)) for one in rounds) * 1e3,
        P99: min(float(np.percentile([*one.single_s, *one.full_s], 99)) for one in rounds) * 1e3,
    }


class Measuring:
    """Measures each version once per process, and reports it until the registry has it.

    registry: None measures nothing.
    """

    def __init__(
        self,
        backend: Backend,
        artifacts: Artifacts,
        registry: Registry | None,
        in_thread: Callable[..., Awaitable[Any]] = asyncio.to_thread,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._backend = backend
        self._artifacts = artifacts
        self._registry = registry
        self._in_thread = in_thread
        self._now = now
        self._todo: dict[str, Held] = {}
        self._measured: set[str] = set()
        self._unreported: dict[str, tuple[Held, dict[str, float]]] = {}
        self._wakeup = Wakeup()
        self._reports = Wakeup()

    def became_ready(self, held: Held) -> None:
        """Measure a version that was loaded, unless that was done."""
        digest = held.wanted.digest
        if self._registry is not None and digest not in self._measured:
            self._todo[digest] = held
            self._wakeup.wake()

    async def run(self) -> NoReturn:
        """Measure for ever, one version after the other."""
        while True:
            while self._todo:
                digest, held = next(iter(self._todo.items()))
                del self._todo[digest]
                try:
                    metrics = await self._measure(held)
                except (_Gone, BackendLost, ModelError, WrongInput, WrongOutput) as error:
                    log.info("version not measured", model=held.name, cause=str(error) or type(error).__name__)
                    continue
                except Exception as error:  # whatever the backend's answer was: it is measured when it is loaded again
                    count("backend", error)
                    log.warning("version not measured", model=held.name, exc_info=error)
                    continue
                self._measured.add(digest)
                log.info("version measured", model=held.name, **{name: round(metrics[name], 6) for name in metrics})
                self._unreported[digest] = (held, metrics)
                while len(self._unreported) > _MAX_UNREPORTED:
                    del self._unreported[next(iter(self._unreported))]
                self._reports.wake()
            await self._wakeup.wait()

    async def report(self) -> NoReturn:
        """Report for ever; a registry that is away is asked again, less and less often."""
        pause_s = _RETRY_S
        while True:
            for digest, (held, metrics) in list(self._unreported.items()):
                wanted = held.wanted
                if not metrics or self._registry is None:
                    self._unreported.pop(digest, None)
                elif await self._registry.record(wanted.model, wanted.version, digest, metrics):
                    self._unreported.pop(digest, None)
                    pause_s = _RETRY_S
            if not self._unreported:
                await self._reports.wait()
                continue
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, _MAX_RETRY_S)

    async def _measure(self, held: Held) -> dict[str, float]:
        rounds: list[Round] = []
        for _ in range(ROUNDS):
            one = Round(await self._series(held, 1), await self._series(held, held.wanted.limits.max_rows))
            rounds.append(one)
            if sum(one.single_s) + sum(one.full_s) > LONG_ROUND_S:
                break
        return {**latencies(rounds), **await self._parity(held)}

    async def _series(self, held: Held, rows: int) -> list[float]:
        """Return how long executions of that many rows took, in seconds."""
        taken: list[float] = []
        while len(taken) < MIN_SERIES or (len(taken) < SERIES and sum(taken) < SERIES_S):
            await self._idle(held)
            taken.append(await held.probe.run(rows))
        return taken

    async def _parity(self, held: Held) -> dict[str, float]:
        """Return the difference to the expected outputs that the version came with, if it did."""
        wanted = held.wanted
        if not wanted.validation:
            return {}
        try:
            path = await self._artifacts.fetch(wanted.validation, gently=True)
            examples = await self._in_thread(expected_outputs.read, path, wanted.contract)
        except (ArtifactError, UnreadableValidation) as error:
            log.warning("validation data not used", model=held.name, cause=str(error))
            return {}
        if examples is None:
            return {}
        found = Difference()
        for batch in examples.batches(wanted.limits.max_rows):
            await self._idle(held)
            outputs = await self._backend.infer(wanted.name, batch.layout, batch.rows, batch.inputs)
            found = found.and_also(batch.difference(outputs))
        if found.over > 1.0:
            log.warning("expected outputs do not hold", model=held.name, difference=found.where)
        return {PARITY: found.largest, OVER_TOLERANCE: found.over}

    async def _idle(self, held: Held) -> None:
        """Return when the version has nothing to do. Raises _Gone when it goes, or never has."""
        deadline = self._now() + PATIENCE_S
        while held.phase is Phase.READY and self._now() < deadline:
            if held.serves and not held.batcher.rows:
                return
            await asyncio.sleep(_IDLE_POLL_S)
        raise _Gone("it was never idle" if held.phase is Phase.READY else "it is not loaded any more")
