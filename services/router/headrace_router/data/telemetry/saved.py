"""How much computing was saved: answers that were not computed for their requests, times what computing one takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric

from headrace_router.data.messages import ServedFrom
from headrace_router.data.telemetry.counters import Counters, Key, Series

CACHE, PRECOMPUTED, SHARED_FLIGHT = "cache", "precomputed", "shared_flight"

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
        self._seconds: dict[_Saver, float] = {}
        self._answers: dict[_Saver, int] = {}
        """How many answers are in `_seconds`."""

    def collect(self) -> Iterator[Metric]:
        """Yield the metric family. Called by prometheus_client."""
        family = CounterMetricFamily(
            "headrace_router_saved_compute_seconds",
            "Seconds of executions that answers saved which were not computed for their requests, about.",
            labels=("model", "version", "source"),
        )
        means = means_s(self._counters.series)
        for saver, count in saving_answers(self._counters.series).items():
            mean_s = means.get(saver[:2])
            if mean_s is not None:
                more = count - self._answers.get(saver, 0)
                self._seconds[saver] = self._seconds.get(saver, 0.0) + more * mean_s
                self._answers[saver] = count
                family.add_metric(saver, self._seconds[saver])
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


def saving_answers(series: dict[Key, Series]) -> Counter[_Saver]:
    """Return the number of answers that saved an execution."""
    found: Counter[_Saver] = Counter()
    for key, one in series.items():
        if key.served_from == ServedFrom.CACHE:
            found[key.model, key.version, CACHE] += one.durations.count()
        elif key.served_from == ServedFrom.PRECOMPUTED:
            found[key.model, key.version, PRECOMPUTED] += one.durations.count()
        elif key.served_from == ServedFrom.ONLINE:
            # What is not computed for its own request was computed for another one at the same time.
            found[key.model, key.version, SHARED_FLIGHT] += one.durations.count() - one.requests
    return found
