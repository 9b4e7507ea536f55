"""What is kept of performance in PostgreSQL: hours, calibrations, detectors. SQL is in `queries.sql`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from headrace_servicekit.coordination.claims import WorkClaims
from headrace_servicekit.postgres.connections import Connections
from headrace_servicekit.postgres.sql import load_queries
from headrace_statistics import serialization
from headrace_statistics.calibration import Calibration

from headrace_monitor.performance import error_watch
from headrace_monitor.performance.error_watch import ErrorWatch
from headrace_monitor.performance.measures import Measure

SQL = load_queries("headrace_monitor.performance")

_HOURS = WorkClaims(
    "touched_hours",
    {"model": "text", "hour": "timestamptz"},
    due="next_try <= $3",
    order="next_try",
    lease=timedelta(minutes=5),  # that soon, too, is looked again at an hour of which more came meanwhile
)

# As `blaming.Counts`.
Slices = Mapping[str, Mapping[str, Sequence[float]]]


@dataclass(frozen=True, slots=True)
class Hour:
    """How good the predictions of one version and variant in one hour were. predictions, labelled: rows that the log's
    rows stand for. rows: of the log.
    """

    hour: datetime
    version: str
    variant: str
    predictions: float
    labelled: float
    measures: tuple[Measure, ...]
    slices: Slices
    rows: int


@dataclass(frozen=True, slots=True)
class Touched:
    """An hour of a model about which something new is known. touches: as it was when the hour was taken."""

    model: str
    hour: datetime
    touches: int


class PerformanceStore:
    """Reads and writes what is kept."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def calibration(self, model: str, version: str) -> Calibration | None:
        """Return how a version's scores are calibrated, if they are."""
        text = await self._connections.repeatable(
            lambda connection: connection.fetchval(SQL["calibration"], model, version)
        )
        return None if text is None else serialization.from_json(text)

    async def hours(self, model: str, start: datetime, end: datetime) -> list[Hour]:
        """Return what is kept of the hours that begin in a time."""
        rows = await self._connections.repeatable(lambda connection: connection.fetch(SQL["hours"], model, start, end))
        return [_hour(row) for row in rows]

    async def watches(self, model: str) -> dict[str, tuple[ErrorWatch, datetime]]:
        """Return each version's error-rate detector, and when it took in its last label."""
        rows = await self._connections.repeatable(lambda connection: connection.fetch(SQL["watches"], model))
        return {row["version"]: (error_watch.from_text(row["state"]), row["update_time"]) for row in rows}

    async def touch_unseen(self, after: datetime, last: datetime, now: datetime) -> None:
        """Have hours looked at that began in a time, have predictions, and were not looked at since they were over."""
        async with self._connections.transaction() as connection:
            await connection.execute(SQL["touch_unseen"], after, last, now)

    async def claim_hour(self, now: datetime) -> Touched | None:
        """Take an hour that is due; others leave it alone for a while."""
        async with self._connections.transaction() as connection:
            rows = await _HOURS.claim(connection, 1, now)
        return Touched(rows[0]["model"], rows[0]["hour"], rows[0]["touches"]) if rows else None

    async def calibrate_first(self, model: str, version: str, calibration: Calibration, now: datetime) -> None:
        """Keep how a version's scores are calibrated, unless it is known: labels of predictions tell it better."""
        async with self._connections.transaction() as connection:
            await connection.execute(
                SQL["put_first_calibration"], model, version, serialization.to_json(calibration), calibration.rows, now
            )

    async def forget(self, before: datetime) -> None:
        """Remove hours whose predictions are not kept any more."""
        async with self._connections.transaction() as connection:
            await connection.execute(SQL["forget_hours"], before)


async def write_hours(connection: Any, touched: Touched, hours: Sequence[Hour], now: datetime, *, over: bool) -> None:
    """Keep what was found in an hour, and that it was looked at: unless more came meanwhile, it is done.

    over: whether it was when it was looked at; one that was not is looked at again when it is.
    """
    await connection.execute(SQL["clear_hour"], touched.model, touched.hour)
    for one in hours:
        measures = json.dumps([asdict(measure) for measure in one.measures], allow_nan=False)
        await connection.execute(
            SQL["put_hour"],
            *(touched.model, one.hour, one.version, one.variant, one.predictions, one.labelled),
            *(measures, json.dumps(one.slices), now, one.rows),
        )
    await connection.execute(SQL["finish_hour"], touched.model, touched.hour, touched.touches, over)


async def write_calibration(
    connection: Any, touched: Touched, version: str, calibration: Calibration, now: datetime
) -> None:
    """Keep how a version's scores are calibrated, as an hour tells it, unless a later hour has told it."""
    fitted = (serialization.to_json(calibration), calibration.rows)
    await connection.execute(SQL["put_calibration"], touched.model, version, *fitted, now, touched.hour)


def _hour(row: Any) -> Hour:
    measures = tuple(Measure(**measure) for measure in json.loads(row["measures"]))
    slices = {
        column: {value: (*told, 1.0)[:3] for value, told in values.items()}  # earlier ones: of rows that stood for one
        for column, values in json.loads(row["slices"]).items()
    }
    sums = (row["predictions"], row["labelled"])
    return Hour(row["hour"], row["version"], row["variant"], *sums, measures, slices, row["rows"])
