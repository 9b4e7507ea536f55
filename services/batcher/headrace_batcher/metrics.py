"""Counters of each version: plain integers on the hot path, read when Prometheus scrapes."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
SECONDS = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)

_LABELS = ("model", "version")


class Histogram:
    """Counts by upper bound, and the sum of what was counted."""

    __slots__ = ("_bounds", "_counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self.total += value

    @property
    def count(self) -> int:
        """Return how many values were counted."""
        return sum(self._counts)

    def buckets(self) -> list[tuple[str, float]]:
        """Return cumulative counts by upper bound, as Prometheus wants them."""
        sums, running = [], 0
        for bound, count in zip([*map(str, self._bounds), "+Inf"], self._counts, strict=True):
            running += count
            sums.append((bound, float(running)))
        return sums


class BatchCounters:
    """What one version did. shed, failed: by reason, a small fixed set of names; executions: likewise by where."""

    def __init__(self) -> None:
        self.batch_rows = Histogram(ROWS)
        self.batch_requests = Histogram(ROWS)
        self.queue_s = Histogram(SECONDS)
        self.compute_s = Histogram(SECONDS)
        self.answered = 0
        self.cancelled = 0
        self.expired = 0
        self.evicted = 0
        self.loaded_on_demand = 0
        self.padded_bytes = 0
        self.padding_bytes = 0
        self.parts = 0
        self.part_bytes = 0
        self.parts_waited_s = 0.0
        self.shed: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.executions: Counter[str] = Counter()
        self.queued_rows: Callable[[], int] = lambda: 0
        self.predicted_wait_s: Callable[[], float] = lambda: 0.0


class BatcherCollector(Collector):
    """Gives Prometheus the counters of every version that the batcher holds, how many frames were garbled, and how many
    processes of Python versions there are, by what they do."""

    def __init__(
        self,
        versions: Callable[[], Mapping[tuple[str, str], BatchCounters]],
        garbled: Callable[[], int],
        processes: Callable[[], Mapping[str, int]] = dict,
    ) -> None:
        self._versions, self._garbled, self._processes = versions, garbled, processes

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily]:
        held = dict(self._versions())
        yield from _histograms(held)
        for name, help_text, value in (
            ("batcher_requests_answered", "Requests answered.", lambda c: c.answered),
            ("batcher_requests_cancelled", "Requests whose caller left.", lambda c: c.cancelled),
            ("batcher_requests_expired", "Requests whose deadline passed in the queue.", lambda c: c.expired),
            ("batcher_versions_evicted", "Times that a version was unloaded for want of memory.", lambda c: c.evicted),
            (
                "batcher_padded_input_bytes",
                "Bytes of inputs that were padded, with the padding.",
                lambda c: c.padded_bytes,
            ),
            ("batcher_padding_bytes", "Bytes of padding: what is computed in vain.", lambda c: c.padding_bytes),
            ("batcher_parts", "Parts that were sent of answers that have several.", lambda c: c.parts),
            ("batcher_part_bytes", "Bytes of these parts.", lambda c: c.part_bytes),
            (
                "batcher_parts_waited_seconds",
                "How long models waited for callers to read streamed answers.",
                lambda c: c.parts_waited_s,
            ),
            (
                "batcher_versions_loaded_on_demand",
                "Loads of evicted versions because a request needed one.",
                lambda c: c.loaded_on_demand,
            ),
        ):
            family = CounterMetricFamily(name, help_text, labels=_LABELS)
            for labels, counters in held.items():
                family.add_metric(labels, value(counters))
            yield family
        for name, help_text, by_reason in (
            ("batcher_requests_shed", "Requests refused before they cost anything, by reason.", lambda c: c.shed),
            ("batcher_requests_failed", "Requests that an execution failed on, by reason.", lambda c: c.failed),
        ):
            family = CounterMetricFamily(name, help_text, labels=(*_LABELS, "reason"))
            for labels, counters in held.items():
                for reason, count in sorted(by_reason(counters).items()):
                    family.add_metric((*labels, reason), count)
            yield family
        executions = CounterMetricFamily(
            "batcher_executions",
            "Executions of measured versions: through Triton (backend), in a thread of the batcher, or inline.",
            labels=(*_LABELS, "way"),
        )
        for labels, counters in held.items():
            for way, count in counters.executions.items():
                executions.add_metric((*labels, way), count)
        yield executions
        queued = GaugeMetricFamily("batcher_queued_rows", "Rows that wait.", labels=_LABELS)
        for labels, counters in held.items():
            queued.add_metric(labels, counters.queued_rows())
        yield queued
        wait = GaugeMetricFamily(
            "batcher_predicted_wait_seconds",
            "Wait that a new request would have before its execution begins.",
            labels=_LABELS,
        )
        for labels, counters in held.items():
            wait.add_metric(labels, counters.predicted_wait_s())
        yield wait
        description = "Frames from data planes that did not match their checksum."
        yield CounterMetricFamily("batcher_frames_garbled", description, value=self._garbled())
        description = "Processes of Python versions: running, and left, which were killed and did not end."
        processes = GaugeMetricFamily("batcher_code_processes", description, labels=("state",))
        for state, count in {"running": 0, "left": 0, **self._processes()}.items():
            processes.add_metric((state,), count)
        yield processes

    def describe(self) -> Iterable[CounterMetricFamily]:
        return ()


def _histograms(held: Mapping[tuple[str, str], BatchCounters]) -> Iterator[HistogramMetricFamily]:
    for name, help_text, histogram in (
        ("batcher_batch_rows", "Rows of each execution.", lambda c: c.batch_rows),
        ("batcher_batch_requests", "Requests of each execution.", lambda c: c.batch_requests),
        (
            "batcher_queue_duration_seconds",
            "Wait of each request, or piece of one, before its execution.",
            lambda c: c.queue_s,
        ),
        ("batcher_compute_duration_seconds", "Duration of each execution.", lambda c: c.compute_s),
    ):
        family = HistogramMetricFamily(name, help_text, labels=_LABELS)
        for labels, counters in held.items():
            counted = histogram(counters)
            family.add_metric(labels, buckets=counted.buckets(), sum_value=counted.total)
        yield family
