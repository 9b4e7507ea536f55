"""Materialised tables of an experiment, as SQL: its answers, its outcomes, and one row of totals for each unit. Pure.

New records are read once. A unit with new records is recounted from all of its answers and outcomes, by the SELECT that
counts the whole log: late, corrected and reordered records give the same result.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from headrace_servicekit.times import DAY

from headrace_monitor.judge.experiments.decisions.definitions import PREDICTIONS, Experiment
from headrace_monitor.judge.experiments.decisions.selection import counting_cte, instant
from headrace_monitor.record.log.files import LogPosition
from headrace_monitor.record.query.decisions import views
from headrace_monitor.record.query.decisions.views import text

# Units that are counted at a time: what is in memory at once.
PART_UNITS = 500_000

_ANSWERS = """create table answer_rows (
    prediction_id uuid, "row" integer, unit varchar, variant varchar, generation bigint, answer_time timestamptz,
    slice_value varchar)"""
_OUTCOMES = """create table outcome_rows (
    prediction_id uuid, "row" integer, kind varchar, number double, observe_time timestamptz)"""


@dataclass(frozen=True, slots=True)
class UnitTable:
    """Of one experiment, in words that JSON has. start: from when on answers are read. end: SQL of when it ended, if
    it has. attribute: what strata are of. counting: the WITH of `counted`.
    """

    model: str
    start: str
    end: str
    attribute: str
    counting: str

    def made(self) -> Iterator[str]:
        """Yield the statements that make empty tables."""
        yield from (_ANSWERS, _OUTCOMES, "create table watermark (content varchar)")
        yield from self._reading("false")
        yield f"create table counted as {self.counting} select * from counted limit 0"

    def taking(self, log: str) -> Iterator[str]:
        """Yield the statements that take in records. log: SELECT of them."""
        value = f"attributes[{text(self.attribute)}]" if self.attribute else "null"
        yield (
            'create or replace temp table new_answers as select try_cast(prediction_id as uuid), "row", unit, '
            f"variant, generation, answer_time, {value}::varchar from ({log}) where model = {text(self.model)} "
            f"and unit is not null and unit <> '' and answer_time >= {self.start}"
        )
        yield "insert into answer_rows from new_answers"
        yield "insert into touched select distinct unit from new_answers"

    def taking_outcomes(self, outcomes: str, *, fresh: bool) -> Iterator[str]:
        """Yield the statements that take in outcomes, new and corrected ones. fresh: there are none yet."""
        columns = 'prediction_id::uuid as prediction_id, "row", kind, number, observe_time'
        numbers = "where number is not null and isfinite(number)"
        if fresh:
            yield f"insert into outcome_rows select {columns} from ({outcomes}) {numbers}"
            return
        yield f"create or replace temp table changed_outcomes as select {columns} from ({outcomes})"
        yield (
            "delete from outcome_rows using changed_outcomes as one "
            "where outcome_rows.prediction_id = one.prediction_id "
            'and outcome_rows."row" = one."row" and outcome_rows.kind = one.kind'
        )
        yield f"insert into outcome_rows select * from changed_outcomes {numbers}"
        yield (
            "insert into touched select distinct unit from answer_rows "
            "where prediction_id in (select prediction_id from changed_outcomes)"
        )

    def ending(self) -> str:
        """Return the statement that marks the units that the end of the experiment concerns."""
        return f"insert into touched select distinct unit from answer_rows where answer_time >= {self.end}"

    def counted_anew(self, units: int, *, fresh: bool) -> Iterator[str]:
        """Yield the statements that recount the units in `touched`. units: their number; fresh: recount all units."""
        if not fresh:
            yield "delete from counted where unit in (select unit from touched)"
        parts = -(-units // PART_UNITS)
        for part in range(parts):
            these = [f"hash(unit) % {parts} = {part}"] if parts > 1 else []
            these += [] if fresh else ["unit in (select unit from touched)"]
            yield from self._reading(" and ".join(these) or "true")
            yield f"insert into counted {self.counting} select * from counted"

    def _reading(self, condition: str) -> Iterator[str]:
        """Yield the views of which units are counted, as there are over the log."""
        attribute = f"map([{text(self.attribute)}], [slice_value])" if self.attribute else "null::map(varchar, varchar)"
        yield (
            f"create or replace temp view predictions as select {text(self.model)} as model, *, "
            f"{attribute} as attributes from answer_rows where {condition}"
        )
        yield (
            f"create or replace temp view outcomes as select {text(self.model)} as model, *, null::varchar as text "
            "from outcome_rows"
        )
        yield f"create or replace temp view labelled as {views.LABELLED}"


@dataclass(frozen=True, slots=True)
class Watermark:
    """How far a table has come. files, changes: what comes after them is new. made: when it was begun. time: when it
    was brought up to date. ended: whether the end of the experiment is in it. Times are of the database's clock.
    """

    fingerprint: str
    database: str
    files: int
    changes: int
    made: str
    time: str
    ended: bool


@dataclass(frozen=True, slots=True)
class Retention:
    """files_stay: for how long each file of the log can at least be read. records_stay: how long records are kept."""

    files_stay: timedelta
    records_stay: timedelta


def goes_on(there: Watermark, fingerprint: str, position: LogPosition, start: datetime, retention: Retention) -> bool:
    """Return whether a table can be updated; otherwise it has to be rebuilt.

    A table with records that the log may have expired is rebuilt once a day, which bounds their retention.
    start: of the answers read.
    """
    made, time = datetime.fromisoformat(there.made), datetime.fromisoformat(there.time)
    now = position.time
    return (
        (there.fingerprint, there.database) == (fingerprint, position.database)
        and there.files <= position.files
        and there.changes <= position.changes
        and timedelta(0) <= now - time < retention.files_stay
        and (start > now - retention.records_stay or now - made < DAY)
    )


def unit_table(experiment: Experiment, start: datetime) -> UnitTable:
    """Return the table of an experiment. start: from when on answers are read."""
    end = instant(experiment.end_time) if experiment.end_time else ""
    attribute = experiment.definition.stratify_by
    return UnitTable(experiment.model, instant(start), end, attribute, counting_cte(experiment, attribute))


def fingerprint(experiment: Experiment, start: datetime) -> str:
    """Return what differs where a table says something else: of another experiment, or of other code."""
    table = unit_table(replace(experiment, end_time=None), start)
    said = (
        *(_ANSWERS, _OUTCOMES, *table.taking("new"), *table.taking_outcomes("new", fresh=False), table.counting),
        *(experiment.id, experiment.create_time.isoformat()),
    )
    return hashlib.sha256("\n".join(said).encode()).hexdigest()


def kinds(experiment: Experiment) -> list[str]:
    """Return the kinds of outcomes that metrics read."""
    metrics = experiment.definition.metrics
    named = {each for metric in metrics for each in (metric.outcome, metric.denominator)}
    return sorted(named - {"", PREDICTIONS})
