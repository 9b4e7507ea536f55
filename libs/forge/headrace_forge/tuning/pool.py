"""The real pool of a version: settings put into force there, and what it answers by them."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
from headrace.registry.v1 import registry_pb2
from headrace_client.cli.settings import await_settings
from headrace_client.client import AsyncClient, Client
from headrace_client.errors import DeadlineExceeded, HeadraceError
from headrace_client.operations.registration import Serving, serving_settings
from headrace_client.tensors import Input
from headrace_scaling.simulation.service_curves import ServiceCurve

from headrace_forge.tuning import search
from headrace_forge.tuning.search import Grid, Run, Settings

# Executions of each size; the median counts.
_CURVE_REQUESTS = 9
_NEVER_STORED = timedelta(0)
_MIN_S = 1e-6
_IN_FORCE_S = 120.0
_MEASURING = "tune: measuring"
# Beyond what the model thinks can be answered: goodput under too much is what is looked for.
_MORE = 1.5


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: a client, a version and the rows that it asks for. rows: by input, at least one."""

    client: AsyncClient
    model: str
    version: str
    rows: Mapping[str, np.ndarray]

    def batch(self, at: int, rows: int) -> dict[str, Input]:
        """Return so many rows, beginning with one of them, the given ones again and again."""
        count = len(next(iter(self.rows.values())))
        places = np.arange(at, at + rows) % count
        return {name: values[places] for name, values in self.rows.items()}


@dataclass(frozen=True, slots=True)
class Observed:
    """What an open loop saw. sent_per_s: what was really sent: a generator that is late offers less than it should."""

    goodput_per_s: float
    p99_ms: float
    sent_per_s: float
    failed: int


async def service_curve(caller: Caller, sizes: Sequence[int]) -> ServiceCurve:
    """Return the execution time in seconds by rows, as the batcher reports it, without other load."""
    points = []
    for rows in sizes:
        taken = []
        for at in range(_CURVE_REQUESTS):
            answer = await caller.client.predict(
                caller.model,
                caller.batch(at * rows, rows),
                version=caller.version,
                max_age=_NEVER_STORED,
                timing=True,
            )
            taken.append(answer.timing_ms.get("compute", 0.0) / 1000)
        points.append((rows, max(_MIN_S, statistics.median(taken[2:]))))
    return ServiceCurve.of(points)


async def open_loop(caller: Caller, *, per_s: float, seconds: float, objective_s: float, seed: int = 0) -> Observed:
    """Send single rows at random times, whatever becomes of those before; return how many were answered in time."""
    arrivals = np.cumsum(np.random.default_rng(seed).exponential(1.0 / per_s, size=max(1, round(per_s * seconds))))
    taken: list[float] = []
    failed = 0
    began = time.perf_counter()

    async def one(at: int, due: float) -> None:
        nonlocal failed
        try:
            await caller.client.predict(
                caller.model,
                caller.batch(at, 1),
                version=caller.version,
                max_age=_NEVER_STORED,
                timeout=2 * objective_s,
            )
        except HeadraceError:
            failed += 1
        else:
            # From when it should have been sent: a generator that is late must not make the pool look quicker.
            taken.append(time.perf_counter() - began - due)

    async with asyncio.TaskGroup() as tasks:
        for at, due in enumerate(arrivals.tolist()):
            wait_s = due - (time.perf_counter() - began)
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            tasks.create_task(one(at, due), name="tune")
        sending_s = time.perf_counter() - began
    in_time = sum(one <= objective_s for one in taken)
    return Observed(
        goodput_per_s=in_time / max(sending_s, seconds),
        p99_ms=float(np.percentile(taken, 99)) * 1000 if taken else 0.0,
        sent_per_s=len(arrivals) / sending_s,
        failed=failed,
    )


class MeasuredPool:
    """A version on its pool; each measurement has an event loop and a client of its own. rows: to ask for, by input."""

    def __init__(self, client: Client, model: str, version: str, rows: Mapping[str, np.ndarray]) -> None:
        self._client, self._model, self._version, self._rows = client, model, version, rows

    def _put(self, settings: registry_pb2.ServingSettings) -> None:
        if not put(self._client, self._model, self._version, settings, _MEASURING):
            raise DeadlineExceeded(f"{self._model} {self._version} cannot be measured: no batcher serves it")

    def curve(self, grid: Grid) -> ServiceCurve:
        """Return how long executions take by their rows."""
        self._put(as_proto(Settings(max(grid.max_batch_rows), 0.0, 1)))
        return self._with(lambda caller: service_curve(caller, grid.max_batch_rows))

    def run(
        self,
        settings: Settings,
        per_s: float,
        seconds: float,
        objective_s: float,
        whole: registry_pb2.ServingSettings | None = None,
    ) -> Run:
        """Put settings into force, and return what is answered by them. whole: what these are called settings of."""
        self._put(whole or as_proto(settings))
        seen = self._with(lambda caller: open_loop(caller, per_s=per_s, seconds=seconds, objective_s=objective_s))
        return Run(settings, seen.goodput_per_s, seen.p99_ms, seen.sent_per_s)

    def _with(self, what: Callable[[Caller], Any]) -> Any:
        async def go() -> Any:
            async with AsyncClient.like(self._client) as client:
                return await what(Caller(client, self._model, self._version, self._rows))

        return asyncio.run(go())


def put(client: Client, model: str, version: str, settings: registry_pb2.ServingSettings, why: str) -> bool:
    """Put settings into force; return whether a batcher serves the version. Raises DeadlineExceeded where one does not
    take them."""
    done = client.versions.update_serving(model, version, settings, reason=why).version
    taken, serving = await_settings(client, model, version, done.serving_revision, _IN_FORCE_S)
    if not taken:
        reason = next((held.reason for _, held in serving if held.reason), "a batcher has others")
        raise DeadlineExceeded(f"settings {done.serving_revision} of {model} {version} are not in force: {reason}")
    return bool(serving)


def rate(curve: ServiceCurve, grid: Grid, objective_s: float, most: float) -> float:
    """Return the requests/s of every run: more than the model thinks can be answered."""
    _, per_s = search.model(curve, grid, objective_s)
    return min(most, max(20.0, _MORE * per_s * max(grid.instances)))


def of_proto(serving: registry_pb2.ServingSettings) -> Settings:
    """Return what is tuned of a version's settings."""
    wait_ms = serving.max_wait.ToTimedelta() / timedelta(milliseconds=1)
    return Settings(serving.max_batch_rows, wait_ms, serving.instances)


def as_proto(settings: Settings) -> registry_pb2.ServingSettings:
    """Return settings as a version has them."""
    wait = timedelta(milliseconds=settings.max_wait_ms)
    return serving_settings(
        Serving(settings.max_batch_rows, settings.preferred_batch_rows, wait, settings.instances, None)
    )
