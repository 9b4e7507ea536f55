"""Turn totals since the start of a process into counts per minute.

A process reports each series as a total. The state of a series has the last total, and the total at the start of the
open minute; their difference is the minute's count so far. A repeated or late report has a number that is not above the
last one taken, and brings nothing that the last one lacks.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from headrace_monitor.record.counters.decisions.tallies import ZERO, Tally


class SeriesKey(NamedTuple):
    """Labels of a series; fields as in CounterSeries."""

    model: str
    version: str
    variant: str
    served_from: int
    code: int
    layer: str
    fallback_step: str
    priority: int = 0

    def digest(self, generation: int) -> bytes:
        """Return 16 bytes that identify the key in a generation.

        Texts are printable, so the separator is unambiguous. Generation 0 and priority 0 are left out: the rows of data
        planes that report none stay valid.
        """
        parts: tuple[object, ...] = self[:-1]
        if generation or self.priority:
            parts = (*parts, generation)
        if self.priority:
            parts = (*parts, self.priority)
        return hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=16).digest()


class VariantKey(NamedTuple):
    """A variant of a model, and its version."""

    model: str
    version: str
    variant: str


@dataclass(frozen=True, slots=True)
class SeriesState:
    """State of one series of one process.

    sequence: of the last report taken. minute: the open one. total: since the process started. base: the total when the
    minute began.
    """

    sequence: int
    minute: datetime
    total: Tally
    base: Tally


def advance(
    before: SeriesState | None, reported: Tally, *, sequence: int, minute: datetime, begin: Tally = ZERO
) -> SeriesState | None:
    """Return the state after a report; None when the report was overtaken by a later one.

    reported: the total, which covers earlier ones unless it is late. begin: the base of a new series.
    """
    if before is None:
        return SeriesState(sequence, minute, reported, begin)
    if sequence <= before.sequence:
        return None
    return SeriesState(sequence, minute, reported, before.base if minute == before.minute else before.total)


def minute_tally(state: SeriesState) -> Tally:
    """Return the count of the open minute so far."""
    return state.total.minus(state.base)


def minute_of(time: datetime) -> datetime:
    """Return the beginning of the minute."""
    return time.replace(second=0, microsecond=0)
