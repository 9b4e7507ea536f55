"""What becomes of one report: which totals are kept, which minutes end, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from headrace_servicekit.errors import FieldViolation, refuse

from headrace_monitor.counters.differences import Kept, Key, advance, in_minute
from headrace_monitor.counters.reports import MAX_DROP_REASONS, MAX_SERIES, Report
from headrace_monitor.counters.tallies import ZERO, Tally, shrunk


@dataclass(frozen=True, slots=True)
class Taken:
    """opened: series that are new, or whose minute is. continued: those of the same minute. By key, as they are now.

    ended: what minutes had that are over, each non-zero. begun: how many series are new. late: how many of the report
    brought nothing, because a later report was taken.
    """

    opened: dict[Key, Kept] = field(default_factory=dict)
    continued: dict[Key, Kept] = field(default_factory=dict)
    ended: list[tuple[datetime, Key, Tally]] = field(default_factory=list)
    begun: int = 0
    late: int = 0


def take(
    report: Report, kept: Mapping[Key, Kept], *, minute: datetime, known: int = 0, forgotten: bool = False
) -> Taken:
    """Return what becomes of the series of a report.

    kept: what is known of those series. minute: that the report counts in. known: how many series the process has.
    forgotten: the process's totals were, so that what it had before this report is taken for counted.
    Raises InvalidArgument for what no data plane reports: a total that shrinks, series without end.
    """
    found: list[FieldViolation] = []
    opened: dict[Key, Kept] = {}
    continued: dict[Key, Kept] = {}
    ended: list[tuple[datetime, Key, Tally]] = []
    begun = late = 0
    for index, (key, told) in enumerate(report.series.items()):
        before = kept.get(key)
        after = advance(before, told, sequence=report.sequence, minute=minute, begin=told if forgotten else ZERO)
        if after is None:
            late += 1
        elif before is None:
            begun += 1
            opened[key] = after
        elif (fallen := shrunk(before.total, told)) is not None:
            found.append(_fallen(f"series[{index}].{fallen}", before.sequence))
        elif after.minute == before.minute:
            continued[key] = after
        else:
            opened[key] = after
            if (had := in_minute(before)) != ZERO:
                ended.append((before.minute, key, had))
    if known + begun > MAX_SERIES:
        told_of = f"the process would have {known + begun} series; at most {MAX_SERIES}"
        found.append(FieldViolation("series", told_of))
    refuse(found)
    return Taken(opened, continued, ended, begun, late)


@dataclass(frozen=True, slots=True)
class KeptDrops:
    """sequence: of the report that was taken last. total: predictions since the process started."""

    sequence: int
    total: int


def take_drops(report: Report, kept: Mapping[str, KeptDrops], *, forgotten: bool = False) -> dict[str, int]:
    """Return by reason how many predictions were dropped that are not counted yet; reasons without news are left out.

    Raises InvalidArgument for a total that shrinks, and for reasons without end.
    """
    found: list[FieldViolation] = []
    new: dict[str, int] = {}
    for index, (reason, total) in enumerate(report.dropped.items()):
        before = kept.get(reason)
        if before is None:
            new[reason] = 0 if forgotten else total
        elif report.sequence > before.sequence:
            if total < before.total:
                found.append(_fallen(f"dropped[{index}].count", before.sequence))
            new[reason] = total - before.total
    reasons = len({*kept, *report.dropped})
    if reasons > MAX_DROP_REASONS:
        found.append(FieldViolation("dropped", f"the process would have {reasons} reasons; at most {MAX_DROP_REASONS}"))
    refuse(found)
    return new


def _fallen(field_name: str, sequence: int) -> FieldViolation:
    told = f"is less than in report {sequence}: what a process has counted never falls; a new process has a new id"
    return FieldViolation(field_name, told)
