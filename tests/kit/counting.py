"""A data plane that counts and reports, as the monitor sees it.

plane = CountingPlane()
plane.answer(KEY, 0.012)
await stub.ReportCounters(plane.report(), timeout=5)
"""

from __future__ import annotations

import os
import time
import uuid
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import log2

from headrace.monitor.v1 import ingest_pb2
from headrace.router.v1 import predict_pb2
from headrace_monitor.counters.differences import Key

ONLINE = predict_pb2.PredictResponse.SERVED_FROM_ONLINE
CACHE = predict_pb2.PredictResponse.SERVED_FROM_CACHE


def key(model: str = "fraud", version: str = "v1", served_from: int = ONLINE, code: int = 0) -> Key:
    """Return a key; errors come from nowhere."""
    return Key(model, version, "main", 0 if code else served_from, code, "", "")


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

    def message(self, key: Key) -> ingest_pb2.CounterSeries:
        """Return the series as it is reported: whole."""
        first = min(self.buckets, default=0)
        counts = [self.buckets[bucket] for bucket in range(first, max(self.buckets, default=-1) + 1)]
        return ingest_pb2.CounterSeries(
            **key._asdict(),
            first_bucket=first,
            duration_counts=counts,
            duration_sum_s=self.seconds,
            rows=sum(counts),
            executions=sum(counts) / 2,
            queue_us=self.queue_us,
            compute_us=2 * self.queue_us,
        )


class CountingPlane:
    """One process of a data plane. Reports whole series; which ones is for the caller to say."""

    def __init__(self, data_plane: str = "plane-0") -> None:
        self.data_plane, self.process = data_plane, uuid7()
        self.sequence = 0
        self.series: dict[Key, CountedSeries] = {}
        self.dropped: Counter[str] = Counter()

    def answer(self, key: Key, seconds: float, times: int = 1) -> None:
        """Count answers."""
        series = self.series.setdefault(key, CountedSeries())
        series.buckets[int((log2(seconds) + 20) * 64)] += times
        series.seconds += seconds * times
        series.queue_us += 100 * times

    def drop(self, reason: str = "BUFFER_FULL", times: int = 1) -> None:
        """Count predictions that are in no batch."""
        self.dropped[reason] += times

    def report(self, keys: Iterable[Key] | None = None) -> ingest_pb2.ReportCountersRequest:
        """Return the next report, of these series or of all."""
        self.sequence += 1
        request = ingest_pb2.ReportCountersRequest(
            data_plane=self.data_plane,
            process=self.process,
            sequence=self.sequence,
            series=[self.series[one].message(one) for one in (self.series if keys is None else keys)],
            dropped=[ingest_pb2.DroppedPredictions(reason=reason, count=n) for reason, n in self.dropped.items()],
        )
        request.report_time.GetCurrentTime()
        return request
