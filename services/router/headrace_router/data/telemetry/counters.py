"""Counts and durations of predictions: a look-up and an increment per request, everything else when somebody asks.

`Counters.series` is cumulative since the process started: who reads it twice takes differences, who reads several
processes adds histograms up.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from headrace_servicekit.errors import Code
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from headrace_router.data.messages import ServedFrom
from headrace_router.data.telemetry.histogram import Histogram

# Fewer than the histogram has, for Prometheus: a series of its own for each.
BOUNDS_S = (
    0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip
QUANTILES = (0.5, 0.9, 0.99, 0.999)
# Of some 10 KiB each, and of 25 lines of metrics.
MAX_SERIES = 4000
LABELS = ("model", "version", "variant", "served_from", "layer", "rung", "code")


class Key(NamedTuple):
    """What is counted apart. Names come from tables, never from callers, so their number is bounded.

    served_from: 0 for errors. code: a gRPC status code. layer: that had a kept answer, `memory` or `valkey`. rung: the
    fallback that answered.
    """

    model: str
    version: str
    variant: str
    served_from: int
    code: int
    layer: str = ""
    rung: str = ""


class Series:
    """What was seen of one key since the process started.

    latest: when the last one ended, on the counters' clock. requests, rows, executions, queue_us, compute_us,
    shares_us: of answers computed for their requests; an execution that n requests shared counts as 1/n for each, and
    so does its time in shares_us.
    """

    __slots__ = ("compute_us", "durations", "executions", "latest", "queue_us", "requests", "rows", "shares_us")

    def __init__(self) -> None:
        self.durations = Histogram()
        self.requests = self.rows = self.queue_us = self.compute_us = 0
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
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter, wall: Callable[[], float] = time.time) -> None:
        self.series: dict[Key, Series] = {}
        self.clock, self._wall = clock, wall

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
        quantiles = GaugeMetricFamily(
            "headrace_router_prediction_duration_quantile_seconds",
            "Quantiles since the process started, within 0.6 %.",
            labels=(*LABELS, "quantile"),
        )
        for key, series in self.series.items():
            names, seen = _labels(key), series.durations
            count = seen.count()
            requests.add_metric(names, count)
            bounds = zip(map(str, BOUNDS_S), map(float, seen.up_to(BOUNDS_S)), strict=True)
            durations.add_metric(names, [*bounds, ("+Inf", float(count))], seen.sum_s)
            for share, duration_s in zip(QUANTILES, seen.quantiles(QUANTILES), strict=True):
                quantiles.add_metric([*names, str(share)], duration_s)
        yield from (requests, durations, quantiles)

    def _begin(self, key: Key) -> Series:
        if len(self.series) >= MAX_SERIES:
            key = Key("other", "", "", key.served_from, key.code)
        return self.series.setdefault(key, Series())


def _labels(key: Key) -> list[str]:
    source = ServedFrom(key.served_from).name.lower() if key.served_from else ""
    return [key.model, key.version, key.variant, source, key.layer, key.rung, Code(key.code).name]
