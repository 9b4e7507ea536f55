"""How long a job takes, what it costs, and whether it is over in time: from a measured sample. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

# A job that is late by less than this share of its window may well catch up.
_LATE_SHARE = 0.05
# With fewer rows done the measured rate is unreliable.
_MIN_ROWS = 10_000


@dataclass(frozen=True, slots=True)
class Measured:
    """What a sample took. rows: that were scored. wall_s: of one worker, reading and writing included. startup_s: until
    the first row: the plan, processes, and the model.
    """

    rows: int
    wall_s: float
    cpu_s: float
    startup_s: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a job will take. rows: None while they are not counted, with everything that follows from them."""

    rows: int | None
    rows_per_second: float
    duration: timedelta | None
    cpu_hours: float | None
    cost: float | None
    fits: bool | None


def estimate(
    measured: Measured,
    rows: int | None,
    *,
    workers: int,
    price_per_cpu_hour: float,
    window: timedelta | None,
) -> Estimate:
    """Return the estimate of a job. workers: number that score in parallel, one core each."""
    rate = workers * measured.rows / max(measured.wall_s, 1e-9)
    if rows is None:
        return Estimate(None, rate, None, None, None, None)
    duration = timedelta(seconds=measured.startup_s + rows / max(rate, 1e-9))
    # Of scoring alone, as a manifest counts them: what a start takes is known in seconds of waiting, and not of work.
    cpu_hours = measured.cpu_s * rows / max(measured.rows, 1) / 3600
    fits = duration <= window if window is not None else None
    return Estimate(rows, rate, duration, cpu_hours, cpu_hours * price_per_cpu_hour, fits)


def misses(
    now: datetime,
    deadline: datetime | None,
    *,
    rows: int | None,
    rows_done: int,
    rows_per_second: float,
    window: timedelta,
) -> timedelta | None:
    """Return the least time by which a job will miss its deadline; None if it meets it or has too little data."""
    if deadline is None:
        return None
    passed = now - deadline
    if rows is None or rows_per_second <= 0 or rows_done < min(_MIN_ROWS, rows):
        return passed if passed > timedelta(0) else None
    late = passed + timedelta(seconds=(rows - rows_done) / rows_per_second)
    return late if passed > timedelta(0) or late > window * _LATE_SHARE else None
