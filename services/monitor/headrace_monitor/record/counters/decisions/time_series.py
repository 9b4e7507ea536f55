"""Traffic over time: requests, errors by blame, durations, sources and versions of each part of a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import NamedTuple

from headrace_servicekit.errors import Code
from headrace_servicekit.times import Span

from headrace_monitor.record.counters.decisions.tallies import Tally, total
from headrace_monitor.record.counters.decisions.traffic import FAULTS, quantile_us

# At most so many parts: ten minutes each of a day, an hour of a week.
MAX_PARTS = 192


class Blame(Enum):
    """Who can mend an error."""

    CALLER = auto()
    MODEL = auto()
    PLATFORM = auto()


class PartGroup(NamedTuple):
    """Labels that a part is summed by."""

    model: str
    version: str
    served_from: int
    code: int


@dataclass(frozen=True, slots=True)
class Part:
    """Traffic of a part of a time. errors: by blame. p50_us, p99_us: of successful answers, None without any; so are
    sources. versions: requests by the ids of model and version.
    """

    span: Span
    requests: int
    errors: Mapping[Blame, int]
    p50_us: float | None
    p99_us: float | None
    sources: Mapping[int, int] = field(default_factory=dict)
    versions: Mapping[tuple[str, str], int] = field(default_factory=dict)


def blame_of(code: int) -> Blame | None:
    """Return who is to blame for a status code; None for success.

    INTERNAL is what a failed execution is answered with. A caller's bad request is no error of the model.
    """
    if code == Code.OK:
        return None
    if code == Code.INTERNAL:
        return Blame.MODEL
    return Blame.PLATFORM if code in FAULTS else Blame.CALLER


def part_of(span: Span, sums: Mapping[PartGroup, Tally]) -> Part:
    """Return the traffic of one part of a time."""
    errors: Counter[Blame] = Counter()
    sources: Counter[int] = Counter()
    versions: Counter[tuple[str, str]] = Counter()
    for group, tally in sums.items():
        versions[group.model, group.version] += tally.count
        blame = blame_of(group.code)
        if blame is None:
            sources[group.served_from] += tally.count
        else:
            errors[blame] += tally.count
    durations = total(tally for group, tally in sums.items() if group.code == Code.OK).durations
    p50_us, p99_us = (quantile_us(durations, q) if durations.count else None for q in (0.5, 0.99))
    return Part(span, versions.total(), errors, p50_us, p99_us, sources, versions)
