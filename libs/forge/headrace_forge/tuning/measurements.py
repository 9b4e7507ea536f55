"""Measuring a pool as its callers meet it: service times by batch size, and goodput of an open loop."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from headrace_client.client import AsyncClient
from headrace_client.errors import HeadraceError
from headrace_client.tensors import Input
from headrace_scaling.simulation.service_curves import ServiceCurve

# Executions of each size; the median counts.
_CURVE_REQUESTS = 9
_NEVER_STORED = timedelta(0)
_MIN_S = 1e-6


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
