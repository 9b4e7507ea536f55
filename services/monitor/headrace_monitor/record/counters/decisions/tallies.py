"""Counts of one series, and their encoding: a few dozen bytes, and one to eight for each bucket."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from headrace_statistics.sketches.durations import NONE, Durations, durations, merge

# What has none of the later fields is written as releases before them read it.
_FORMAT, _FORMAT_WITH_FAULTS = 1, 2
# Format, bytes of one count, first bucket; then the sums in the order of the fields.
_HEAD = struct.Struct("<BBHdqdqq")
_FAULTS = struct.Struct("<qq")
_WIDTHS = (1, 2, 4, 8)


@dataclass(frozen=True, slots=True)
class Tally:
    """durations: of all answers. The others as in CounterSeries: sums over all answers, or over those computed.
    invalid, degraded: answers.
    """

    durations: Durations = NONE
    duration_sum_s: float = 0.0
    rows: int = 0
    executions: float = 0.0
    queue_us: int = 0
    compute_us: int = 0
    invalid: int = 0
    degraded: int = 0

    @property
    def count(self) -> int:
        return self.durations.count

    def minus(self, other: Tally) -> Tally:
        """Return what this one has more than one that it covers."""
        return Tally(
            self.durations.minus(other.durations),
            self.duration_sum_s - other.duration_sum_s,
            self.rows - other.rows,
            self.executions - other.executions,
            self.queue_us - other.queue_us,
            self.compute_us - other.compute_us,
            self.invalid - other.invalid,
            self.degraded - other.degraded,
        )


ZERO = Tally()


def total(parts: Iterable[Tally]) -> Tally:
    """Return the sum of tallies."""
    tallies = list(parts)
    return Tally(
        merge(part.durations for part in tallies),
        sum(part.duration_sum_s for part in tallies),
        sum(part.rows for part in tallies),
        sum(part.executions for part in tallies),
        sum(part.queue_us for part in tallies),
        sum(part.compute_us for part in tallies),
        sum(part.invalid for part in tallies),
        sum(part.degraded for part in tallies),
    )


def shrunk(before: Tally, now: Tally) -> str | None:
    """Return the first field that is less than it was; None when none is."""
    if not now.durations.covers(before.durations):
        return "duration_counts"
    for field in ("duration_sum_s", "rows", "executions", "queue_us", "compute_us", "invalid", "degraded"):
        if getattr(now, field) < getattr(before, field):
            return field
    return None


def encode(tally: Tally) -> bytes:
    """Return a tally as it is kept. Counts take as many bytes as the largest needs."""
    counts = tally.durations.counts
    width = _width(int(counts.max())) if counts.size else 1
    faults = bool(tally.invalid or tally.degraded)
    head = _HEAD.pack(
        *(_FORMAT_WITH_FAULTS if faults else _FORMAT, width, tally.durations.first, tally.duration_sum_s),
        *(tally.rows, tally.executions, tally.queue_us, tally.compute_us),
    )
    if faults:
        head += _FAULTS.pack(tally.invalid, tally.degraded)
    return head + counts.astype(f"<u{width}").tobytes()


def decode(data: bytes) -> Tally:
    """Return the tally that was encoded. ValueError for what another version of this code has written."""
    if data[0] not in (_FORMAT, _FORMAT_WITH_FAULTS):
        raise ValueError(f"format {data[0]} of a tally is not known here")
    form, width, first, duration_sum_s, rows, executions, queue_us, compute_us = _HEAD.unpack_from(data)
    begin, invalid, degraded = _HEAD.size, 0, 0
    if form == _FORMAT_WITH_FAULTS:
        invalid, degraded = _FAULTS.unpack_from(data, begin)
        begin += _FAULTS.size
    counts = np.frombuffer(data, dtype=f"<u{width}", offset=begin).astype(np.int64)
    sums = (duration_sum_s, rows, executions, queue_us, compute_us, invalid, degraded)
    return Tally(durations(first, counts), *sums)


def _width(largest: int) -> int:
    return next(width for width in _WIDTHS if largest < 1 << (8 * width))
