"""QueryPredictions over the real log: what PostgreSQL lists, S3 keeps, and the caller may see."""

from __future__ import annotations

import io
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc.aio
import numpy as np
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet
import pytest
from headrace.monitor.v1 import monitor_pb2, monitor_pb2_grpc, outcome_pb2, outcome_pb2_grpc
from headrace.telemetry.v1 import telemetry_pb2_grpc
from headrace_monitor.names import first_prediction_id
from headrace_monitor.record.log.files import object_key
from headrace_monitor.record.query.decisions.views import BASE
from headrace_scale.cli.autoscale.trace_files import log_query, of_log
from headrace_servicekit.error_details import from_rpc_error
from headrace_servicekit.errors import InvalidArgument, ResourceExhausted, Unavailable
from headrace_servicekit.identity import CLIENT_HEADER, MODELS_HEADER
from headrace_servicekit.testing import eventually

from tests.kit.models.onnx_models import linear
from tests.kit.monitor.prediction_log import Stores, log_stores
from tests.kit.monitor.predictions import batch, report
from tests.kit.monitor.service import Monitor, real_monitor
from tests.kit.registry.service import Registry, memory_registry

# Outcomes of predictions that are too old, or to come, are refused.
NOON = (datetime.now(UTC) - timedelta(days=1)).replace(minute=0, second=0, microsecond=0)
ENDLESS = "select count(*) from range(1_000_000_000_000)"


@asynccontextmanager
async def monitor_with_log(
    postgres_url: str, s3: Any, folder: Path, **settings: Any
) -> AsyncIterator[tuple[Monitor, Stores, Registry]]:
    async with (
        memory_registry() as registry,
        real_monitor(postgres_url, s3, folder, registry=registry.target, query_dir=folder, **settings) as monitor,
        log_stores(postgres_url, s3, folder) as stores,
    ):
        yield monitor, stores, registry


def prediction_id(moment: datetime) -> str:
    """Return the UUIDv7 of a prediction."""
    return (
        str(first_prediction_id(moment))[:14]
        + "7"
        + str(first_prediction_id(moment))[15:19]
        + "8"
        + str(first_prediction_id(moment))[20:]
    )


async def add_file(
    stores: Stores, model: str, version: str, start: datetime = NOON, count: int = 3, **columns: Any
) -> None:
    """Put a file with an answer each minute into the log."""
    times = [start + timedelta(minutes=at) for at in range(count)]
    told = {
        "prediction_id": [prediction_id(time) for time in times],
        "row": pa.array([0] * count, pa.int32()),
        "answer_time": pa.array(times, pa.timestamp("us", "UTC")),
        "model": [model] * count,
        "version": [version] * count,
        **columns,
    }
    content = io.BytesIO()
    pyarrow.parquet.write_table(pa.table(told), content)
    key = object_key(model, version, start, "a")
    await stores.objects.put_if_absent(key, content.getvalue())
    async with stores.database.transaction() as connection:
        await connection.execute(
            "insert into log_files (model, version, hour, object_key, size_bytes, row_count, prediction_count, "
            "min_answer_time, max_answer_time) values ($1, $2, $3, $4, $5, $6, $6, $3, $7)",
            *(model, version, start, key, len(content.getvalue()), count, times[-1]),
        )


async def ask(monitor: Monitor, sql: str, *, models: str | None = None, **fields: Any) -> tuple[list[dict], Any, bool]:
    """Return rows, what was read, and whether there was more."""
    stub: Any = monitor_pb2_grpc.TrafficServiceStub(monitor.channel)
    metadata = () if models is None else ((CLIENT_HEADER, "ada"), (MODELS_HEADER, models))
    call = stub.QueryPredictions(monitor_pb2.QueryPredictionsRequest(sql=sql, **fields), timeout=30, metadata=metadata)
    try:
        parts = [part async for part in call]
    except grpc.aio.AioRpcError as error:
        raise from_rpc_error(error) from None
    rows = pa.ipc.open_stream(b"".join(part.arrow for part in parts)).read_all().to_pylist()
    return rows, parts[0].read, parts[-1].truncated


async def record(monitor: Monitor, model: str, *outcomes: outcome_pb2.Outcome) -> None:
    stub: Any = outcome_pb2_grpc.OutcomeServiceStub(monitor.channel)
    request = outcome_pb2.RecordOutcomesRequest(parent=f"models/{model}", outcomes=outcomes)
    answer = await stub.RecordOutcomes(request, timeout=10)
    assert not answer.rejections, answer


async def test_clients_of_0_1_0_are_answered_by_the_former_service(postgres_url, s3, tmp_path):
    async with monitor_with_log(postgres_url, s3, tmp_path) as (monitor, stores, _):
        await add_file(stores, "digits", "v1")
        former: Any = monitor_pb2_grpc.MonitorServiceStub(monitor.channel)
        traffic = await former.GetTraffic(monitor_pb2.GetTrafficRequest(parent="models/digits"), timeout=10)
        asked = former.QueryPredictions(
            monitor_pb2.QueryPredictionsRequest(sql="select version from predictions"), timeout=30
        )
        rows = pa.ipc.open_stream(b"".join([part.arrow async for part in asked])).read_all().to_pylist()
    assert not traffic.traffic
    assert rows == [{"version": "v1"}] * 3


async def test_a_caller_sees_the_predictions_and_outcomes_of_its_models_and_no_others(postgres_url, s3, tmp_path):
    async with monitor_with_log(postgres_url, s3, tmp_path) as (monitor, stores, _):
        await add_file(stores, "digits", "v1", **{"feature.x": [1.5, 2.5, 3.5], "prediction_label": ["7", "8", "9"]})
        await add_file(stores, "digits", "v2", NOON + timedelta(hours=1))
        await add_file(stores, "fraud", "v1")
        odd = 'it\'s "7",\r\nor \\N <b>'
        for model, text in (("digits", odd), ("fraud", "yes")):
            await record(
                monitor, model, outcome_pb2.Outcome(prediction_id=prediction_id(NOON), kind="label", text=text)
            )

        sql = "select model, count(*) as n from predictions group by 1 order by 1"
        rows, read, truncated = await ask(monitor, sql)
        assert [tuple(row.values()) for row in rows] == [("digits", 6), ("fraud", 3)]
        assert (read.files, read.rows, truncated) == (3, 9, False)
        assert read.last_answer_time.ToDatetime(UTC) == NOON + timedelta(hours=1, minutes=2)
        assert (await ask(monitor, sql, models="dig*"))[0] == [{"model": "digits", "n": 6}]
        assert (await ask(monitor, sql, models="other"))[0] == []
        assert (await ask(monitor, "from outcomes select model", models="dig*"))[0] == [{"model": "digits"}]
        labelled = "select version, \"feature.x\", prediction_label, outcome_text from labelled where model = 'digits'"
        rows, read, _ = await ask(monitor, labelled, models="*")
        assert rows == [{"version": "v1", "feature.x": 1.5, "prediction_label": "7", "outcome_text": odd}]
        assert read.files == 2


async def test_the_log_of_a_model_is_a_trace_that_policies_are_simulated_on(postgres_url, s3, tmp_path):
    async with monitor_with_log(postgres_url, s3, tmp_path) as (monitor, stores, _):
        columns = {"served_from": ["online", "cache", "online"], "probability": [1.0, 1.0, 0.25]}
        await add_file(stores, "digits", "v1", **columns)
        rows, _, _ = await ask(monitor, log_query(("digits",)))
        trace = of_log("digits", pa.Table.from_pylist(rows))
    assert (trace.start, trace.seconds) == (NOON.timestamp(), 121)
    assert {at: count for at, count in enumerate(trace.requests) if count} == {0: 1.0, 120: 4.0}


async def test_what_data_planes_reported_is_there_by_the_names_of_the_contract_and_meets_its_labels(
    postgres_url, s3, tmp_path
):
    features = np.arange(8, dtype=np.float32).reshape(2, 4)
    predictions = batch({"features": features}, {"scores": features[:, :3]}, model="digits", version="v1")
    async with monitor_with_log(postgres_url, s3, tmp_path, log_compact_every_s=0.1) as (monitor, _, registry):
        await registry.register("digits", "v1", linear(4, 3))
        ingest: Any = telemetry_pb2_grpc.TelemetrySinkServiceStub(monitor.channel)
        await ingest.ReportPredictions(report(predictions, uuid.uuid4(), 1), timeout=10)

        async def rows(sql: str) -> list[dict[str, Any]]:
            return (await ask(monitor, sql))[0]

        async def is_there() -> bool:
            return await rows("select count(*) as n from predictions") == [{"n": 2}]

        await eventually(is_there, within=20, every=0.5)
        told = {row["column_name"]: row["column_type"] for row in await rows("describe predictions")}
        types = {**BASE, "answer_time": "TIMESTAMP WITH TIME ZONE"}
        assert {name: told[name] for name in types} == types, "the log's own types are those of the empty view"
        first, second = await rows(
            'select prediction_id, "feature.features.1" as x, "output.scores.2" as y from predictions order by x'
        )
        assert [(row["x"], row["y"]) for row in (first, second)] == [(1.0, 2.0), (5.0, 6.0)]
        label = outcome_pb2.Outcome(prediction_id=second["prediction_id"], kind="label", number=2)
        await record(monitor, "digits", label)
        sql = "select prediction_id, outcome_number from labelled"
        assert await rows(sql) == [{"prediction_id": second["prediction_id"], "outcome_number": 2.0}]


async def test_what_a_where_or_a_range_rules_out_is_not_read(postgres_url, s3, tmp_path):
    async with monitor_with_log(postgres_url, s3, tmp_path) as (monitor, stores, _):
        for hour in range(4):
            await add_file(stores, "digits", "v1", NOON + timedelta(hours=hour))
        await add_file(stores, "digits", "v2")
        count, later = "select count(*) as n from predictions", NOON + timedelta(hours=2)
        rows, read, _ = await ask(monitor, f"{count} where version = 'v1' and answer_time >= '{later:%F %T}+00'")
        assert (rows, read.files) == ([{"n": 6}], 2)
        told = monitor_pb2.TimeRange()
        told.start_time.FromDatetime(NOON + timedelta(minutes=1))
        told.end_time.FromDatetime(NOON + timedelta(hours=1, minutes=2))
        rows, read, _ = await ask(monitor, count, range=told)
        assert (rows, read.files) == ([{"n": 2 + 2 + 2}], 3)
        assert (await ask(monitor, "select 1 as one"))[1].files == 0


async def test_a_range_may_be_all_the_time_that_there_is(postgres_url, s3, tmp_path):
    always = monitor_pb2.TimeRange()
    always.start_time.FromDatetime(datetime.min.replace(tzinfo=UTC))
    always.end_time.FromDatetime(datetime.max.replace(tzinfo=UTC))
    async with monitor_with_log(postgres_url, s3, tmp_path) as (monitor, stores, _):
        await add_file(stores, "digits", "v1", variant=["main"] * 3)
        await record(monitor, "digits", outcome_pb2.Outcome(prediction_id=prediction_id(NOON), kind="label", text="7"))
        assert (await ask(monitor, "select count(*) as n from labelled", range=always))[0] == [{"n": 1}]
        stub: Any = monitor_pb2_grpc.TrafficServiceStub(monitor.channel)
        asked: dict[str, Any] = {"parent": "models/digits", "range": always}
        traffic = await stub.GetTraffic(monitor_pb2.GetTrafficRequest(**asked), timeout=30)
        assert not traffic.traffic
        asked["over_time"] = True
        assert not (await stub.GetTraffic(monitor_pb2.GetTrafficRequest(**asked), timeout=30)).parts


@pytest.mark.long
async def test_a_query_is_bounded_in_bytes_in_number_and_in_time(postgres_url, s3, tmp_path):
    settings = {"query_cache_bytes": 2**20, "max_queries": 1, "query_timeout_s": 3.0}
    async with monitor_with_log(postgres_url, s3, tmp_path, **settings) as (monitor, stores, _):
        await add_file(stores, "digits", "v1")
        async with stores.database.transaction() as connection:
            await connection.execute("update log_files set size_bytes = 2_000_000")
        with pytest.raises(ResourceExhausted, match=r"1 files of 2 MB.*1 MB") as large:
            await ask(monitor, "from predictions")
        assert large.value.reason == "QUERY_TOO_LARGE"

        stub: Any = monitor_pb2_grpc.TrafficServiceStub(monitor.channel)
        endless = stub.QueryPredictions(monitor_pb2.QueryPredictionsRequest(sql=ENDLESS), timeout=30)
        assert (await endless.read()).HasField("read")
        with pytest.raises(ResourceExhausted) as full:
            await ask(monitor, "select 1")
        assert full.value.reason == "TOO_MANY_QUERIES"
        assert full.value.retry_after_s
        with pytest.raises(grpc.aio.AioRpcError) as slow:
            await endless.read()
        assert from_rpc_error(slow.value).reason == "QUERY_TOO_SLOW"
        assert (await ask(monitor, "select 1 as one"))[0] == [{"one": 1}]
    assert not list(tmp_path.glob("headrace-monitor-*")), "nothing of a query is left"


async def test_a_bad_question_is_named_and_a_file_that_went_is_not_left_out(postgres_url, s3, tmp_path):
    backwards = monitor_pb2.TimeRange()
    backwards.start_time.FromDatetime(NOON)
    backwards.end_time.FromDatetime(NOON)
    bad: list[tuple[str, dict[str, Any]]] = [
        ("sql", {"sql": " "}),
        ("sql", {"sql": "select" + " " * 100_000}),
        ("sql", {"sql": "selekt 1"}),
        ("max_rows", {"sql": "select 1", "max_rows": -1}),
        ("max_rows", {"sql": "select 1", "max_rows": 1_000_001}),
        ("range", {"sql": "select 1", "range": backwards}),
        ("range.end_time", {"sql": "select 1", "range": {"end_time": {"seconds": 2**40}}}),
    ]
    async with monitor_with_log(postgres_url, s3, tmp_path) as (monitor, stores, _):
        for field, told in bad:
            with pytest.raises(InvalidArgument) as caught:
                await ask(monitor, **told)
            assert [violation.field for violation in caught.value.violations] == [field]
        await add_file(stores, "digits", "v1")
        await stores.objects.remove([object_key("digits", "v1", NOON, "a")])
        with pytest.raises(Unavailable) as gone:
            await ask(monitor, "from predictions")
        assert gone.value.reason == "LOG_CHANGED"
