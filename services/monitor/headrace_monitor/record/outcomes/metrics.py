"""Metrics of outcomes. Label values are results and endings, never names from callers."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge

from headrace_monitor.record.outcomes.decisions.merge import Result


class OutcomeMetrics:
    """Metrics of outcomes, and of their join with the log."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._reported = Counter("monitor_outcomes", "Reported outcomes, by result.", ("result",), registry=registry)
        self._joined = Counter(
            "monitor_outcomes_joined",
            "Outcomes whose prediction was looked for: found in the log, or given up.",
            ("about", "ending"),
            registry=registry,
        )
        self._waiting = Gauge(
            "monitor_outcomes_waiting", "Outcomes whose prediction is not found yet.", ("about",), registry=registry
        )
        for result in Result:
            self._reported.labels(result.value)
        for about in ("prediction", "entity"):
            for ending in ("found", "given_up"):
                self._joined.labels(about, ending)

    def reported(self, results: Iterable[Result]) -> None:
        """Count the results of a request."""
        for result, count in Tally(results).items():
            self._reported.labels(result.value).inc(count)

    def joined(self, about: str, *, found: int = 0, given_up: int = 0) -> None:
        """Count outcomes that found their prediction, or whose prediction will not come."""
        self._joined.labels(about, "found").inc(found)
        self._joined.labels(about, "given_up").inc(given_up)

    def waiting(self, arrivals: int, entities: int) -> None:
        """Show how many wait."""
        self._waiting.labels("prediction").set(arrivals)
        self._waiting.labels("entity").set(entities)
