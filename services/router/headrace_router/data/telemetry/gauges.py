"""Gauges of this process, read when Prometheus scrapes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from headrace_router.data.answer.answer import ServedFrom
from headrace_router.data.batchers.pools import Pools
from headrace_router.data.tables.watch import Watcher
from headrace_router.data.telemetry.counters import Counters, Key, Series


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
                "Answers that broke the contract of their version, or refused a request that met it.",
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


CACHE, PRECOMPUTED, SHARED_FLIGHT = "cache", "precomputed", "shared_execution"

_Saver = tuple[str, str, str]
"""Model, version, source."""


class SavedCompute:
    """An estimate of the seconds of executions that were avoided; a prometheus_client collector.

    Each answer that was kept, computed beforehand or shared counts as the mean share of an execution that computed
    answers of its version have had here: of an execution of 8 ms for 16 requests, 0.5 ms. Stale answers are no saving:
    others are computed to replace them. What a version saves before this process has computed any answer of it is
    counted when it has.
    """

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._means_s: dict[tuple[str, str], float] = {}
        self._seconds: dict[_Saver, float] = {}
        self._answers: dict[tuple[Key, int], int] = {}
        """How many answers of each series, by key and generation, are in `_seconds`."""

    def collect(self) -> Iterator[Metric]:
        """Yield the metric family. Called by prometheus_client."""
        series = self._counters.series
        # Computed answers may be forgotten while stored ones go on.
        means = self._means_s | means_s(series)
        seconds: dict[_Saver, float] = {}
        answers: dict[tuple[Key, int], int] = {}
        for key, one in series.items():
            saving, mean_s = saving_answers(key, one), means.get(key[:2])
            if saving is None or mean_s is None:
                continue
            source, count = saving
            saver, counted = (*key[:2], source), (key, one.generation)
            seconds.setdefault(saver, self._seconds.get(saver, 0.0))
            seconds[saver] += (count - self._answers.get(counted, 0)) * mean_s
            answers[counted] = count
        self._means_s = {version: means[version] for version in {key[:2] for key in series} if version in means}
        self._seconds, self._answers = seconds, answers
        family = CounterMetricFamily(
            "headrace_router_saved_compute_seconds",
            "Seconds of executions that answers saved which were not computed for their requests, about.",
            labels=("model", "version", "source"),
        )
        for saver, saved_s in seconds.items():
            family.add_metric(saver, saved_s)
        yield family


def means_s(series: dict[Key, Series]) -> dict[tuple[str, str], float]:
    """Return the mean share of an execution that a computed answer had, by model and version."""
    shares: Counter[tuple[str, str]] = Counter()
    requests: Counter[tuple[str, str]] = Counter()
    for key, one in series.items():
        if one.requests:
            shares[key.model, key.version] += one.shares_us  # type: ignore[assignment]
            requests[key.model, key.version] += one.requests
    return {version: shares[version] / count / 1e6 for version, count in requests.items()}


def saving_answers(key: Key, series: Series) -> tuple[str, int] | None:
    """Return the source of answers that saved an execution, and how many there are; None for those that saved none."""
    if key.served_from == ServedFrom.CACHE:
        return CACHE, series.durations.count()
    if key.served_from == ServedFrom.PRECOMPUTED:
        return PRECOMPUTED, series.durations.count()
    if key.served_from == ServedFrom.ONLINE:
        # What is not computed for its own request was computed for another one at the same time.
        return SHARED_FLIGHT, series.durations.count() - series.requests
    return None
