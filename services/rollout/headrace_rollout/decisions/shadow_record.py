"""What pairs of answers say of a version that gets copies of requests, and gets no requests. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from headrace_servicekit.errors import Code
from headrace_statistics.canary.intervals import clustered_bounds

from headrace_rollout.decisions.policies import Shadow, percent
from headrace_rollout.decisions.rollouts import Decision, Verdict

# A report adds hours up: it is not asked for each second.
READ_EVERY = timedelta(seconds=5)
# How often the interval of a share is ever wrong: that of all rows, and any one of those of a report's slices.
LEVEL = 0.05
MAX_SLICES = 200
MAX_NAME_CHARS = 80

_CODES = {code.value: code.name for code in Code}


@dataclass(frozen=True, slots=True)
class Labels:
    """Counts of rows with a label on both sides, and of those whose labels differ. squares: sum of the squared flips
    of each pair; 0 from a monitor of an older release.
    """

    rows: int = 0
    flips: int = 0
    squares: int = 0

    def since(self, before: Labels) -> Labels:
        """Return what came after."""
        rows = max(0, self.rows - before.rows)
        return Labels(rows, min(rows, max(0, self.flips - before.flips)), max(0, self.squares - before.squares))


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs of answers of a version and its shadow. compared: how many. unlike: besides, with nothing in common.
    errors: copies that the shadow answered with one, by code. nan_rows: in which it alone has a NaN.
    """

    compared: int = 0
    unlike: int = 0
    errors: Mapping[int, int] = field(default_factory=dict)
    nan_rows: int = 0
    labels: Labels = field(default_factory=Labels)
    slices: Mapping[str, Labels] = field(default_factory=dict)

    def since(self, before: Pairs) -> Pairs:
        """Return what came after. What a monitor has forgotten meanwhile is not one of it."""
        errors = {code: count - before.errors.get(code, 0) for code, count in self.errors.items()}
        return Pairs(
            compared=max(0, self.compared - before.compared),
            unlike=max(0, self.unlike - before.unlike),
            errors={code: count for code, count in errors.items() if count > 0},
            nan_rows=max(0, self.nan_rows - before.nan_rows),
            labels=self.labels.since(before.labels),
            slices={name: one.since(before.slices.get(name, Labels())) for name, one in self.slices.items()},
        )


@dataclass(frozen=True, slots=True)
class ShadowRecord:
    """The evidence of a shadow so far. before: pairs that there were when it began. found: since, at `read_time`."""

    before: Pairs
    begin_time: datetime
    found: Pairs
    read_time: datetime


def begin(before: Pairs, now: datetime) -> ShadowRecord:
    """Return the evidence before the first copy."""
    return ShadowRecord(before, now, Pairs(), now)


def due(record: ShadowRecord, now: datetime) -> bool:
    """Return whether the report is to be read again."""
    return now - record.read_time >= READ_EVERY


def taken(record: ShadowRecord, pairs: Pairs, now: datetime) -> ShadowRecord:
    """Take a report into the evidence."""
    return replace(record, found=pairs.since(record.before), read_time=now)


def verdict(record: ShadowRecord, shadow: Shadow, step_time: datetime, now: datetime) -> Verdict:
    """Return what the evidence says now. step_time: since when copies are sent."""
    found = record.found
    enough = found.compared >= shadow.min_pairs and record.read_time - step_time >= shadow.dwell
    wrong = _fault(found, shadow, at_the_end=enough)
    if wrong:
        return Verdict(Decision.ROLL_BACK, f"shadow, {found.compared:,} pairs compared: {wrong}", (), now)
    least = f" of at least {shadow.min_pairs:,}" if found.compared < shadow.min_pairs else ""
    message = f"shadow, {found.compared:,}{least} pairs compared: {_alike(found, shadow)}"
    return Verdict(Decision.ADVANCE if enough else Decision.HOLD, message, (), now)


def silent(reason: str, now: datetime) -> Verdict:
    """Return the verdict while the monitor has no report."""
    return Verdict(Decision.NO_DATA, f"the monitor has no report: {reason}", (), now)


def _fault(found: Pairs, shadow: Shadow, *, at_the_end: bool) -> str:
    """Return why the version is taken back; empty when it is not.

    at_the_end: the share of flips itself decides, not only its interval.
    """
    if found.errors:
        codes = ", ".join(f"{_CODES.get(code, code)} {count:,}" for code, count in sorted(found.errors.items()))
        return f"errors to copies, where the version before had none: {sum(found.errors.values()):,} ({codes})"
    if found.nan_rows:
        return f"rows with a NaN, where the version before has none: {found.nan_rows:,}"
    if _above(found.labels, shadow.max_flips, LEVEL) or (at_the_end and _share(found.labels) > shadow.max_flips):
        return _flips(found.labels, shadow.max_flips)
    slices = found.slices.items()
    above = [(name, one) for name, one in slices if _above(one, shadow.max_slice_flips, LEVEL / MAX_SLICES)]
    if above:
        name, worst = max(above, key=lambda item: _share(item[1]))
        return f"in slice {_shown(name)} {_flips(worst, shadow.max_slice_flips)}"
    return ""


def _above(labels: Labels, most: float, level: float) -> bool:
    return clustered_bounds(labels.flips, labels.rows, labels.squares, level)[0] > most


def _alike(found: Pairs, shadow: Shadow) -> str:
    flips = _flips(found.labels, shadow.max_flips) if found.labels.rows else "no labels that could differ"
    unlike = f"; pairs with nothing in common to compare: {found.unlike:,}" if found.unlike else ""
    return f"no errors, no NaN, {flips}{unlike}"


def _flips(labels: Labels, most: float) -> str:
    share = f"{percent(_share(labels)):.3g} %, at most {percent(most):g} %"
    return f"{labels.flips:,} of {labels.rows:,} labels differ ({share})"


def _share(labels: Labels) -> float:
    return labels.flips / labels.rows if labels.rows else 0.0


def _shown(name: str) -> str:
    """Return the name of a slice as a reason has it: it is made of what callers send."""
    return "".join(one if one.isprintable() else "?" for one in name[:MAX_NAME_CHARS])
