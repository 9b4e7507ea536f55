"""Summarise traffic: sums over minutes, hours, processes and replicas, and quantiles of the sums."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from headrace_servicekit.errors import Code
from headrace_statistics.sketches.durations import Durations

from headrace_monitor.record.counters.decisions.tallies import ZERO, Tally, total

K = TypeVar("K")

# Codes that are the installation's fault, or look so to a caller. A bad request, or a caller that left, says nothing
# about a version.
FAULTS = frozenset(
    (Code.UNKNOWN, Code.DEADLINE_EXCEEDED, Code.RESOURCE_EXHAUSTED, Code.INTERNAL, Code.UNAVAILABLE, Code.DATA_LOSS)
)

_US = 1e6


@dataclass(frozen=True, slots=True)
class Group:
    """Labels that traffic is summed by."""

    version: str
    variant: str
    served_from: int
    code: int


@dataclass(frozen=True, slots=True)
class Traffic:
    """Traffic of one group. Durations in microseconds, quantiles within 0.6 %."""

    group: Group
    count: int
    p50_us: float
    p95_us: float
    p99_us: float
    mean_us: float


class Sums(Generic[K]):
    """Tallies added up by key, some thousand at a time: memory is bounded by the number of keys."""

    def __init__(self) -> None:
        self._sums: dict[K, Tally] = {}

    def add(self, tallies: Iterable[tuple[K, Tally]]) -> None:
        """Add tallies; the sums do not depend on the order."""
        by_key: dict[K, list[Tally]] = {}
        for key, tally in tallies:
            by_key.setdefault(key, []).append(tally)
        for key, parts in by_key.items():
            self._sums[key] = total([self._sums.get(key, ZERO), *parts])

    def items(self) -> Mapping[K, Tally]:
        """Return the sums."""
        return self._sums


def traffic_of(sums: Mapping[Group, Tally]) -> list[Traffic]:
    """Return the traffic of each group with answers, by version, variant, source and code."""
    found = [_traffic(group, tally) for group, tally in sums.items() if tally.count]
    return sorted(found, key=lambda one: (one.group.version, one.group.variant, one.group.served_from, one.group.code))


def quantile_us(durations: Durations, q: float) -> float:
    """Return a quantile in microseconds."""
    return durations.quantile_s(q) * _US


def _traffic(group: Group, tally: Tally) -> Traffic:
    p50_us, p95_us, p99_us = (quantile_us(tally.durations, q) for q in (0.5, 0.95, 0.99))
    return Traffic(group, tally.count, p50_us, p95_us, p99_us, tally.duration_sum_s * _US / tally.count)
