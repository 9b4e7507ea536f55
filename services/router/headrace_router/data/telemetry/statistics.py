"""`ModelStatistics` from the counters of this data plane: since it started, of the requests that it answered itself."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from headrace_servicekit.errors import Code

from headrace_router.data.messages import ServedFrom
from headrace_router.data.telemetry.counters import Counters, Key, Series

# At most what a signed integer of 64 bits holds.
_NUMBERED = re.compile(r"v?(0|[1-9]\d{0,17})", re.ASCII)


@dataclass(slots=True)
class _Duration:
    count: int = 0
    ns: int = 0

    def add(self, count: int, seconds: float) -> None:
        self.count += count
        self.ns += round(seconds * 1e9)

    def document(self) -> dict[str, int]:
        return {"count": self.count, "ns": self.ns}


@dataclass(slots=True)
class _Version:
    """What was seen of one version, over all its variants and sources."""

    last_s: float = 0.0
    rows: int = 0
    executions: float = 0.0
    success: _Duration = field(default_factory=_Duration)
    fail: _Duration = field(default_factory=_Duration)
    queue: _Duration = field(default_factory=_Duration)
    compute: _Duration = field(default_factory=_Duration)
    cache_hit: _Duration = field(default_factory=_Duration)

    def add(self, key: Key, series: Series, ended_s: float) -> None:
        count, seconds = series.durations.count(), series.durations.sum_s
        self.last_s = max(self.last_s, ended_s)
        if key.code != Code.OK:
            self.fail.add(count, seconds)
            return
        self.success.add(count, seconds)
        # As in Triton, a stored answer has been through the queue without waiting: perf_analyzer looks there.
        self.queue.add(count, series.queue_us / 1e6)
        if key.served_from in (ServedFrom.CACHE, ServedFrom.STALE):
            self.cache_hit.add(count, seconds)
        if series.rows:
            self.rows += series.rows
            self.executions += series.executions
            self.compute.add(count, series.compute_us / 1e6)

    def document(self, model: str, version: str) -> dict[str, Any]:
        nothing = {"count": self.compute.count, "ns": 0}  # not distinguished: within compute_infer
        return {
            "name": model,
            "version": version,
            "last_inference": round(self.last_s * 1000),
            "inference_count": self.rows,
            "execution_count": round(self.executions),
            "inference_stats": {
                "success": self.success.document(),
                "fail": self.fail.document(),
                "queue": self.queue.document(),
                "compute_input": nothing,
                "compute_infer": self.compute.document(),
                "compute_output": nothing,
                "cache_hit": self.cache_hit.document(),
                "cache_miss": {"count": 0, "ns": 0},
            },
            "batch_stats": [],
        }


def number_of(version: str) -> str:
    """Return the number that a version's name says, as Triton has it, or the name: `v3` gives 3.

    perf_analyzer reads a number, and ends at a name.
    """
    found = _NUMBERED.fullmatch(version)
    return found.group(1) if found is not None else version


def statistics_of(asked: Iterable[tuple[str, str]], counters: Counters) -> list[dict[str, Any]]:
    """Return the statistics of each (model, version) asked for, zeros for one that answered nothing yet."""
    seen = {pair: _Version() for pair in asked}
    for key, one in counters.series.items():
        version = seen.get((key.model, key.version))
        if version is not None:
            version.add(key, one, counters.unix_s(one.latest))
    return [version.document(pair[0], _shown(pair, seen)) for pair, version in seen.items()]


def _shown(pair: tuple[str, str], among: Collection[tuple[str, str]]) -> str:
    """Return how a version is called: by its number, unless another one of the model has that for a name."""
    number = number_of(pair[1])
    return pair[1] if (pair[0], number) in among else number
