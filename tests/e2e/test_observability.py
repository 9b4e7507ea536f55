"""What dashboards and rules ask for is what the running services say."""

from __future__ import annotations

from collections.abc import Mapping, Set

import httpx
from headrace_autoscaler.metrics import PoolCollector, ShownPool
from headrace_batcher.metrics import BatchCounters, BatcherCollector
from headrace_monitor.alert.metrics import AlertMetrics
from headrace_monitor.judge.drift.scheduler import DriftMetrics
from headrace_registry.decisions.models import Stage
from headrace_registry.metrics import Metrics as RegistryMetrics
from headrace_router.data.fallbacks.degraded import DegradedAnswers
from headrace_servicekit.metrics import RpcMetrics
from headrace_stack.ports import Port, Ports
from headrace_statistics.severity import Severity
from prometheus_client import CollectorRegistry, generate_latest

from tests.kit.deployment import observability
from tests.kit.deployment.observability import LABELS_OF_TARGETS, MADE_BY_PROMETHEUS, family
from tests.kit.stack.served_models import LINEAR, ROW, Served

POOL = ShownPool("default", 2, {"ready": 1}, frozenset(), {"requests_per_s": 1.0})


def test_every_metric_that_is_asked_for_exists_with_every_label(served: Served):
    served.client.predict(LINEAR, {"features": ROW})
    expositions = [httpx.get(f"http://{port.address}/metrics").text for port in _read(served.stack.settings.ports)]
    known = {**observability.exposed([*expositions, _after_trouble()]), **observability.recorded_labels()}
    missing = {
        (asked.where, metric): wrong
        for asked in observability.everything_asked()
        for metric, labels in asked.labels.items()
        if (wrong := _wrong(metric, labels, known))
    }
    assert missing == {}


def _wrong(metric: str, labels: Set[str], known: Mapping[str, Set[str]]) -> str:
    """Return what is wrong with asking for a metric with these labels; nothing if it is there with all of them."""
    if metric in MADE_BY_PROMETHEUS or _from_a_gpu(metric):
        return ""
    name, brought = (metric, set()) if metric in known else family(metric)
    if name not in known:
        return "no service has it"
    return ", ".join(sorted(labels - known[name] - brought - LABELS_OF_TARGETS))


def _read(ports: Ports) -> tuple[Port, ...]:
    """Return the ports that Prometheus reads."""
    return (
        ports.registry_metrics,
        ports.router_control_metrics,
        ports.router_data_metrics,
        ports.batcher_metrics,
        ports.triton_metrics,
        ports.monitor_metrics,
    )


def _from_a_gpu(metric: str) -> bool:
    # tests/unit/deploy looks for these in Triton's own library.
    return metric.startswith("nv_gpu_")


def _after_trouble() -> str:
    """Return what services say after trouble and retreats, of which the tests of others may have made none."""
    registry, counters, degraded = CollectorRegistry(), BatchCounters(), DegradedAnswers()
    counters.shed["full"] += 1
    counters.failed["backend"] += 1
    degraded.add("model", "step", "reason")
    registry.register(BatcherCollector(lambda: {("model", "v1"): counters}, lambda: 0))
    registry.register(PoolCollector(lambda: [POOL], lambda: 1.0))
    registry.register(degraded)  # type: ignore[arg-type]
    moves = RegistryMetrics(registry)
    with moves.move(Stage.PRODUCTION), moves.rollback():
        pass
    AlertMetrics(registry).show([("model", int(Severity.HIGH), 1)], lag_s=0, waiting=0, watches=0)
    DriftMetrics(registry).evaluated(Severity.HIGH)
    RpcMetrics(registry).unhandled.labels("/a.Service/Method").inc()
    return generate_latest(registry).decode()
