"""What the look-up counts: plain numbers, turned into metrics when Prometheus reads them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

# Why no stored answer could be served, as `ExplainResponse.lookup_outcome` says it.
MISS = "MISS"
NOT_AWAITED = "NOT_AWAITED"
TOO_OLD = "TOO_OLD"
MODE_ONLINE = "MODE_ONLINE"
NOT_KEPT = "NOT_KEPT"
FIRST_REQUEST = "FIRST_REQUEST"
NO_ENTITY = "NO_ENTITY"
TOO_LARGE = "TOO_LARGE"
STORE_UNAVAILABLE = "STORE_UNAVAILABLE"
REASONS = (
    MISS, NOT_AWAITED, TOO_OLD, MODE_ONLINE, NOT_KEPT, FIRST_REQUEST, NO_ENTITY, TOO_LARGE, STORE_UNAVAILABLE,
)  # fmt: skip

MEMORY, VALKEY = "memory", "valkey"
CACHE, PRECOMPUTED, STALE = "cache", "precomputed", "stale"


class Counts:
    """Numbers since the process started.

    hits: by source and layer. unkept: requests that nothing kept answered, by reason. shared: of those, ones that
    waited for the execution of another. renewals: executions to replace stale answers. poisoned: stored bytes that
    no data plane wrote. dropped_writes: answers that could not be queued for the store. store_errors: its replies that
    were errors. store_late: times that it did not answer within the timeout. mgets: sent.
    """

    __slots__ = (
        "dropped_writes",
        "hits",
        "mgets",
        "misses",
        "poisoned",
        "renewals",
        "shared",
        "store_errors",
        "store_late",
    )  # fmt: skip

    def __init__(self) -> None:
        self.hits: Counter[tuple[str, str]] = Counter()
        self.misses: Counter[str] = Counter(dict.fromkeys(REASONS, 0))
        self.shared = self.renewals = self.poisoned = 0
        self.dropped_writes = self.store_errors = self.store_late = self.mgets = 0


class Memory(Protocol):
    """Answers in memory. evicted: those that went early."""

    size_bytes: int
    evicted: int

    def __len__(self) -> int:
        """Return how many there are."""
        ...


class LookupMetrics:
    """A prometheus_client collector over the counts and the memory."""

    def __init__(self, counts: Counts, memory: Memory) -> None:
        self._counts, self._memory = counts, memory

    def collect(self) -> Iterator[Metric]:
        """Yield the metric families. Called by prometheus_client."""
        counts, memory = self._counts, self._memory
        hits = CounterMetricFamily(
            "headrace_router_lookup_hits", "Requests answered from a store.", labels=("source", "layer")
        )
        for (source, layer), count in counts.hits.items():
            hits.add_metric((source, layer), count)
        misses = CounterMetricFamily(
            "headrace_router_lookup_misses", "Requests that no store answered.", labels=("reason",)
        )
        for reason, count in counts.misses.items():
            misses.add_metric((reason,), count)
        yield from (hits, misses)
        totals = {
            "shared": ("Requests that waited for the execution of another with the same key.", counts.shared),
            "renewals": ("Executions to replace stale answers.", counts.renewals),
            "poisoned": ("Stored values in an unknown form, treated as missing.", counts.poisoned),
            "dropped_writes": ("Answers that were not written to the store.", counts.dropped_writes),
            "store_errors": ("Replies of the store that were errors.", counts.store_errors),
            "store_late": ("Times that the store did not answer in time.", counts.store_late),
            "store_reads": ("Round trips to the store, each for all look-ups of a turn.", counts.mgets),
            "memory_evictions": ("Answers that left the memory early, to make room.", memory.evicted),
        }
        for name, (meaning, count) in totals.items():
            yield CounterMetricFamily(f"headrace_router_lookup_{name}", meaning, value=count)
        held = {
            "memory_bytes": ("Bytes of the answers in memory.", memory.size_bytes),
            "memory_answers": ("Answers in memory.", len(memory)),
        }
        for name, (meaning, count) in held.items():
            yield GaugeMetricFamily(f"headrace_router_lookup_{name}", meaning, value=count)
