"""The Prometheus registry of a process and the instruments of its RPCs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import structlog
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from headrace_servicekit.health import Health

log = structlog.get_logger()

_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


def new_registry() -> CollectorRegistry:
    """Return a metrics registry of its own, with the process's CPU, memory and garbage collection in it."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


class RpcMetrics:
    """The RPC instruments of one process, named after OpenTelemetry's `rpc.server.call.duration`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._duration = Histogram(
            "rpc_server_call_duration_seconds",
            "Duration of RPCs served, streams from first to last message.",
            ("rpc_method", "grpc_status_code"),
            buckets=_BUCKETS_S,
            registry=registry,
        )
        self._children: dict[tuple[str, str], Any] = {}
        self.unhandled = Counter(
            "rpc_server_unhandled_errors",
            "RPCs answered INTERNAL because of a defect.",
            ("rpc_method",),
            registry=registry,
        )
        self.unidentified = Counter(
            "rpc_server_unidentified_calls",
            "RPCs refused because neither the front door nor a service's certificate said who calls.",
            ("rpc_method",),
            registry=registry,
        )
        self.active = 0
        Gauge("rpc_server_active_requests", "RPCs in progress.", registry=registry).set_function(lambda: self.active)

    def count_unidentified(self, method: str) -> None:
        """Record an RPC without an identity: the front door's check of tokens has a hole, or a caller bypasses it."""
        self.unidentified.labels(method).inc()
        log.error("a call came without an identity", method=method)

    def observe(self, method: str, code: str, seconds: float) -> None:
        """Record the end of one RPC."""
        key = (method, code)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = self._duration.labels(method, code)
        child.observe(seconds)


class HealthMetrics(Collector):
    """Readiness of the process and the state of each component, of those too that cost no readiness."""

    def __init__(self, health: Health) -> None:
        self._health = health

    def collect(self) -> Iterable[Metric]:
        """Return both, as they are now."""
        yield GaugeMetricFamily("service_ready", "1 while the service wants calls.", value=float(self._health.ready))
        components = GaugeMetricFamily(
            "service_component_healthy", "1 while that component is well; /readyz says why not.", labels=("component",)
        )
        for name, (healthy, _) in self._health.components().items():
            components.add_metric((name,), float(healthy))
        yield components
