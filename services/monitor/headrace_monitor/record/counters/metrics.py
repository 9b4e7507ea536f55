"""Metrics of the counters. Label values come from fixed sets, never from callers."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_LAG_BUCKETS_S = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


class CounterMetrics:
    """The instruments of this sub-package; RPCs are counted by the service kit."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.series = Counter(
            "monitor_traffic_series",
            "Series of reports: new, changed, late (overtaken by a later report), or returned after they expired.",
            ("outcome",),
            registry=registry,
        )
        for outcome in ("new", "changed", "late", "returned"):
            self.series.labels(outcome)
        self.minutes = Counter("monitor_traffic_windows", "Minutes of a series that ended.", registry=registry)
        self.dropped = Counter(
            "monitor_predictions_dropped", "Predictions that data planes dropped from the log.", registry=registry
        )
        self.lag = Histogram(
            "monitor_traffic_report_lag_seconds",
            "From when a report was made, by the data plane's clock, until it was taken.",
            buckets=_LAG_BUCKETS_S,
            registry=registry,
        )
        self.rolled = Counter("monitor_traffic_windows_rolled", "Minutes rolled up into hours.", registry=registry)
        self.observed = Gauge(
            "monitor_traffic_observed_timestamp_seconds",
            "End of the last minute whose observations were written for alert rules.",
            registry=registry,
        )
