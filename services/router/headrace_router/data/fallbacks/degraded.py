"""How many answers were degraded, by model, fallback and reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric

# Models and fallbacks come from tables and reasons from batchers: few in practice, and bounded in any case.
MAX_SERIES = 2000
OTHER = ("other", "other", "other")


class DegradedAnswers:
    """Counts since the process started; a prometheus_client collector."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str, str]] = Counter()

    def add(self, model: str, fallback_step: str, reason: str) -> None:
        """Count one answer of a fallback."""
        key = (model, fallback_step, reason)
        self._counts[key if key in self._counts or len(self._counts) < MAX_SERIES else OTHER] += 1

    def collect(self) -> Iterator[Metric]:
        """Yield the metric family. Called by prometheus_client."""
        family = CounterMetricFamily(
            "headrace_router_degraded_answers",
            "Answers of fallbacks, by why what comes before them did not answer.",
            labels=("model", "fallback_step", "reason"),
        )
        for key, count in self._counts.items():
            family.add_metric(key, count)
        yield family
