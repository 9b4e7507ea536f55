"""Take counter reports: one transaction writes totals and minutes, so that a report counts once or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import structlog
from headrace.telemetry.v1 import telemetry_pb2
from headrace_servicekit.clock import Clock
from headrace_servicekit.postgres.sql import load_queries
from headrace_statistics.sketches.distinct import NOTHING, from_bytes

from headrace_monitor.record.counters.convert import MAX_SERIES, Report, report_of
from headrace_monitor.record.counters.decisions.changes import DropState, SeriesChanges, changes_of, new_drops
from headrace_monitor.record.counters.decisions.cursors import UNIT_KINDS
from headrace_monitor.record.counters.decisions.differences import SeriesKey, VariantKey, minute_of
from headrace_monitor.record.counters.decisions.tallies import encode
from headrace_monitor.record.counters.metrics import CounterMetrics
from headrace_monitor.record.counters.rows import ended, series_state, transposed
from headrace_monitor.record.processes import ProcessCounts, admit, admit_series
from headrace_monitor.storage.schema import Database

log = structlog.get_logger()

_SQL = load_queries("headrace_monitor.record.counters.sql")

# A data plane still reports series that changed since then. A process with more of them than allowed is refused.
SILENT = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Limits:
    """What is remembered at most. processes: of all data planes; series: of all processes."""

    processes: int
    series: int


class Intake:
    """Accepts reports of any process; safe in several replicas at once."""

    def __init__(self, database: Database, limits: Limits, metrics: CounterMetrics, clock: Clock) -> None:
        self._database, self._limits, self._metrics, self._clock = database, limits, metrics, clock

    async def take(self, request: telemetry_pb2.ReportCountersRequest) -> None:
        """Count what a report brings.

        Raises InvalidArgument, ResourceExhausted, and Unavailable: nothing of it is counted then.
        """
        # Minutes are those of arrival, by this clock: those of data planes may jump, and differ from each other.
        arrival = self._clock.now()
        # A report may have thousands of histograms: other calls are not to wait while they are read.
        report = await asyncio.to_thread(report_of, request)
        async with self._database.transaction() as connection:
            written = await _write(connection, report, minute_of(arrival), self._limits)
        self._note(report, written, arrival)

    def _note(self, report: Report, written: _Written, arrival: datetime) -> None:
        metrics, taken = self._metrics, written.taken
        if written.forgotten and taken.begun:
            log.warning(
                "a data plane is back after its totals expired: what it counted meanwhile is lost",
                data_plane=report.data_plane,
                process=str(report.process),
                series=taken.begun,
            )
        metrics.series.labels("returned" if written.forgotten else "new").inc(taken.begun)
        metrics.series.labels("late").inc(taken.late)
        metrics.series.labels("changed").inc(len(taken.opened) + len(taken.continued) - taken.begun)
        metrics.minutes.inc(len(taken.ended))
        metrics.dropped.inc(sum(written.dropped.values()))
        if report.report_time is not None:
            metrics.lag.observe(max(0.0, (arrival - report.report_time).total_seconds()))


class _Written(NamedTuple):
    """What a report brought. dropped: predictions, by reason. forgotten: the process's totals were."""

    taken: SeriesChanges
    dropped: Mapping[str, int]
    forgotten: bool


async def _write(connection: Any, report: Report, minute: datetime, limits: Limits) -> _Written:
    """Write what a report brings; return it."""
    process = await connection.fetchrow(_SQL["lock_process"], report.process, report.data_plane, report.final)
    number, forgotten = process["number"], process["forgotten"]
    if process["new"]:
        others = await connection.fetchrow(_SQL["other_processes"], number, report.data_plane)
        admit(ProcessCounts(others["of_data_plane"], others["in_all"]), report.data_plane, limits.processes)
    digests = report.digests
    rows = await connection.fetch(_SQL["kept_series"], number, list(digests.values()))
    over = process["series"] + len(digests) - len(rows) - MAX_SERIES
    let_go = await _let_go(connection, report, number, minute, over) if over > 0 else 0

    def decide() -> tuple[SeriesChanges, _Columns]:
        by_digest = {row["key"]: row for row in rows}
        states = {key: series_state(by_digest[digest]) for key, digest in digests.items() if digest in by_digest}
        taken = changes_of(report, states, minute=minute, known=process["series"] - let_go, forgotten=forgotten)
        return taken, _Columns(taken, digests)

    taken, columns = await asyncio.to_thread(decide)
    if taken.begun:
        admit_series(await connection.fetchval(_SQL["series_in_all"]), taken.begun, limits.series)
    if columns.opened:
        await connection.execute(_SQL["open_series"], number, report.sequence, minute, *columns.opened)
    if columns.continued:
        await connection.execute(_SQL["update_series"], number, report.sequence, *columns.continued)
    if columns.ended:
        await connection.execute(_SQL["put_minutes"], *columns.ended)
    if taken.begun:
        await connection.execute(_SQL["count_series"], number, taken.begun)
    if any(report.units.values()):
        await _write_units(connection, report, number, minute)
    dropped = await _write_drops(connection, report, number, minute, forgotten=forgotten)
    return _Written(taken, dropped, forgotten)


async def _let_go(connection: Any, report: Report, number: int, minute: datetime, over: int) -> int:
    """Drop the least recently changed series, which the process has dropped as well. Return their number."""
    rows = await connection.fetch(
        _SQL["take_silent_series"], number, minute - SILENT, over, list(report.digests.values())
    )
    if not rows:
        return 0
    minutes = await asyncio.to_thread(ended, rows)
    if minutes:
        await connection.execute(_SQL["put_minutes"], *minutes)
    await connection.execute(_SQL["count_series"], number, -len(rows))
    return len(rows)


async def _write_units(connection: Any, report: Report, number: int, minute: datetime) -> None:
    """Merge the units of a report into those of the minute. Idempotent."""
    rows = await connection.fetch(_SQL["units_of_process"], number, minute)
    stored = {VariantKey(row["model"], row["version"], row["variant"]): row for row in rows}

    def merged(key: VariantKey, kind: str) -> bytes:
        before = from_bytes(stored[key][kind]) if key in stored else NOTHING
        return report.units[kind].get(key, NOTHING).merge(before).to_bytes()

    keys = {key for reported in report.units.values() for key in reported}
    written = [(*key, *(merged(key, kind) for kind in UNIT_KINDS)) for key in sorted(keys)]
    await connection.execute(_SQL["put_units"], number, minute, *transposed(written))


async def _write_drops(
    connection: Any, report: Report, number: int, minute: datetime, *, forgotten: bool
) -> Mapping[str, int]:
    if not report.dropped:
        return {}
    rows = await connection.fetch(_SQL["kept_drops"], number)
    states = {row["reason"]: DropState(row["sequence"], row["total"]) for row in rows}
    new = new_drops(report, states, forgotten=forgotten)
    totals = [report.dropped[reason] for reason in new]
    if new:
        await connection.execute(_SQL["keep_drops"], number, report.sequence, list(new), totals)
    counted = {reason: count for reason, count in new.items() if count}
    if counted:
        await connection.execute(_SQL["put_drops"], minute, list(counted), list(counted.values()))
    return new


class _Columns:
    """Columns to write, as arguments of the queries; empty if there are no rows."""

    def __init__(self, taken: SeriesChanges, digests: Mapping[SeriesKey, bytes]) -> None:
        self.opened = transposed(
            (digests[key], *key, encode(state.total), encode(state.base)) for key, state in taken.opened.items()
        )
        self.continued = transposed((digests[key], encode(state.total)) for key, state in taken.continued.items())
        self.ended = transposed((minute, *key, encode(tally)) for minute, key, tally in taken.ended)
