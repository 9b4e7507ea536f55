"""What the rollout service shows of itself besides what every service does."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge


class RolloutMetrics:
    """Instruments. running: how many rollouts this process runs; 0 where another one leads."""

    def __init__(self, registry: CollectorRegistry, running: Callable[[], float]) -> None:
        gauge = Gauge("rollout_running", "Rollouts that this process runs.", registry=registry)
        gauge.set_function(running)
        self._deliveries = Counter(
            "rollout_webhook_deliveries",
            "Attempts to deliver, by outcome: delivered, failed (comes again), dead (given up, or no room to wait).",
            ("outcome",),
            registry=registry,
        )
        for outcome in ("delivered", "failed", "dead"):
            self._deliveries.labels(outcome)

    def delivery(self, outcome: str) -> None:
        """Count an attempt."""
        self._deliveries.labels(outcome).inc()
