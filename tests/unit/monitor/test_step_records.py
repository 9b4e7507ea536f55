"""What versions computed as steps of pipelines is in the log, and is nobody's prediction."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from headrace.telemetry.v1 import telemetry_pb2
from headrace_monitor.record.log import decoder, parquet, reader
from headrace_monitor.record.log.checks import MAX_TEXT_CHARS, check
from headrace_monitor.record.query.decisions import views
from headrace_servicekit.errors import InvalidArgument

from tests.kit.monitor.predictions import KnownContracts, batch, contract, report, spec
from tests.unit.monitor.test_former_columns import TIME, schema

PROCESS = uuid.UUID(int=7)
ROWS = np.arange(3, dtype=np.float32)


def reported() -> telemetry_pb2.PredictionBatch:
    """Return three predictions, of which the second was computed for a pipeline."""
    made = batch({"x": ROWS}, {"y": ROWS})
    of_step = made.groups.add()
    of_step.CopyFrom(made.groups[0])
    of_step.pipeline, of_step.step = "ensemble/v3", "linear"
    made.group[1] = 1
    return made


def logged() -> pa.Table:
    known = KnownContracts()
    known.add("digits", "v1", contract({"x": spec("FP32")}, {"y": spec("FP32")}))
    found = decoder.decode(report(reported(), PROCESS, 1), known.known, range(2))
    return decoder.join([one for tables in found.tables.values() for one in tables])


def test_records_of_steps_name_pipeline_and_step_and_have_the_members_columns():
    found = logged().sort_by("feature.x")
    assert found["pipeline"].to_pylist() == [None, "ensemble/v3", None]
    assert found["step"].to_pylist() == [None, "linear", None]
    assert found["feature.x"].to_pylist() == found["output.y"].to_pylist() == ROWS.tolist()


def test_predictions_are_without_steps_and_steps_have_a_view_of_their_own(tmp_path: Path):
    table, old = str(tmp_path / "new.parquet"), str(tmp_path / "old.parquet")
    pq.write_table(logged(), table)
    pq.write_table(logged().drop_columns(["pipeline", "step"]).slice(0, 1), old)  # as it was before there were steps
    columns = tuple(name for name in logged().column_names if name != "attributes")
    files = {schema(*columns): [table], schema(*(set(columns) - {"pipeline", "step"})): [old]}
    with duckdb.connect() as connection:
        for name, select in zip(("predictions", "pipeline_steps"), views.of_log(files, None, None), strict=True):
            connection.execute(f"create view {name} as {select}")
        asked = connection.execute('select "feature.x" from predictions order by 1').fetchall()
        assert [row[0] for row in asked] == [0.0, 0.0, 2.0]
        assert connection.execute('select pipeline, step, "feature.x" from pipeline_steps').fetchall() == [
            ("ensemble/v3", "linear", 1.0)
        ]
        assert "pipeline" not in {one[0] for one in connection.execute("describe predictions").fetchall()}


def test_outcomes_meet_what_callers_were_answered_alone():
    older = logged().drop_columns(["pipeline", "step"])
    for table, expected in ((logged(), [0.0, 2.0]), (older, [0.0, 1.0, 2.0])):
        content = bytes(parquet.new_file("m", "v1", TIME, table).content)
        found = [value for part in reader.batches(content, ["feature.x"]) for value in part["feature.x"].to_pylist()]
        assert sorted(found) == expected
        assert {name for part in reader.batches(content, ["row"]) for name in part.schema.names} == {"row"}


@pytest.mark.parametrize("field", ["pipeline", "step"])
def test_a_step_whose_name_is_too_long_is_refused(field):
    made = reported()
    setattr(made.groups[1], field, "n" * (MAX_TEXT_CHARS + 1))
    with pytest.raises(InvalidArgument, match="more than 256 characters"):
        check(report(made, PROCESS, 1), datetime.now(UTC), timedelta(days=1))
