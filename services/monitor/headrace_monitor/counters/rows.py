"""Rows of counter_series: what they say, and the minutes that they leave behind."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from headrace_monitor.counters.differences import Kept, Key, in_minute
from headrace_monitor.counters.tallies import ZERO, decode, encode


def kept_of(row: Any) -> Kept:
    """Return what is known of a series."""
    return Kept(row["sequence"], row["minute"], decode(row["total"]), decode(row["base"]))


def key_of(row: Any) -> Key:
    """Return the key of a row of any table of counters."""
    return Key(*(row[field] for field in Key._fields))


def ended(rows: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Return the columns of the minutes that end with rows that are removed; none when they leave nothing."""
    had = ((row["minute"], key_of(row), in_minute(kept_of(row))) for row in rows)
    return transposed((minute, *key, encode(tally)) for minute, key, tally in had if tally != ZERO)


def transposed(rows: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return rows as columns, the arguments of a query."""
    return list(zip(*rows, strict=True))
