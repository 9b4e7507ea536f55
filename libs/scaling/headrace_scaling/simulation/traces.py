"""Requests in each second: generated from a seed, or read from text that people bring."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

DAY_S = 86_400
# A Monday at midnight, UTC: traces without times begin here.
MONDAY = 1_789_948_800.0
# Half a year of seconds.
MOST_SECONDS = 16_000_000
MOST_PER_S = 1_000_000_000

Counts = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Trace:
    """Requests by second from a moment on."""

    name: str
    requests: Counts
    start: float = MONDAY

    def __post_init__(self) -> None:
        if not 0 < len(self.requests) <= MOST_SECONDS:
            raise ValueError(f"a trace has between 1 and {MOST_SECONDS:,} seconds; this one has {len(self.requests):,}")
        if not (np.isfinite(self.requests).all() and (self.requests >= 0).all()):
            raise ValueError("requests must be numbers from 0 up")

    @property
    def seconds(self) -> int:
        """Return how long it lasts."""
        return len(self.requests)


def generated(shape: str, *, seconds: int = 3_600, low: float = 500.0, high: float = 6_000.0, seed: int = 1) -> Trace:
    """Return a trace of one of `SHAPES`: rates between low and high, and requests that come at random at that rate.

    Raises ValueError for rates that are none.
    """
    if not 0.0 <= low <= high <= MOST_PER_S:
        raise ValueError(f"requests/s must be between 0 and {MOST_PER_S:,}, the peak not below the base")
    rates = SHAPES[shape](seconds, low, high, np.random.default_rng([seed, 1]))
    return Trace(shape, np.random.default_rng([seed, 2]).poisson(rates).astype(np.float64))


def diurnal(seconds: int, low: float, high: float, rng: np.random.Generator) -> Counts:
    """Return a day that is lowest at four in the morning, on weekends with two thirds of the traffic."""
    at = np.arange(seconds)
    wave = 0.5 - 0.5 * np.cos(2 * np.pi * (at / DAY_S - 4 / 24))
    weekend = np.where((at // DAY_S) % 7 >= 5, 2 / 3, 1.0)
    return (low + (high - low) * wave) * weekend * _wander(seconds, 0.05, rng)


def step(seconds: int, low: float, high: float, rng: np.random.Generator) -> Counts:
    """Return low for half the time, then high at once."""
    return np.where(np.arange(seconds) < seconds // 2, low, high).astype(np.float64)


def ramp(seconds: int, low: float, high: float, rng: np.random.Generator) -> Counts:
    """Return a rise over half the time, between a sixth that is low and a third that is high."""
    return np.interp(np.arange(seconds), [seconds / 6, seconds * 2 / 3], [low, high])


def spikes(seconds: int, low: float, high: float, rng: np.random.Generator) -> Counts:
    """Return 90 s of high every ten minutes."""
    return np.where((np.arange(seconds) - 300) % 600 < 90, high, low).astype(np.float64)


def flash_crowd(seconds: int, low: float, high: float, rng: np.random.Generator) -> Counts:
    """Return one crowd that comes within half a minute and halves every five."""
    at = np.arange(seconds) - seconds / 4
    crowd = np.where(at < 0, 0.0, np.minimum(1.0, at / 30.0) * 0.5 ** (np.maximum(0.0, at - 30.0) / 300.0))
    return low + (high - low) * crowd


def surges(seconds: int, low: float, high: float, rng: np.random.Generator) -> Counts:
    """Return a day's wave with surges from minutes 2 to 7 and 32 to 39 of every hour, never quite the same twice.

    As in per-second counts of a social network: the surges come on the minute, differ in height, and follow the
    day.
    """
    at = np.arange(seconds)
    wave = 0.65 - 0.35 * np.cos(2 * np.pi * (at / DAY_S - 4 / 24))
    rates = low * wave * _wander(seconds, 0.04, rng)
    hours = seconds // 3_600 + 1
    for hour in range(hours):
        typical = 0.3 + 0.4 * _of_hour(hour % 24)
        for minute, lasts in ((2, 300), (32, 420)):
            begins = hour * 3_600 + minute * 60 + int(rng.normal(0.0, 8.0))
            height = (high - low) * typical * float(np.exp(rng.normal(0.0, 0.25)))
            lifted = np.arange(lasts)
            rise = np.minimum(1.0, (lifted + 1) / 45.0) * np.minimum(1.0, (lasts - lifted) / 60.0)
            inside = slice(max(0, begins), min(seconds, begins + lasts))
            rates[inside] += height * rise[max(0, -begins) : max(0, -begins) + max(0, inside.stop - inside.start)]
    return np.minimum(rates, high)


SHAPES = {
    "diurnal": diurnal,
    "step": step,
    "ramp": ramp,
    "spikes": spikes,
    "flash": flash_crowd,
    "surges": surges,
}


def _of_hour(hour: int) -> float:
    """Return how busy the surges of an hour are, the same every day."""
    return float(np.random.default_rng([7, hour]).random())


def _wander(seconds: int, spread: float, rng: np.random.Generator) -> Counts:
    """Return a factor around 1 that drifts over minutes."""
    knots = rng.normal(0.0, spread, seconds // 120 + 2)
    return np.exp(np.interp(np.arange(seconds) / 120.0, np.arange(len(knots)), knots))


def from_csv(name: str, text: str) -> Trace:
    """Read a trace. Raises ValueError, which names the line, for what is none.

    One column: the requests of each second. Two: a time (seconds since the epoch, or RFC 3339) and the requests since
    the time before it; gaps are spread evenly. A first line of words is a header.
    """
    rows = [row for row in csv.reader(io.StringIO(text)) if any(cell.strip() for cell in row)]
    if rows and not _is_number(rows[0][-1]):
        rows = rows[1:]
    if not rows:
        raise ValueError("the file has no rows")
    if all(len(row) == 1 for row in rows):
        return Trace(name, np.array([_number(row[0], line) for line, row in enumerate(rows, 1)]))
    times = np.array([_time(row, line) for line, row in enumerate(rows, 1)])
    counts = np.array([_number(row[1], line) for line, row in enumerate(rows, 1)])
    return from_times(name, times, counts)


def from_times(name: str, times: Counts, counts: Counts) -> Trace:
    """Return the trace of counts at ascending times, each of what came until the next."""
    if len(times) < 2:
        raise ValueError("a trace with times needs at least two rows")
    gaps = np.diff(times)
    if (gaps <= 0).any():
        raise ValueError(f"times must ascend; row {int(np.argmax(gaps <= 0)) + 2} does not")
    lengths = np.append(gaps, np.median(gaps))
    span_s = times[-1] + lengths[-1] - times[0]
    if span_s > MOST_SECONDS:
        raise ValueError(f"a trace has between 1 and {MOST_SECONDS:,} seconds; this one has {span_s:,.0f}")
    seconds = max(1, round(span_s))
    edges = np.append(times, times[-1] + lengths[-1]) - times[0]
    total = np.interp(np.arange(seconds + 1), edges, np.append(0.0, np.cumsum(counts)))
    return Trace(name, np.diff(total), float(times[0]))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _number(text: str, line: int) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"row {line}: {text!r} is not a number of requests") from None


def _time(row: list[str], line: int) -> float:
    if len(row) != 2:
        raise ValueError(f"row {line} has {len(row)} columns; a time and a number of requests are needed")
    if _is_number(row[0]):
        return float(row[0])
    try:
        moment = datetime.fromisoformat(row[0].strip())
    except ValueError:
        raise ValueError(f"row {line}: {row[0]!r} is neither seconds nor a time in RFC 3339") from None
    if moment.tzinfo is None:
        raise ValueError(f"row {line}: {row[0]!r} has no time zone; add Z for UTC")
    return moment.timestamp()
