"""Counts and durations of predictions: a look-up and an increment per request, everything else when it is read.

`Counters.series` is cumulative since the process started: who reads it twice takes differences, who reads several
processes adds histograms up. When it is full, what was silent for an hour is forgotten; a key that comes back then is
counted from zero, in another generation.
"""

from __future__ import annotations

import math
import time
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate, zip_longest
from math import log2
from typing import NamedTuple

from headrace_servicekit.errors import Code
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, SummaryMetricFamily
from prometheus_client.metrics_core import Metric

from headrace_router.data.answer.answer import ServedFrom
from headrace_router.data.tables.table import point_of

# Fewer than the histogram has, for Prometheus: a series of its own for each.
BOUNDS_S = (
    0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip
QUANTILES = (0.5, 0.9, 0.99, 0.999)
# Of some 10 KiB each, and of 25 lines of metrics.
MAX_SERIES = 4000
# Who asks for rates over longer than this sees one that begins at zero twice where it was forgotten.
SILENT_S = 3600.0
# Looking for those that are silent takes half a millisecond.
LOOK_EVERY_S = 60.0
LABELS = ("model", "version", "variant", "served_from", "layer", "fallback_step", "code")


class Key(NamedTuple):
    """What is counted apart. Names come from tables, never from callers, so their number is bounded.

    served_from: 0 for errors. code: a gRPC status code. layer: that had a stored answer, `memory` or `valkey`.
    fallback_step: the fallback that answered. priority: class as in `InferRequest`, 0 for ONLINE.
    """

    model: str
    version: str
    variant: str
    served_from: int
    code: int
    layer: str = ""
    fallback_step: str = ""
    priority: int = 0


class Series:
    """What was seen of one key since the process started, or since it was forgotten.

    generation: how often others had been forgotten when it began. latest: when the last one ended, on the counters'
    clock; reported: the same of the last one that the monitor knows of. requests, rows, executions, queue_us,
    compute_us, shares_us: of answers computed for their requests; an execution that n requests shared counts as 1/n for
    each, and so does its time in shares_us. invalid, degraded: answers, as in CounterSeries.
    """

    __slots__ = (
        "compute_us", "degraded", "durations", "executions", "generation", "invalid", "latest", "queue_us", "reported",
        "requests", "rows", "shares_us",
    )  # fmt: skip

    def __init__(self, generation: int) -> None:
        self.generation = generation
        self.reported: float | None = None
        self.durations = Histogram()
        self.requests = self.rows = self.queue_us = self.compute_us = self.invalid = self.degraded = 0
        self.executions = self.shares_us = self.latest = 0.0

    def computed(self, rows: int, batch_requests: int, queue_us: int, compute_us: int) -> None:
        """Add what the last observation took to compute."""
        self.requests += 1
        self.rows += rows
        self.executions += 1 / batch_requests
        self.shares_us += compute_us / batch_requests
        self.queue_us += queue_us
        self.compute_us += compute_us


class Counters:
    """All series of one data plane; a prometheus_client collector.

    clock: of durations; it does not stand still within a turn of the event loop, whose own does. wall: Unix time.
    reporting: whether `Series.reported` is set; what is not reported is not forgotten then.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.perf_counter,
        wall: Callable[[], float] = time.time,
        *,
        reporting: bool = False,
    ) -> None:
        self.series: dict[Key, Series] = {}
        self.erring, self.refused, self.asked = VariantUnits(), VariantUnits(), VariantUnits()
        self.clock, self._wall, self._reporting = clock, wall, reporting
        self._generation = 0
        self._look_at = -math.inf

    def observe(self, key: Key, seconds: float, ended: float) -> Series:
        """Count one answer or error that ended just now, on the clock; return its series."""
        series = self.series.get(key)
        if series is None:
            series = self._begin(key)
        series.latest = ended
        series.durations.add(seconds)
        return series

    def unix_s(self, moment: float) -> float:
        """Return the Unix time of a moment on the clock."""
        return self._wall() - (self.clock() - moment)

    def collect(self) -> Iterator[Metric]:
        """Yield the metric families. Called by prometheus_client."""
        requests = CounterMetricFamily("headrace_router_predictions", "Predictions answered.", labels=LABELS)
        durations = HistogramMetricFamily(
            "headrace_router_prediction_duration_seconds",
            "From the headers to the answer. Bucket bounds are exact to 0.6 %.",
            labels=LABELS,
        )
        quantiles = SummaryMetricFamily(
            "headrace_router_prediction_duration_quantile_seconds",
            "Quantiles since the process started, within 0.6 %.",
            labels=LABELS,
        )
        for key, seen in self._of_every_priority():
            names = _labels(key)
            count = seen.count()
            requests.add_metric(names, count)
            bounds = zip(map(str, BOUNDS_S), map(float, seen.up_to(BOUNDS_S)), strict=True)
            durations.add_metric(names, [*bounds, ("+Inf", float(count))], seen.sum_s)
            for share, duration_s in zip(QUANTILES, seen.quantiles(QUANTILES), strict=True):
                labels = {**dict(zip(LABELS, names, strict=True)), "quantile": str(share)}
                quantiles.add_sample(quantiles.name, labels, duration_s)
            quantiles.add_metric(names, count, seen.sum_s)
        yield from (requests, durations, quantiles)

    def _of_every_priority(self) -> Iterator[tuple[Key, Histogram]]:
        """Yield what was seen of each key, whatever the priority."""
        found: dict[Key, list[Histogram]] = {}
        for key, series in self.series.items():
            found.setdefault(key._replace(priority=0), []).append(series.durations)
        for key, parts in found.items():
            yield key, parts[0] if len(parts) == 1 else merged(parts)

    def _begin(self, key: Key) -> Series:
        if len(self.series) >= MAX_SERIES and not self._made_room():
            key = Key("other", "", "", key.served_from, key.code, priority=key.priority)
        return self.series.setdefault(key, Series(self._generation))

    def _made_room(self) -> bool:
        """Forget what has been silent for long, unless that was tried just now; return whether there is a place."""
        now = self.clock()
        if now >= self._look_at:
            self._look_at = now + LOOK_EVERY_S
            silent = [key for key, one in self.series.items() if self._may_go(one, now)]
            for key in silent:
                del self.series[key]
            self._generation += bool(silent)
        return len(self.series) < MAX_SERIES

    def _may_go(self, series: Series, now: float) -> bool:
        return series.latest <= now - SILENT_S and (not self._reporting or series.reported == series.latest)


def _labels(key: Key) -> list[str]:
    source = ServedFrom(key.served_from).name.lower() if key.served_from else ""
    return [key.model, key.version, key.variant, source, key.layer, key.fallback_step, Code(key.code).name]


# Of a variant: the smallest, as many as the monitor's sketch has (libs/statistics, `distinct.py`).
HASHES = 1024
# Variants; those of more models than have so many at once are left out.
MAX_VARIANTS = 1024

# Codes that are the installation's fault, or look so to a caller.
FAULTS = frozenset(
    (Code.UNKNOWN, Code.DEADLINE_EXCEEDED, Code.RESOURCE_EXHAUSTED, Code.INTERNAL, Code.UNAVAILABLE, Code.DATA_LOSS)
)
# Codes that are a caller's, or a version's that takes less than another one.
REFUSALS = frozenset((Code.INVALID_ARGUMENT, Code.NOT_FOUND, Code.FAILED_PRECONDITION, Code.OUT_OF_RANGE))


class VariantKey(NamedTuple):
    """A variant of a model, and its version."""

    model: str
    version: str
    variant: str


class VariantUnits:
    """Which units had a fault, were refused, or asked at all, by variant, since they were reported.

    As many hashes as a sketch has. Where units keep their variant, one client that fails all the time counts once.
    """

    def __init__(self) -> None:
        self._hashes: dict[VariantKey, set[int]] = {}

    def add(self, key: VariantKey, unit: str) -> None:
        """Note a unit."""
        hashes = self._hashes.get(key)
        if hashes is None:
            if len(self._hashes) >= MAX_VARIANTS:
                return
            hashes = self._hashes[key] = set()
        hashes.add(point_of(unit))
        if len(hashes) >= 2 * HASHES:
            self._hashes[key] = set(sorted(hashes)[:HASHES])

    def unreported(self) -> Iterator[tuple[VariantKey, list[int]]]:
        """Yield the hashes of each variant, rising."""
        for key, hashes in self._hashes.items():
            yield key, sorted(hashes)[:HASHES]

    def acknowledged(self, reported: Mapping[VariantKey, list[int]]) -> None:
        """Forget what was reported."""
        for key, hashes in reported.items():
            left = self._hashes.get(key, set()) - set(hashes)
            # What a full report left out is larger than all that it has.
            if left and len(hashes) < HASHES:
                self._hashes[key] = left
            else:
                self._hashes.pop(key, None)


BUCKETS_PER_DOUBLING = 64
# What is shorter counts as this long: a microsecond, and less than a clock tells reliably.
SHORTEST_LOG2_S = -20
# What is longer counts as this long: no deadline is later.
LONGEST_LOG2_S = 12
BUCKETS = (LONGEST_LOG2_S - SHORTEST_LOG2_S) * BUCKETS_PER_DOUBLING
RELATIVE_ERROR = (2 ** (1 / BUCKETS_PER_DOUBLING) - 1) / (2 ** (1 / BUCKETS_PER_DOUBLING) + 1)

_SHORTEST_S = 2.0**SHORTEST_LOG2_S
_LONGEST_S = 2.0**LONGEST_LOG2_S
_FIRST = SHORTEST_LOG2_S * BUCKETS_PER_DOUBLING


class Histogram:
    """Durations in buckets that grow by a constant factor: any quantile within 0.6 %, merged by adding.

    The bounds are those of OpenTelemetry's exponential histogram of scale 6 (and of Prometheus's native one of schema
    6), in seconds: 64 buckets each time a duration doubles, each from its lower bound inclusive.

    counts: observations by bucket, as far as any was seen. sum_s: of all seconds.
    """

    __slots__ = ("counts", "sum_s")

    def __init__(self) -> None:
        self.counts: list[int] = []
        self.sum_s = 0.0

    def add(self, seconds: float) -> None:
        """Add one observation: an index and an increment."""
        try:
            index = int(log2(seconds) * BUCKETS_PER_DOUBLING - _FIRST) if seconds > _SHORTEST_S else 0
        except OverflowError:  # an infinite one
            index, seconds = BUCKETS, _LONGEST_S
        try:
            self.counts[index] += 1
        except IndexError:
            index = self._grow(index)
            self.counts[index] += 1
        self.sum_s += seconds

    def count(self) -> int:
        """Return the number of observations."""
        return sum(self.counts)

    def quantiles(self, shares: Iterable[float]) -> list[float]:
        """Return durations in seconds that these shares of the observations do not exceed. ValueError without any."""
        seen = list(accumulate(self.counts))
        if not seen:
            raise ValueError("nothing was observed")
        return [middle_s(bisect_right(seen, share * (seen[-1] - 1))) for share in shares]

    def up_to(self, bounds_s: Iterable[float]) -> list[int]:
        """Return how many observations do not exceed each of rising bounds, taken to the nearest edge of a bucket."""
        found, seen, at = [], 0, 0
        for bound in bounds_s:
            end = edge_of(bound)
            seen, at = seen + sum(self.counts[at:end]), end
            found.append(seen)
        return found

    def _grow(self, index: int) -> int:
        index = min(index, BUCKETS - 1)
        self.counts += [0] * (index + 1 - len(self.counts))
        return index


def merged(parts: Iterable[Histogram]) -> Histogram:
    """Return a histogram of all that several have seen."""
    total = Histogram()
    for part in parts:
        total.counts = [sum(pair) for pair in zip_longest(total.counts, part.counts, fillvalue=0)]
        total.sum_s += part.sum_s
    return total


def middle_s(index: int) -> float:
    """Return the duration that is as far, by ratio, from everything in a bucket as it can be."""
    lower = 2.0 ** ((index + _FIRST) / BUCKETS_PER_DOUBLING)
    return lower * (1 + RELATIVE_ERROR)


def edge_of(seconds: float) -> int:
    """Return the index of the bucket that begins nearest to a duration."""
    return min(max(0, round(log2(seconds) * BUCKETS_PER_DOUBLING) - _FIRST), BUCKETS)
