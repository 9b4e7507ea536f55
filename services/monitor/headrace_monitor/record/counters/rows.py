"""Convert rows of counter_series to states, and to the minutes that they leave behind."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from headrace_monitor.record.counters.decisions.differences import SeriesKey, SeriesState, minute_tally
from headrace_monitor.record.counters.decisions.tallies import ZERO, decode, encode


def series_state(row: Any) -> SeriesState:
    """Return the state of a series."""
    return SeriesState(row["sequence"], row["minute"], decode(row["total"]), decode(row["base"]))


def key_of(row: Any) -> SeriesKey:
    """Return the key of a row of any table of counters."""
    return SeriesKey(*(row[field] for field in SeriesKey._fields))


def ended(rows: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Return the columns of the minutes that end with rows that are removed; none when they leave nothing."""
    had = ((row["minute"], key_of(row), minute_tally(series_state(row))) for row in rows)
    return transposed((minute, *key, encode(tally)) for minute, key, tally in had if tally != ZERO)


def transposed(rows: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return rows as columns, the arguments of a query."""
    return list(zip(*rows, strict=True))
