"""What is kept of an experiment says what the whole log says, to the last digit, in whatever order data came."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from headrace_monitor.judge.experiments import unit_engine
from headrace_monitor.judge.experiments.decisions import definitions, unit_table
from headrace_monitor.judge.experiments.decisions.definitions import Definition, Experiment, Metric, started
from headrace_monitor.judge.experiments.decisions.moments import moments_sql, steps_of
from headrace_monitor.judge.experiments.decisions.selection import from_log, read_range, units_sql
from headrace_monitor.judge.experiments.decisions.tally import rows_of
from headrace_monitor.judge.experiments.decisions.unit_table import Retention, Watermark, goes_on
from headrace_monitor.judge.experiments.decisions.verdicts import verdict
from headrace_monitor.judge.experiments.unit_tables import portions
from headrace_monitor.record.log.files import LogFile, LogPosition
from headrace_monitor.record.query.cache import FileCache
from headrace_monitor.record.query.decisions import views
from headrace_statistics.experiments.design import Kind, Role
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

START = datetime(2026, 11, 1, tzinfo=UTC)
DAY = timedelta(days=1)
NOW = START + 10 * DAY
DEFINITION = Definition(
    "",
    {"control": 1.0, "new": 1.0},
    (
        Metric("click", Kind.BINARY, Role.SUCCESS, "click"),
        Metric("revenue", Kind.MEAN, Role.QUALITY, "reward", cap=100.0),
        Metric("basket", Kind.RATIO, Role.QUALITY, "reward", denominator="predictions"),
        Metric("median", Kind.QUANTILE, Role.QUALITY, "reward", quantile=0.5),
    ),
    attribution_window=2 * DAY,
    covariate_window=DAY,
    stratify_by="country",
)
RUNNING = started(Experiment("shop", "one", DEFINITION, "ada", START), START)


@dataclass(frozen=True, slots=True)
class Answer:
    number: int
    unit: str
    variant: str
    hours: int
    country: str = "AT"

    @property
    def id(self) -> str:
        return str(UUID(int=self.number))


@dataclass(frozen=True, slots=True)
class Outcome:
    number: int
    kind: str
    value: float | str
    hours: int


@dataclass(slots=True)
class Table:
    """What is kept of an experiment, and how far it has come."""

    folder: Path
    experiment: Experiment = RUNNING
    connection: duckdb.DuckDBPyConnection = field(default_factory=duckdb.connect)
    fresh: bool = True
    files: int = 0

    def __post_init__(self) -> None:
        self.connection.execute("set timezone = 'UTC'")

    def take(self, files: Iterable[Sequence[Answer]], outcomes: Iterable[Outcome], *, ended: bool = False) -> None:
        table = unit_table.unit_table(self.experiment, read_range(self.experiment, NOW)[0])
        parts: list[dict[str, Any]] = [{"files": [self._log_file(answers)]} for answers in files if answers]
        last = {"watermark": {}, "outcomes": self._outcomes_file(outcomes), "ended": ended}
        unit_engine.take(self.connection, table, [*parts, last], fresh=self.fresh)
        self.fresh = False

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        columns = self.connection.execute(sql).to_arrow_table().columns
        return list(zip(*(column.to_pylist() for column in columns), strict=True))

    def said(self) -> tuple[Any, ...]:
        """Return units, moments of now and over time, each in an order of their own."""
        steps = steps_of(self.experiment, NOW)
        asked = (units_sql(self.experiment), moments_sql(self.experiment), moments_sql(self.experiment, steps=steps))
        return tuple(sorted(self.rows(sql), key=repr) for sql in asked)

    def _path(self, kind: str) -> str:
        self.files += 1
        return str(self.folder / f"{id(self)}-{self.files}.{kind}")

    def _log_file(self, answers: Sequence[Answer]) -> str:
        path, word = self._path("parquet"), pa.string()
        pq.write_table(log_table(answers, word), path)
        return path

    def _outcomes_file(self, outcomes: Iterable[Outcome]) -> str:
        path = self._path("csv")
        with open(path, "w", newline="") as file:
            write = csv.writer(file).writerow
            for one in outcomes:
                number, text = ("", str(one.value).encode().hex()) if isinstance(one.value, str) else (one.value, "")
                time = START + one.hours * timedelta(hours=1)
                write([UUID(int=one.number), 0, "shop", one.kind, number, text, time.isoformat(), time.isoformat()])
        return path


def log_table(answers: Sequence[Answer], word: pa.DataType) -> pa.Table:
    times = [START + one.hours * timedelta(hours=1) for one in answers]
    return pa.table(
        {
            "prediction_id": pa.array([one.id for one in answers], word),
            "row": pa.array([0] * len(answers), pa.int32()),
            "model": pa.array(["shop"] * len(answers), word),
            "unit": pa.array([one.unit for one in answers], word),
            "variant": pa.array([one.variant for one in answers], word),
            "generation": pa.array([7] * len(answers), pa.int64()),
            "answer_time": pa.array(times, pa.timestamp("us", "UTC")),
            "attributes": pa.array([[("country", one.country)] for one in answers], pa.map_(word, word)),
        }
    )


answers_of = st.lists(
    st.builds(
        Answer,
        st.integers(1, 10**6),
        st.sampled_from([f"u{n}" for n in range(6)]),
        st.sampled_from(["control", "new", "holdout"]),
        st.integers(-30, 60),
        st.sampled_from(["AT", "DE"]),
    ),
    max_size=20,
    unique_by=lambda one: one.number,
)
values = st.one_of(
    st.floats(-1e6, 1e6), st.sampled_from([0.1, 0.2, 0.3, 1e15, -1e15, float("nan"), float("inf")]), st.just("text")
)


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[list[list[Answer]], list[Outcome]]]:
    """Return what comes from one analysis to the next: files of answers, and outcomes, corrected and repeated ones."""
    answers = draw(st.permutations(draw(answers_of)))
    numbers = st.sampled_from([one.number for one in answers] or [1])
    kinds = st.sampled_from(["click", "reward", "other"])
    outcomes = draw(st.lists(st.builds(Outcome, numbers, kinds, values, st.integers(-40, 110)), max_size=40))
    rounds: list[tuple[list[list[Answer]], list[Outcome]]] = [([], []) for _ in range(draw(st.integers(1, 4)))]
    for answer in answers:
        draw(st.sampled_from(rounds))[0].append([answer])
    for outcome in outcomes:
        draw(st.sampled_from(rounds))[1].append(outcome)
    return rounds


def recorded(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """Return what a store has after these: the last one of each kind."""
    return list({(one.number, one.kind): one for one in outcomes}.values())


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(histories(), st.randoms(use_true_random=False))
def test_what_came_in_parts_is_what_the_whole_log_says(tmp_path: Path, rounds: Any, draw: Any):
    kept, present = Table(tmp_path), []
    for files, outcomes in rounds:
        present = recorded([*present, *outcomes])
        changed = {(one.number, one.kind) for one in outcomes}
        # What was there before is read again now and then.
        again = [one for one in present if (one.number, one.kind) in changed or draw.random() < 0.3]
        kept.take(files, draw.sample(again, len(again)))
    whole = Table(tmp_path)
    answers = [one for files, _ in rounds for file in files for one in file]
    whole.take([draw.sample(answers, len(answers))], draw.sample(present, len(present)))
    assert repr(kept.said()) == repr(whole.said()) == repr(from_the_log(kept, answers, present))


def from_the_log(kept: Table, answers: Sequence[Answer], outcomes: Sequence[Outcome]) -> tuple[Any, ...]:
    """Return the same by a query over the log."""
    numbers = [one for one in outcomes if not isinstance(one.value, str)]
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        start = read_range(RUNNING, NOW)[0]
        there = [one for one in answers if START + one.hours * timedelta(hours=1) >= start]
        connection.register("predictions", log_table(there, pa.string()))
        times = [START + one.hours * timedelta(hours=1) for one in numbers]
        columns = {
            "prediction_id": pa.array([str(UUID(int=one.number)) for one in numbers], pa.string()),
            "row": pa.array([0] * len(numbers), pa.int32()),
            "model": pa.array(["shop"] * len(numbers), pa.string()),
            "kind": pa.array([one.kind for one in numbers], pa.string()),
            "number": pa.array([one.value for one in numbers], pa.float64()),
            "text": pa.array([None] * len(numbers), pa.string()),
            "observe_time": pa.array(times, pa.timestamp("us", "UTC")),
        }
        connection.register("outcomes", pa.table(columns))
        connection.execute(f"create view labelled as {views.LABELLED}")
        steps = steps_of(RUNNING, NOW)
        asked = (units_sql(RUNNING), moments_sql(RUNNING), moments_sql(RUNNING, steps=steps))
        found = [connection.execute(from_log(RUNNING, sql, "country")).to_arrow_table().columns for sql in asked]
    rows = [list(zip(*(column.to_pylist() for column in columns), strict=True)) for columns in found]
    return tuple(sorted(each, key=repr) for each in rows)


def test_a_file_of_the_log_that_comes_late_moves_a_units_first_answer_and_what_counts(tmp_path: Path):
    kept = Table(tmp_path)
    kept.take([[Answer(2, "u", "new", 48)]], [Outcome(2, "reward", 5.0, 60), Outcome(1, "reward", 7.0, 30)])
    assert [row[1:3] for row in kept.said()[0]] == [("new", START + 2 * DAY)]
    kept.take([[Answer(1, "u", "control", 24)]], [])
    ((unit, variant, first, *_),) = kept.said()[0]
    assert (unit, variant, first) == ("u", "control", START + DAY)
    assert 12.0 in kept.said()[0][0]


def test_the_end_takes_back_what_was_answered_after_it(tmp_path: Path):
    kept = Table(tmp_path)
    kept.take([[Answer(1, "before", "new", 10), Answer(2, "after", "new", 30), Answer(3, "before", "control", 30)]], [])
    assert [(row[0], row[6]) for row in kept.said()[0]] == [("after", 1), ("before", 2)]
    kept.experiment = definitions.ended(RUNNING, "", START + DAY)
    kept.take([], [], ended=True)
    assert [(row[0], row[6]) for row in kept.said()[0]] == [("before", 1)]


def test_units_are_counted_in_parts_that_fit_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    answers = [Answer(n + 1, f"u{n % 40}", "new", n % 30) for n in range(200)]
    outcomes = [Outcome(n + 1, "reward", n / 10, 31) for n in range(200)]
    whole, parts = Table(tmp_path), Table(tmp_path)
    whole.take([answers], outcomes)
    monkeypatch.setattr(unit_table, "PART_UNITS", 7)
    parts.take([answers[:150]], outcomes[:90])
    parts.take([answers[150:]], outcomes[90:])
    assert parts.said() == whole.said()
    assert verdict(RUNNING, list(rows_of(parts.said()[1])), NOW).assigned == {"control": 0, "new": 40}


def test_a_table_of_another_experiment_or_another_code_is_told_from_this_one():
    start = read_range(RUNNING, NOW)[0]
    one = unit_table.fingerprint(RUNNING, start)
    assert one == unit_table.fingerprint(definitions.ended(RUNNING, "", NOW), start)
    others = {
        unit_table.fingerprint(replace(RUNNING, model="other"), start),
        unit_table.fingerprint(replace(RUNNING, create_time=NOW), start),
        unit_table.fingerprint(RUNNING, start - DAY),
        unit_table.fingerprint(replace(RUNNING, definition=replace(DEFINITION, stratify_by="")), start),
        unit_table.fingerprint(replace(RUNNING, definition=replace(DEFINITION, attribution_window=DAY)), start),
    }
    assert len(others - {one}) == 5


THERE = Watermark("print", "db", 7, 9, NOW.isoformat(), NOW.isoformat(), ended=False)
RETENTION = Retention(files_stay=timedelta(hours=2), records_stay=30 * DAY)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"fingerprint": "other"}, "another definition, or other code"),
        ({"database": "restored"}, "numbers of another database"),
        ({"files": 6}, "the log has gone back"),
        ({"changes": 8}, "so has the database"),
        ({"time": NOW + timedelta(hours=2)}, "files may have been merged meanwhile"),
        ({"time": NOW - timedelta(seconds=1)}, "a clock was set back"),
        ({"made": NOW - DAY, "start": NOW - 31 * DAY}, "records that the log has dropped"),
    ],
)
def test_a_table_that_cannot_be_brought_up_to_date_is_made_anew(changes: dict[str, Any], what: str):
    there, position = THERE, LogPosition("db", 10, 8, NOW)
    assert goes_on(there, "print", position, START, RETENTION)
    later = position._replace(time=NOW + timedelta(hours=1.9))
    assert goes_on(there, "print", later, NOW - 31 * DAY, RETENTION)
    position = position._replace(**{name: value for name, value in changes.items() if name in LogPosition._fields})
    there = replace(there, made=changes.get("made", NOW).isoformat())
    mark, start = changes.get("fingerprint", "print"), changes.get("start", START)
    assert not goes_on(there, mark, position, start, RETENTION), what


def test_a_units_sum_is_the_same_in_whatever_order_its_outcomes_came(tmp_path: Path):
    answers = [Answer(n + 1, "u", "new", n % 20) for n in range(60)]
    outcomes = [Outcome(n + 1, "reward", n / 7 + 0.1, 25) for n in range(60)]
    sums = set()
    for order in (outcomes, outcomes[::-1], outcomes[30:] + outcomes[:30], outcomes[1::2] + outcomes[::2]):
        table = Table(tmp_path)
        table.take([[answers[one.number - 1] for one in order]], order)
        sums.add(repr(table.rows("select y2 from counted")))
    assert len(sums) == 1


def test_the_log_is_taken_in_by_no_more_at_a_time_than_the_copies_have_room_for(tmp_path: Path):
    async def content(file: LogFile) -> bytes:
        return bytes(file.size_bytes)

    cache = FileCache(tmp_path, 2**20, content)
    sizes = [600_000, 600_000, 300_000, 100_000, 1_000_000]
    files = [
        LogFile(at, "shop", "v1", START, str(at), size, 1, 1, START, START, merged=False)
        for at, size in enumerate(sizes)
    ]
    taken = list(portions(files, cache.max_bytes))
    for some in taken:
        cache.check(some)  # refuses what there is no room for
    assert [[one.size_bytes for one in some] for some in taken] == [[600_000], [600_000, 300_000, 100_000], [1_000_000]]
