"""Rows of a reference that belong together count for what they are worth."""

import asyncio
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from headrace_monitor.judge.references.columns import monitored_columns
from headrace_monitor.judge.references.dependent_rows import UNIT
from headrace_monitor.judge.references.log_rows import LogRows
from headrace_monitor.judge.references.reference_files import freeze_file
from headrace_monitor.judge.references.reference_tables import RefusedError
from headrace_monitor.judge.references.rows_writer import RowsWriter
from headrace_monitor.record.log.files import LogFile
from headrace_statistics.drift.evaluation import evaluate
from headrace_statistics.references import CategoricalReference, Reference, Source, independent, seasonal, summarise
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit.monitor.predictions import KnownContracts, contract, spec

AT = datetime(2030, 1, 1, tzinfo=UTC)
PROMISED = contract({"age": spec("FP64"), "land": spec("BYTES"), "text": spec("FP32", 4, kind="KIND_EMBEDDING")}, {})
JUDGED = monitored_columns(KnownContracts().add("m", "v1", PROMISED))
USERS, REPEATS = 100, 20


def drawn(rng, units):
    """Return one row of each unit."""
    lands = [f"land {number}" for number in np.minimum(rng.zipf(1.5, units), 300)]
    return {"age": rng.normal(size=units), "land": lands, "text": rng.normal(size=(units, 4)).astype(np.float32)}


def frozen(tmp_path, columns):
    file = tmp_path / "reference.parquet"
    pq.write_table(pa.table({name: list(each) for name, each in columns.items()}), file)
    return freeze_file(str(file), JUDGED, PROMISED).columns


def repeated(columns, times=REPEATS):
    return {name: np.repeat(np.asarray(each), times, axis=0) for name, each in columns.items()}


def alarms(columns, rows):
    reference = Reference(Source.ARTIFACT, "", AT, columns, {})
    window = {name: summarise(column, np.asarray(rows[name])) for name, column in columns.items()}
    return {report.column for report in evaluate(reference, window, level=0.05) if report.alarm}


def test_repeated_rows_of_a_reference_raise_no_false_alarm_once_it_says_whose_they_are(tmp_path):
    rng = np.random.default_rng(1)
    told, untold = [], []
    for _ in range(6):
        rows, later = repeated(drawn(rng, USERS)), drawn(rng, 5_000)
        del rows["text"]
        plain = frozen(tmp_path, rows)
        counted = frozen(tmp_path, {**rows, UNIT: np.repeat(np.arange(USERS), REPEATS)})
        untold.append(bool(alarms(plain, later)))
        told.append(bool(alarms(counted, later)))
        assert [round(column.design_effect) for column in counted.values()] == [REPEATS] * 2
        assert [round(column.design_effect) for column in plain.values()] == [1] * 2
    assert sum(untold) >= 4
    assert sum(told) == 0


def test_rows_of_a_unit_that_are_not_alike_all_count(tmp_path):
    rng = np.random.default_rng(2)
    rows = drawn(rng, USERS * REPEATS)
    columns = frozen(tmp_path, {**rows, UNIT: np.repeat(np.arange(USERS), REPEATS)})
    assert columns["age"].design_effect < 1.5
    assert columns["land"].design_effect < 2.5


def test_new_categories_are_expected_by_what_single_units_had(tmp_path):
    rng = np.random.default_rng(3)
    once = drawn(rng, 400)
    column = frozen(tmp_path, {**repeated(once, 5), UNIT: np.repeat(np.arange(400), 5)})["land"]
    alone = frozen(tmp_path, once)["land"]
    assert isinstance(column, CategoricalReference)
    assert isinstance(alone, CategoricalReference)
    worth = independent(column)
    assert isinstance(worth, CategoricalReference)
    assert (worth.singletons, worth.summary.rows) == (alone.singletons, pytest.approx(400, abs=4))
    assert worth.unseen.of == pytest.approx(alone.unseen.of, rel=0.05)


def test_counts_of_a_season_are_not_divided_again(tmp_path):
    rng = np.random.default_rng(4)
    rows = repeated(drawn(rng, USERS))
    columns = frozen(tmp_path, {**rows, UNIT: np.repeat(np.arange(USERS), REPEATS)})
    reference = Reference(Source.ARTIFACT, "", AT, columns, {})
    season = {"age": summarise(columns["age"], rng.normal(size=500))}
    assert independent(seasonal(reference, season, name="", at=AT).columns["age"]).summary.rows == 500


@pytest.mark.parametrize(
    ("units", "effect"),
    [
        pytest.param([None] * 2_000, 1, id="none known"),
        pytest.param(["one"] * 2_000, 1, id="too few to say"),
        pytest.param([None] * 1_000 + [f"u{row // 20}" for row in range(1_000)], 10, id="half known"),
        pytest.param([b"\xff%d" % (row // 20) for row in range(2_000)], 20, id="bytes"),
        pytest.param([(row // 20) / 2 for row in range(2_000)], 20, id="numbers"),
    ],
)
def test_whatever_names_a_unit_rows_without_any_are_their_own(tmp_path, units, effect):
    rows = repeated(drawn(np.random.default_rng(5), USERS))
    assert frozen(tmp_path, {**rows, UNIT: units})["age"].design_effect == pytest.approx(effect, rel=0.25)


def test_units_that_are_lists_are_refused_by_the_name_of_the_column(tmp_path):
    rows = drawn(np.random.default_rng(6), 100)
    with pytest.raises(RefusedError, match=r"column 'request.unit' cannot be converted"):
        frozen(tmp_path, {**rows, UNIT: [[1]] * 100})


@settings(max_examples=30)
@given(st.lists(st.one_of(st.none(), st.text(max_size=5)), min_size=60, max_size=60))
def test_odd_names_of_units_never_raise(tmp_path_factory, names):
    kept = [None if name is None else name.encode("utf-8", "surrogatepass") for name in names]
    rows = drawn(np.random.default_rng(7), 60)
    columns = frozen(tmp_path_factory.mktemp("odd"), {**rows, UNIT: kept})
    assert all(1 <= column.design_effect <= 60 for column in columns.values())


class LogOfUsers:
    """A log of one file, in which each user has rows of several requests."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    async def files(self, model, version, start, end):
        rows = self._table.num_rows
        return [LogFile(1, model, version, start, "a key", 1, rows, rows, start, end, False)]

    async def table(self, file, columns=None):
        return self._table.select([name for name in self._table.schema.names if name in (columns or ())])


def test_a_reference_from_the_log_knows_its_units(tmp_path):
    rng = np.random.default_rng(8)
    rows = repeated(drawn(rng, USERS))
    total = USERS * REPEATS
    table = pa.table(
        {
            "answer_time": pa.array([AT] * total, pa.timestamp("us", "UTC")),
            "unit": [f"user {row // REPEATS}" for row in range(total)],
            "prediction_id": [str(row) for row in range(total)],
            **{f"feature.{name}": list(each) for name, each in rows.items()},
        }
    )
    file = tmp_path / "reference.parquet"
    version = KnownContracts().add("m", "v1", PROMISED)
    written = asyncio.run(RowsWriter(LogRows(LogOfUsers(table)))(version, AT, AT.replace(day=2), file))
    assert written == total
    columns = freeze_file(str(file), JUDGED, PROMISED).columns
    assert [round(columns[name].design_effect) for name in ("age", "land", "text")] == [REPEATS] * 3
