"""What alerting counts."""

from __future__ import annotations

from collections.abc import Iterable

from headrace_servicekit.outbox.wiring import delivery_counter
from headrace_statistics.severity import Severity
from prometheus_client import CollectorRegistry, Gauge


class AlertMetrics:
    """Instruments. The gauges are about the whole installation: every replica shows the same."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._open = Gauge("monitor_alerts_open", "Open alerts.", ("model", "severity"), registry=registry)
        self._lag = Gauge(
            "monitor_alert_evaluation_lag_seconds",
            "How long the observation has waited that has waited longest to be judged.",
            registry=registry,
        )
        self._waiting = Gauge(
            "monitor_webhook_deliveries_waiting", "Deliveries that wait, also for another attempt.", registry=registry
        )
        self._watches = Gauge("monitor_alert_watches", "Open watches of alerts.", registry=registry)
        self.delivery = delivery_counter(registry, "monitor")

    def show(self, open_counts: Iterable[tuple[str, int, int]], *, lag_s: float, waiting: int, watches: int) -> None:
        """Take over the figures of the moment. open_counts: model, severity, number."""
        self._open.clear()
        for model, severity, number in open_counts:
            self._open.labels(model, Severity(severity).name.lower()).set(number)
        self._lag.set(lag_s)
        self._waiting.set(waiting)
        self._watches.set(watches)
