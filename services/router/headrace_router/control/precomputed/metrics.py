"""What publishes count; no label has more values than are listed here."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

OUTCOMES = ("begun", "committed", "aborted", "overtaken")


class PrecomputedMetrics:
    """Instruments of one control plane. lost: versions whose answers in force the store no longer has."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.lost = 0
        self._publishes = Counter(
            "router_control_publishes", "Publishes by what came of them.", ("outcome",), registry=registry
        )
        for outcome in OUTCOMES:
            self._publishes.labels(outcome)
        self._rows = Counter("router_control_published_rows", "Rows that the store has taken.", registry=registry)
        self._removed = Counter(
            "router_control_removed_answers", "Precomputed answers removed from the store.", registry=registry
        )
        Gauge(
            "router_control_precomputed_lost",
            "Versions whose precomputed answers in force the store has lost.",
            registry=registry,
        ).set_function(lambda: self.lost)

    def publish(self, outcome: str) -> None:
        """Count a publish that begins or ends; outcome: one of OUTCOMES."""
        self._publishes.labels(outcome).inc()

    def rows(self, count: int) -> None:
        """Count rows taken."""
        self._rows.inc(count)

    def removed(self, count: int) -> None:
        """Count answers removed."""
        self._removed.inc(count)
