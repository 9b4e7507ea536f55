"""What the autoscaler counts, and how its pools are. Only the process that leads shows pools."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from headrace_autoscaler.decisions.problems import Problem


@dataclass(frozen=True, slots=True)
class ShownPool:
    """Replicas by state, what is wanted, what is wrong, and signals by metric."""

    pool: str
    desired: int
    replicas: Mapping[str, int]
    problems: frozenset[Problem]
    signals: Mapping[str, float]


class AutoscalerMetrics:
    """Counters of this process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.decisions = Counter(
            "autoscaler_decisions", "Decisions, by the rule that won.", ("pool", "rule"), registry=registry
        )
        self.asked = Counter(
            "autoscaler_actuator_calls", "Calls to the actuator, by outcome.", ("pool", "outcome"), registry=registry
        )
        self.refused = Counter(
            "autoscaler_rounds_refused", "Rounds that were refused because another process leads.", registry=registry
        )


class PoolCollector(Collector):
    """Shows the pools that this process scales. look_age: seconds since the control plane was asked; None for never."""

    def __init__(self, pools: Callable[[], Iterable[ShownPool]], look_age: Callable[[], float | None]) -> None:
        self._pools, self._look_age = pools, look_age

    def collect(self) -> Iterator[Metric]:
        replicas = GaugeMetricFamily(
            "autoscaler_replicas", "Replicas of a pool as they were seen, by state.", labels=("pool", "state")
        )
        desired = GaugeMetricFamily(
            "autoscaler_desired_replicas",
            "Replicas that the latest decision wants, or overflow needs.",
            labels=("pool",),
        )
        problems = GaugeMetricFamily(
            "autoscaler_problems", "1 for each kind of problem that a pool has.", labels=("pool", "kind")
        )
        signals = GaugeMetricFamily("autoscaler_signal", "Signals of a pool.", labels=("pool", "metric"))
        pools = list(self._pools())
        for pool in pools:
            desired.add_metric((pool.pool,), pool.desired)
            for state, count in pool.replicas.items():
                replicas.add_metric((pool.pool, state), count)
            for kind in Problem:
                problems.add_metric((pool.pool, kind.value), float(kind in pool.problems))
            for metric, value in pool.signals.items():
                signals.add_metric((pool.pool, metric), value)
        yield from (replicas, desired, problems, signals)
        yield GaugeMetricFamily("autoscaler_pools", "Pools that this process scales.", value=len(pools))
        age_s = self._look_age()
        if age_s is not None:
            yield GaugeMetricFamily(
                "autoscaler_look_age_seconds", "Time since the batchers were seen last.", value=age_s
            )

    def describe(self) -> Iterable[Metric]:
        return ()
