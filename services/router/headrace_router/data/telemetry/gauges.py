"""The state of pools and tables as metrics, read when somebody asks."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from headrace_router.data.batchers.pools import Pools
from headrace_router.data.tables.watch import Watcher


class Gauges:
    """A prometheus_client collector over what the data plane holds."""

    def __init__(self, pools: Pools, watcher: Watcher) -> None:
        self._pools, self._watcher = pools, watcher

    def collect(self) -> Iterator[Metric]:
        """Yield the metric families. Called by prometheus_client."""
        yield from self._of_pools()
        yield from self._of_tables()

    def _of_pools(self) -> Iterator[Metric]:
        pools = self._pools
        connected = GaugeMetricFamily("headrace_router_batchers_connected", "Batchers with a stream.", labels=("pool",))
        ejected = GaugeMetricFamily(
            "headrace_router_batchers_ejected", "Batchers that are left alone for a version.", labels=("pool",)
        )
        in_flight = GaugeMetricFamily("headrace_router_in_flight", "Requests at batchers.", labels=("pool",))
        waiting = GaugeMetricFamily(
            "headrace_router_waiting", "Requests that wait for a batcher that is away for a moment.", labels=("pool",)
        )
        waited = CounterMetricFamily("headrace_router_waited", "Requests that had to wait so.", labels=("pool",))
        for pool, replicas in pools.replicas.items():
            waiting.add_metric((pool,), len(pools.pending[pool]))
            waited.add_metric((pool,), pools.pending[pool].waited)
            connected.add_metric((pool,), sum(replica.connected for replica in replicas))
            ejected.add_metric((pool,), sum(replica.ejected for replica in replicas))
            in_flight.add_metric((pool,), sum(replica.in_flight for replica in replicas))
        yield from (connected, ejected, in_flight, waiting, waited)
        inputs = "Inputs refused because they took what runs their model down twice."
        yield GaugeMetricFamily("headrace_router_quarantined_inputs", inputs, value=len(pools.quarantine))
        frames, requests = pools.members.sent()
        counts = {
            "frames": ("Frames sent to batchers.", frames),
            "frame_requests": ("Requests in those frames.", requests),
            "frames_garbled": ("Frames from batchers that did not match their checksum.", pools.members.garbled()),
            "batcher_disagreements": (
                "Answers that broke the contract of their version, or blamed a request that kept it.",
                pools.disagreements,
            ),
            "streams_lost": ("Streams to batchers that ended.", pools.members.streams_lost),
            "quarantined": ("Requests refused because their input is in quarantine.", pools.quarantine.refused),
            "retries": ("Requests sent to a second batcher.", pools.budget.spent),
            "hedges": ("Requests sent to a second batcher because the first one was late.", pools.hedges.sent),
            "ejections": (
                "Times that a batcher that fails was left alone for a while.",
                pools.endpoints.ejections,
            ),
            "retries_refused": ("Requests not retried because the budget was used up.", pools.budget.refused),
        }
        for name, (meaning, count) in counts.items():
            yield CounterMetricFamily(f"headrace_router_{name}", meaning, value=count)

    def _of_tables(self) -> Iterator[Metric]:
        tables = self._watcher.tables
        values = {
            "models": ("Models in the tables.", len(tables.by_model)),
            "tables_watched": ("1 while the control plane is watched.", float(self._watcher.watching)),
            "generation": ("Newest generation in force.", tables.newest_generation),
            "generation_acknowledgeable": (
                "Newest one without older requests.",
                tables.acknowledgeable(),
            ),
        }
        for name, (meaning, value) in values.items():
            yield GaugeMetricFamily(f"headrace_router_{name}", meaning, value=value)
