"""What has been counted and is not known to the monitor, as `ReportCounters` carries it.

Series are cumulative and sent whole, so it does not matter what becomes of a report: what it had and was not
acknowledged is in the next one.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from google.protobuf import timestamp_pb2
from headrace.router.v1 import predict_pb2
from headrace.telemetry.v1 import telemetry_pb2

from headrace_router.data.telemetry.counters import Counters, Key, Series, VariantKey, VariantUnits

# Of one report, and what its last series has more: some 10 KiB at most, for 2,048 buckets.
REPORT_BYTES = 256 * 1024
# Who has nothing to report says so: the monitor takes one that is silent for missing.
QUIET_S = 2.0


class Source(NamedTuple):
    """Who reports. data_plane: its id. process: id of this run."""

    data_plane: str
    process: str


class Units(NamedTuple):
    """Hashes of units by variant: of those that erred, those that were refused, and all that asked."""

    erring: dict[VariantKey, list[int]]
    refused: dict[VariantKey, list[int]]
    asked: dict[VariantKey, list[int]]


NO_UNITS = Units({}, {}, {})


class Report(NamedTuple):
    """A message, and what is to be noted when it is acknowledged: when each series in it was counted up last, and the
    units in it."""

    message: telemetry_pb2.ReportCountersRequest
    latest: list[tuple[Series, float]]
    units: Units


class CounterReports:
    """Finds what changed since it was acknowledged. dropped: predictions that are in no batch, by reason."""

    def __init__(self, source: Source, counters: Counters, dropped: Counter[str]) -> None:
        self._source, self._counters, self._dropped = source, counters, dropped
        self._known_dropped: dict[str, int] = {}
        self._sequence, self._reported = 0, -math.inf

    def unreported(self) -> Iterator[Report]:
        """Yield reports of what changed, of bounded size each; an empty one when nothing did for a while.

        Each is made when it is asked for, so that all of them together delay no request.
        """
        changed = [(key, one) for key, one in self._counters.series.items() if one.reported != one.latest]
        units = Units(*(dict(one.unreported()) for one in self._counted_units()))
        now = self._counters.clock()
        quiet = not changed and units == NO_UNITS and self._dropped_so_far() == self._known_dropped
        if quiet and now < self._reported + QUIET_S:
            return
        self._reported = now
        while True:
            report, size_bytes = self._report(units), 0
            units = NO_UNITS
            while changed and size_bytes < REPORT_BYTES:
                key, one = changed.pop()
                message = series_of(key, one)
                report.message.series.append(message)
                report.latest.append((one, one.latest))
                size_bytes += message.ByteSize()
            yield report
            if not changed:
                return

    def acknowledged(self, report: Report) -> None:
        """Note that the monitor knows what a report says."""
        for series, latest in report.latest:
            series.reported = latest
        for counted, reported in zip(self._counted_units(), report.units, strict=True):
            counted.acknowledged(reported)
        self._known_dropped = {one.reason: one.count for one in report.message.dropped}

    def final(self) -> Report:
        """Return the last report, which says that no other follows."""
        report = self._report(NO_UNITS)
        report.message.final = True
        return report

    def _report(self, units: Units) -> Report:
        self._sequence += 1
        made = timestamp_pb2.Timestamp()
        made.FromNanoseconds(int(self._counters.unix_s(self._counters.clock()) * 1e9))
        message = telemetry_pb2.ReportCountersRequest(
            data_plane=self._source.data_plane,
            process=self._source.process,
            sequence=self._sequence,
            report_time=made,
            watches_client_limits=True,
        )
        for reason, count in self._dropped_so_far().items():
            message.dropped.add(reason=reason, count=count)
        for listed, known in zip((message.erring_units, message.refused_units, message.units), units, strict=True):
            for key, hashes in known.items():
                listed.add(model=key.model, version=key.version, variant=key.variant, hashes=hashes)
        return Report(message, [], units)

    def _counted_units(self) -> tuple[VariantUnits, ...]:
        counters = self._counters
        return counters.erring, counters.refused, counters.asked

    def _dropped_so_far(self) -> dict[str, int]:
        return {reason: count for reason, count in self._dropped.items() if count}


def series_of(key: Key, series: Series) -> telemetry_pb2.CounterSeries:
    """Return a series as it is reported: without the empty buckets before its first."""
    counts = series.durations.counts
    first = next((index for index, count in enumerate(counts) if count), 0)
    return telemetry_pb2.CounterSeries(
        model=key.model,
        version=key.version,
        variant=key.variant,
        served_from=predict_pb2.PredictResponse.ServedFrom.Name(key.served_from),  # type: ignore[arg-type]
        code=key.code,
        layer=key.layer,
        fallback_step=key.fallback_step,
        first_bucket=first,
        duration_counts=islice(counts, first, None),
        duration_sum_s=series.durations.sum_s,
        rows=series.rows,
        executions=series.executions,
        queue_us=series.queue_us,
        compute_us=series.compute_us,
        generation=series.generation,
        priority=key.priority,
        invalid=series.invalid,
        degraded=series.degraded,
    )
