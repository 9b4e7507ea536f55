"""What has been counted and is not known to the monitor, as `ReportCounters` carries it.

Series are cumulative and sent whole, so it does not matter what becomes of a report: what it had and was not
acknowledged is in the next one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from google.protobuf import timestamp_pb2
from headrace.monitor.v1 import ingest_pb2
from headrace.router.v1 import predict_pb2

from headrace_router.data.telemetry.counters import Counters, Key, Series

# Of one report, and what its last series has more: some 10 KiB at most, for 2,048 buckets.
REPORT_BYTES = 256 * 1024


class Source(NamedTuple):
    """Who reports. data_plane: its id. process: id of this run."""

    data_plane: str
    process: str


class Report(NamedTuple):
    """A message, and what is to be noted when it is acknowledged: when each series in it was counted up last."""

    message: ingest_pb2.ReportCountersRequest
    latest: list[tuple[Series, float]]


class CounterReports:
    """Finds what changed since it was acknowledged. dropped: predictions that are in no batch, by reason."""

    def __init__(self, source: Source, counters: Counters, dropped: Counter[str]) -> None:
        self._source, self._counters, self._dropped = source, counters, dropped
        self._known_dropped: dict[str, int] = {}
        self._sequence = 0

    def unreported(self) -> Iterator[Report]:
        """Yield reports of what changed, of bounded size each; none when nothing did.

        Each is made when it is asked for, so that nobody is held up by all of them together.
        """
        changed = [(key, one) for key, one in self._counters.series.items() if one.reported != one.latest]
        if not changed and self._dropped_so_far() == self._known_dropped:
            return
        while True:
            report, size_bytes = self._report(), 0
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
        self._known_dropped = {one.reason: one.count for one in report.message.dropped}

    def _report(self) -> Report:
        self._sequence += 1
        made = timestamp_pb2.Timestamp()
        made.FromNanoseconds(int(self._counters.unix_s(self._counters.clock()) * 1e9))
        message = ingest_pb2.ReportCountersRequest(
            data_plane=self._source.data_plane, process=self._source.process, sequence=self._sequence, report_time=made
        )
        for reason, count in self._dropped_so_far().items():
            message.dropped.add(reason=reason, count=count)
        return Report(message, [])

    def _dropped_so_far(self) -> dict[str, int]:
        return {reason: count for reason, count in self._dropped.items() if count}


def series_of(key: Key, series: Series) -> ingest_pb2.CounterSeries:
    """Return a series as it is reported: without the empty buckets before its first."""
    counts = series.durations.counts
    first = next((index for index, count in enumerate(counts) if count), 0)
    return ingest_pb2.CounterSeries(
        model=key.model,
        version=key.version,
        variant=key.variant,
        served_from=predict_pb2.PredictResponse.ServedFrom.Name(key.served_from),  # type: ignore[arg-type]
        code=key.code,
        layer=key.layer,
        rung=key.fallback_step,
        first_bucket=first,
        duration_counts=islice(counts, first, None),
        duration_sum_s=series.durations.sum_s,
        rows=series.rows,
        executions=series.executions,
        queue_us=series.queue_us,
        compute_us=series.compute_us,
        generation=series.generation,
    )
