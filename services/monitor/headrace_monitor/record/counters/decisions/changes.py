"""Decide what one report changes: which totals are stored, which minutes end, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from headrace_servicekit.errors import FieldViolation, refuse
from headrace_statistics.sketches.distinct import Distinct

from headrace_monitor.record.counters.decisions.differences import (
    SeriesKey,
    SeriesState,
    VariantKey,
    advance,
    minute_tally,
)
from headrace_monitor.record.counters.decisions.tallies import ZERO, Tally, shrunk

# Twice what a data plane has at most, which forgets what changed longest ago: a series that changed before this many
# others is forgotten there, too, also when half of those come at once after an absence (decision 141).
MAX_SERIES = 8192
MAX_DROP_REASONS = 64


@dataclass(frozen=True, slots=True)
class Report:
    """series: by key, in the order of the request, so that a violation can name its index. digests: that stand for
    them. dropped: by reason. units: since the last report, by kind. final: the process stops.
    """

    data_plane: str
    process: UUID
    sequence: int
    report_time: datetime | None
    series: Mapping[SeriesKey, Tally]
    digests: Mapping[SeriesKey, bytes]
    dropped: Mapping[str, int]
    units: Mapping[str, Mapping[VariantKey, Distinct]] = field(default_factory=dict)
    final: bool = False


@dataclass(frozen=True, slots=True)
class SeriesChanges:
    """What a report changes, by series.

    opened: new series, and those with a new minute. continued: those in the same minute. ended: tallies of minutes that
    are over, each non-zero. begun: number of new series. late: number of series that a later report has overtaken.
    """

    opened: dict[SeriesKey, SeriesState] = field(default_factory=dict)
    continued: dict[SeriesKey, SeriesState] = field(default_factory=dict)
    ended: list[tuple[datetime, SeriesKey, Tally]] = field(default_factory=list)
    begun: int = 0
    late: int = 0


def changes_of(
    report: Report,
    states: Mapping[SeriesKey, SeriesState],
    *,
    minute: datetime,
    known: int = 0,
    forgotten: bool = False,
) -> SeriesChanges:
    """Return the changes of a report to the series.

    states: stored states of its series. minute: that the report counts in. known: number of the process's series.
    forgotten: the process's totals had expired, so its counts before this report are taken as counted already.
    Raises InvalidArgument for a total that shrinks, and for too many series.
    """
    found: list[FieldViolation] = []
    opened: dict[SeriesKey, SeriesState] = {}
    continued: dict[SeriesKey, SeriesState] = {}
    ended: list[tuple[datetime, SeriesKey, Tally]] = []
    begun = late = 0
    for index, (key, reported) in enumerate(report.series.items()):
        before = states.get(key)
        after = advance(
            before, reported, sequence=report.sequence, minute=minute, begin=reported if forgotten else ZERO
        )
        if after is None:
            late += 1
        elif before is None:
            begun += 1
            opened[key] = after
        elif (fallen := shrunk(before.total, reported)) is not None:
            found.append(_fallen(f"series[{index}].{fallen}", before.sequence))
        elif after.minute == before.minute:
            continued[key] = after
        else:
            opened[key] = after
            if (had := minute_tally(before)) != ZERO:
                ended.append((before.minute, key, had))
    if known + begun > MAX_SERIES:
        description = f"the process would have {known + begun} series; at most {MAX_SERIES}"
        found.append(FieldViolation("series", description))
    refuse(found)
    return SeriesChanges(opened, continued, ended, begun, late)


@dataclass(frozen=True, slots=True)
class DropState:
    """The stored total of a drop reason. sequence: of the latest report. total: drops since the process started."""

    sequence: int
    total: int


def new_drops(report: Report, states: Mapping[str, DropState], *, forgotten: bool = False) -> dict[str, int]:
    """Return the number of newly dropped predictions by reason, for the reasons in a newer report.

    states: stored totals by reason. Raises InvalidArgument for a total that shrinks, and for too many reasons.
    """
    found: list[FieldViolation] = []
    new: dict[str, int] = {}
    for index, (reason, total) in enumerate(report.dropped.items()):
        before = states.get(reason)
        if before is None:
            new[reason] = 0 if forgotten else total
        elif report.sequence > before.sequence:
            if total < before.total:
                found.append(_fallen(f"dropped[{index}].count", before.sequence))
            new[reason] = total - before.total
    reasons = len({*states, *report.dropped})
    if reasons > MAX_DROP_REASONS:
        found.append(FieldViolation("dropped", f"the process would have {reasons} reasons; at most {MAX_DROP_REASONS}"))
    refuse(found)
    return new


def _fallen(field_name: str, sequence: int) -> FieldViolation:
    description = (
        f"is less than in report {sequence}: what a process has counted never falls; a new process has a new id"
    )
    return FieldViolation(field_name, description)
