"""What the control plane counts; no label has more values than are listed here."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge

from headrace_router.control.decisions.states import Outcome


class ControlMetrics:
    """Instruments of one control plane. Gauges are read when they are scraped."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._ended = Counter(
            "router_control_changes_ended", "Changes of routes that are over.", ("outcome",), registry=registry
        )
        for outcome in Outcome:
            self._ended.labels(outcome.value)

    def change_ended(self, outcome: Outcome) -> None:
        """Count a change that is over."""
        self._ended.labels(outcome.value).inc()

    def gauge(self, name: str, description: str, read: Callable[[], float]) -> None:
        """Show a value that is read at each scrape."""
        Gauge(f"router_control_{name}", description, registry=self._registry).set_function(read)
