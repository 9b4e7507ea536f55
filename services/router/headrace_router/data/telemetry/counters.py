"""Counts and durations of predictions: a look-up and an increment per request, everything else when somebody asks.

`Counters.series` is cumulative since the process started: who reads it twice takes differences, who reads several
processes adds histograms up. When it is full, what was silent for an hour is forgotten; a key that comes back then is
counted from zero, in another generation.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from headrace_servicekit.errors import Code
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, SummaryMetricFamily
from prometheus_client.metrics_core import Metric

from headrace_router.data.answer.answer import ServedFrom
from headrace_router.data.telemetry.histogram import Histogram, merged
from headrace_router.data.telemetry.variant_units import VariantUnits

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
    reporting: whether somebody sets `Series.reported`; what is not reported is not forgotten then.
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
            "From the headers to the answer. A bound is kept within 0.6 %.",
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
                told = {**dict(zip(LABELS, names, strict=True)), "quantile": str(share)}
                quantiles.add_sample(quantiles.name, told, duration_s)
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
