"""Hourly performance, calibrations and detectors in PostgreSQL. The SQL is in `queries.sql`."""

from __future__ import annotations

import json
import zlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from headrace_servicekit.coordination.claims import WorkClaims
from headrace_servicekit.postgres.connections import Connections
from headrace_servicekit.postgres.sql import load_queries
from headrace_statistics import serialization
from headrace_statistics.calibration import Calibration

from headrace_monitor.judge.performance.decisions import error_rate, error_slices
from headrace_monitor.judge.performance.decisions.error_rate import ErrorRateDetector
from headrace_monitor.judge.performance.decisions.hours import HourlyPerformance, StaleHour
from headrace_monitor.judge.performance.decisions.measures import Measure

SQL = load_queries("headrace_monitor.judge.performance")

_HOURS = WorkClaims(
    "touched_hours",
    {"model": "text", "hour": "timestamptz"},
    due="next_try <= $3",
    order="next_try",
    lease=timedelta(minutes=5),  # an hour with new outcomes meanwhile is evaluated again as soon
    queue="next_try",
)


class PerformanceStore:
    """Stores hourly performance, calibrations and detectors."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def calibration(self, model: str, version: str) -> Calibration | None:
        """Return the calibration of a version's scores, if there is one."""
        text = await self._connections.repeatable(
            lambda connection: connection.fetchval(SQL["calibration"], model, version)
        )
        return None if text is None else serialization.from_json(text)

    async def hours(self, model: str, start: datetime, end: datetime) -> list[HourlyPerformance]:
        """Return the hours that begin in a time range."""
        rows = await self._connections.repeatable(lambda connection: connection.fetch(SQL["hours"], model, start, end))
        return [_hour(row) for row in rows]

    async def watches(self, model: str) -> dict[str, tuple[ErrorRateDetector, datetime]]:
        """Return each version's error-rate detector, and the time of its last label."""
        rows = await self._connections.repeatable(lambda connection: connection.fetch(SQL["watches"], model))
        return {row["version"]: (error_rate.from_text(row["state"]), row["update_time"]) for row in rows}

    async def mark_new_hours(self, after: datetime, last: datetime, now: datetime) -> None:
        """Mark hours for evaluation that have predictions and were not evaluated since they were over."""
        async with self._connections.transaction() as connection:
            await connection.execute(SQL["mark_new_hours"], after, last, now)

    @asynccontextmanager
    async def claimed_hour(self, now: datetime) -> AsyncIterator[StaleHour | None]:
        """Claim an hour that is due for a block; others leave it alone for a while, or until the block fails."""
        async with self._connections.transaction() as connection:
            rows = await _HOURS.claim(connection, 1, now)
        async with _HOURS.attempt(self._connections, rows):
            yield StaleHour(rows[0]["model"], rows[0]["hour"], rows[0]["touches"]) if rows else None

    async def calibrate_first(self, model: str, version: str, calibration: Calibration, now: datetime) -> None:
        """Store a version's first calibration. One from labels of predictions is better and stays."""
        async with self._connections.transaction() as connection:
            await connection.execute(
                SQL["put_first_calibration"], model, version, serialization.to_json(calibration), calibration.rows, now
            )

    async def expire(self, before: datetime) -> None:
        """Delete hours whose predictions are not kept any more."""
        async with self._connections.transaction() as connection:
            await connection.execute(SQL["expire_hours"], before)


async def write_hours(
    connection: Any, stale: StaleHour, hours: Sequence[HourlyPerformance], now: datetime, *, over: bool
) -> None:
    """Store the results of an hour. It is done unless new outcomes came meanwhile.

    over: whether the hour was over when it was evaluated; if not, it is evaluated again when it is.
    """
    await connection.execute(SQL["clear_hour"], stale.model, stale.hour)
    for one in hours:
        slices = {
            column: {value: error_slices.stored(count) for value, count in values.items()}
            for column, values in one.slices.items()
        }
        measures = json.dumps([asdict(measure) for measure in one.measures], allow_nan=False)
        await connection.execute(
            SQL["put_hour"],
            *(stale.model, one.hour, one.version, one.variant, one.predictions, one.labelled),
            *(measures, json.dumps(slices), now, one.rows),
            None if one.scores is None else zlib.compress(serialization.to_json(one.scores).encode(), 1),
        )
    await connection.execute(SQL["finish_hour"], stale.model, stale.hour, stale.touches, over)


async def write_calibration(
    connection: Any, stale: StaleHour, version: str, calibration: Calibration, now: datetime
) -> None:
    """Store the calibration of a version from an hour's labels, unless it has one from a later hour."""
    fitted = (serialization.to_json(calibration), calibration.rows)
    await connection.execute(SQL["put_calibration"], stale.model, version, *fitted, now, stale.hour)


def _hour(row: Any) -> HourlyPerformance:
    measures = tuple(measure_of(measure) for measure in json.loads(row["measures"]))
    slices = {
        column: {value: error_slices.read(count) for value, count in values.items()}
        for column, values in json.loads(row["slices"]).items()
    }
    sums = (row["predictions"], row["labelled"])
    scores = None if row["scores"] is None else serialization.from_json(zlib.decompress(row["scores"]).decode())
    return HourlyPerformance(row["hour"], row["version"], row["variant"], *sums, measures, slices, row["rows"], scores)


def measure_of(stored: dict[str, Any]) -> Measure:
    """Return a measure as it is stored. Earlier releases called its note `unsaid`."""
    note = stored.pop("unsaid", "")
    return Measure(**{"note": note, **stored})
