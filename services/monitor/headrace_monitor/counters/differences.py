"""From what a process has counted since it started to what was new in each minute.

A process reports the same series over and over, each time whole. What is kept of a series is the last total that was
taken, and what it was when the minute began that is still open; the difference of the two is what the minute has had so
far. A report that is repeated, late or overtaken has a lower number than the one taken last, and nothing that it lacks.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from headrace_monitor.counters.tallies import ZERO, Tally


class Key(NamedTuple):
    """What is counted apart; fields as in CounterSeries."""

    model: str
    version: str
    variant: str
    served_from: int
    code: int
    layer: str
    rung: str

    def digest(self, generation: int) -> bytes:
        """Return 16 bytes that stand for the key in a generation.

        Texts are printable, so that no two look alike joined. Generation 0 is left out: rows of data planes that know
        of none go on.
        """
        parts = (*self, generation) if generation else self
        return hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=16).digest()


@dataclass(frozen=True, slots=True)
class Kept:
    """What is known of one series of one process.

    sequence: of the report that was taken last. minute: that is open. total: since the process started. base: the total
    when the minute began.
    """

    sequence: int
    minute: datetime
    total: Tally
    base: Tally


def advance(before: Kept | None, told: Tally, *, sequence: int, minute: datetime, begin: Tally = ZERO) -> Kept | None:
    """Return what is known after a report; None when it brings nothing, because a later one was taken.

    told: covers what was told before, unless it is late. begin: the base of a series that is not known yet.
    """
    if before is None:
        return Kept(sequence, minute, told, begin)
    if sequence <= before.sequence:
        return None
    return Kept(sequence, minute, told, before.base if minute == before.minute else before.total)


def in_minute(kept: Kept) -> Tally:
    """Return what the open minute has had so far."""
    return kept.total.minus(kept.base)


def minute_of(time: datetime) -> datetime:
    """Return the beginning of the minute."""
    return time.replace(second=0, microsecond=0)
