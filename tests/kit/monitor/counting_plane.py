"""A data plane that counts and reports, as the monitor sees it.

plane = CountingPlane()
plane.answer(KEY, 0.012)
await stub.ReportCounters(plane.report(), timeout=5)
"""

from __future__ import annotations

import os
import random
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from math import log2

from headrace.telemetry.v1 import telemetry_pb2
from headrace_monitor.record.counters.decisions.differences import SeriesKey

from tests.kit.router.answer_sources import ONLINE


def key(model: str = "fraud", version: str = "v1", served_from: int = ONLINE, code: int = 0) -> SeriesKey:
    """Return a key; errors come from nowhere."""
    return SeriesKey(model, version, "main", 0 if code else served_from, code, "", "")


def uuid7() -> str:
    """Return a new UUIDv7."""
    stamp = time.time_ns() // 1_000_000
    number = stamp << 80 | 7 << 76 | int.from_bytes(os.urandom(10)) & ((1 << 76) - 1)
    return str(uuid.UUID(int=number & ~(3 << 62) | 2 << 62))


@dataclass(slots=True)
class CountedSeries:
    """What a data plane has counted of one key. buckets: answers by bucket."""

    buckets: Counter[int] = field(default_factory=Counter)
    seconds: float = 0.0
    queue_us: int = 0
    generation: int = 0

    def message(self, key: SeriesKey) -> telemetry_pb2.CounterSeries:
        """Return the series as it is reported: whole."""
        first = min(self.buckets, default=0)
        counts = [self.buckets[bucket] for bucket in range(first, max(self.buckets, default=-1) + 1)]
        return telemetry_pb2.CounterSeries(
            **key._asdict(),
            first_bucket=first,
            duration_counts=counts,
            duration_sum_s=self.seconds,
            rows=sum(counts),
            executions=sum(counts) / 2,
            queue_us=self.queue_us,
            compute_us=2 * self.queue_us,
            generation=self.generation,
        )


class CountingPlane:
    """One process of a data plane. Reports whole series; which ones is for the caller to say."""

    def __init__(self, data_plane: str = "plane-0") -> None:
        self.data_plane, self.process = data_plane, uuid7()
        self.sequence = 0
        self.series: dict[SeriesKey, CountedSeries] = {}
        self.generation = 0
        self.dropped: Counter[str] = Counter()

    def answer(self, key: SeriesKey, seconds: float, times: int = 1) -> None:
        """Count answers."""
        series = self.series.setdefault(key, CountedSeries(generation=self.generation))
        series.buckets[int((log2(seconds) + 20) * 64)] += times
        series.seconds += seconds * times
        series.queue_us += 100 * times

    def forget(self, key: SeriesKey) -> None:
        """Count a key from zero when it comes back. What there was of it must have been acknowledged."""
        self.generation += self.series.pop(key, None) is not None

    def drop(self, reason: str = "BUFFER_FULL", times: int = 1) -> None:
        """Count predictions that are in no batch."""
        self.dropped[reason] += times

    def report(self, keys: Iterable[SeriesKey] | None = None) -> telemetry_pb2.ReportCountersRequest:
        """Return the next report, of these series or of all."""
        self.sequence += 1
        request = telemetry_pb2.ReportCountersRequest(
            data_plane=self.data_plane,
            process=self.process,
            sequence=self.sequence,
            series=[self.series[one].message(one) for one in (self.series if keys is None else keys)],
            dropped=[telemetry_pb2.DroppedPredictions(reason=reason, count=n) for reason, n in self.dropped.items()],
        )
        request.report_time.GetCurrentTime()
        return request


class SendingPlane:
    """A data plane that sends what changed since the last report that was acknowledged.

    send: to any monitor; raises what it answers. answered: by key. errors: of reports that were not acknowledged.
    """

    def __init__(self, name: str, send: Callable[[telemetry_pb2.ReportCountersRequest], Awaitable[object]]) -> None:
        self._send = send
        self._plane: CountingPlane = CountingPlane(name)
        self._pending: set[SeriesKey] = set()
        self.answered: Counter[SeriesKey] = Counter()
        self.dropped = self.acknowledged = 0
        self.errors: list[Exception] = []

    async def step(self, rng: random.Random, keys: Sequence[SeriesKey]) -> bool:
        """Answer something and report once; return whether it was acknowledged."""
        for one in rng.sample(keys, rng.randint(1, len(keys))):
            times = rng.randint(1, 50)
            self._plane.answer(one, rng.lognormvariate(-4, 1), times)
            self.answered[one] += times
            self._pending.add(one)
        if rng.random() < 0.2:
            self._plane.drop(times=2)
            self.dropped += 2
        return await self.report()

    async def report(self) -> bool:
        """Report what changed; return whether it was acknowledged."""
        try:
            await self._send(self._plane.report(sorted(self._pending)))
        except Exception as error:
            self.errors.append(error)
            return False
        self._pending.clear()
        self.acknowledged += 1
        return True
