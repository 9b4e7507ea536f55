"""Utilisation of batchers, from two reports of each, since their counters start with the process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from headrace.router.v1 import route_pb2

# Batchers report every two seconds: less time than this is noise.
SHORTEST_S = 2.0
# Age at which a newer report replaces the earlier one of a pair: a minute smooths bursts.
_WINDOW_S = 60.0
# A pair of reports further apart is ignored: the load may have changed in between.
LONGEST_S = 900.0
# Few different rights look at pools at a time.
_MOST_READERS = 64


@dataclass(frozen=True, slots=True)
class Busy:
    """Utilisation of a pool: share of their time that its batchers execute. over_s: length of the measurement."""

    share: float
    over_s: float


@dataclass(frozen=True, slots=True)
class _Report:
    time_s: float
    compute_s: Mapping[str, float]  # by digest of the version


@dataclass(slots=True)
class _BatcherReports:
    first: _Report
    last: _Report

    def take(self, new: _Report) -> None:
        if new.time_s <= self.last.time_s:
            return
        if new.time_s - self.last.time_s > LONGEST_S:
            self.first = new
        elif self.last.time_s - self.first.time_s >= _WINDOW_S:
            self.first = self.last
        self.last = new

    def busy(self) -> Busy | None:
        over_s = self.last.time_s - self.first.time_s
        if over_s < SHORTEST_S:
            return None
        # A version that was unloaded takes what it has done with it: less than before is nothing new.
        done = sum(max(0.0, s - self.first.compute_s.get(of, 0.0)) for of, s in self.last.compute_s.items())
        return Busy(min(1.0, done / over_s), over_s)


class Busyness:
    """Earlier reports of batchers, by who has seen them."""

    def __init__(self) -> None:
        self._seen: dict[object, dict[str, _BatcherReports]] = {}  # who looked longest ago first

    def __len__(self) -> int:
        return len(self._seen)

    def of(self, reader: object, batchers: Iterable[route_pb2.Batcher]) -> dict[str, Busy]:
        """Return the utilisation of each pool whose reports suffice; store the reports for the next call.

        reader: key of the readers with equal rights. batchers: of one pool, or of all.
        """
        known = self._seen.pop(reader, {})
        while len(self._seen) >= _MOST_READERS:
            del self._seen[next(iter(self._seen))]
        self._seen[reader] = known
        by_pool: dict[str, list[Busy]] = {}
        newest = 0.0
        for batcher in batchers:
            report = _Report(
                batcher.report_time.seconds + batcher.report_time.nanos / 1e9,
                {one.digest: one.load.compute.seconds + one.load.compute.nanos / 1e9 for one in batcher.versions},
            )
            newest = max(newest, report.time_s)
            seen = known.setdefault(batcher.process, _BatcherReports(report, report))
            seen.take(report)
            if (busy := seen.busy()) is not None:
                by_pool.setdefault(batcher.pool, []).append(busy)
        for process in [name for name, seen in known.items() if seen.last.time_s < newest - LONGEST_S]:
            del known[process]
        return {
            pool: Busy(sum(one.share for one in found) / len(found), max(one.over_s for one in found))
            for pool, found in by_pool.items()
        }
