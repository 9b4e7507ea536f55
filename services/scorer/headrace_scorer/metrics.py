"""What the scorer shows of itself besides what every service does."""

from __future__ import annotations

from collections.abc import Callable

from headrace_servicekit.outbox.wiring import delivery_counter
from prometheus_client import CollectorRegistry, Counter, Gauge


class ScorerMetrics:
    """Instruments. running: how many jobs this process runs."""

    def __init__(self, registry: CollectorRegistry, running: Callable[[], float]) -> None:
        gauge = Gauge("scorer_jobs_running", "Jobs that this process runs.", registry=registry)
        gauge.set_function(running)
        self._rows = Counter(
            "scorer_rows", "Rows of shards that are done, by outcome.", ("outcome",), registry=registry
        )
        for outcome in ("scored", "rejected"):
            self._rows.labels(outcome)
        self.delivery = delivery_counter(registry, "scorer")

    def rows(self, scored: int, rejected: int) -> None:
        """Count the rows of a shard."""
        self._rows.labels("scored").inc(scored)
        self._rows.labels("rejected").inc(rejected)
