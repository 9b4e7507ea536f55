"""Batches of predictions become records of the log, each once, whatever happens on the way."""

from __future__ import annotations

import asyncio
import dataclasses
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import numpy as np
import pyarrow as pa
import pytest
from headrace.telemetry.v1 import telemetry_pb2, telemetry_pb2_grpc
from headrace_monitor.record.log import envelopes
from headrace_monitor.record.log.adoption import BatchAdopter
from headrace_monitor.record.log.batches import Batches, StoredBatch
from headrace_monitor.record.log.reader import Reader
from headrace_servicekit.clock import SystemClock
from headrace_servicekit.error_details import from_rpc_error
from headrace_servicekit.errors import Code
from headrace_servicekit.testing import eventually

from tests.kit.clients.refusals import refused
from tests.kit.models.onnx_models import TinyModel, linear, two_inputs_two_outputs
from tests.kit.monitor.prediction_log import Stores, log_stores
from tests.kit.monitor.predictions import batch, joined, report
from tests.kit.monitor.service import Monitor, real_monitor
from tests.kit.registry.service import Registry, memory_registry

QUICK: dict[str, Any] = {"log_compact_every_s": 0.1}


def ingest(monitor: Monitor) -> Any:
    return telemetry_pb2_grpc.TelemetrySinkServiceStub(monitor.channel)


async def send(monitor: Monitor, request: telemetry_pb2.ReportPredictionsRequest) -> None:
    await ingest(monitor).ReportPredictions(request, timeout=20)


def some(count: int = 3, **fields: Any) -> telemetry_pb2.PredictionBatch:
    features = np.arange(4 * count, dtype=np.float32).reshape(count, 4)
    return batch({"features": features}, {"scores": features[:, :3]}, **fields)


async def records(reader: Reader, model: str = "digits", version: str | None = None) -> pa.Table | None:
    now = datetime.now(UTC)
    files = await reader.files(model, version, now - timedelta(days=40), now + timedelta(days=2))
    tables = [await reader.table(file) for file in files]
    return pa.concat_tables(tables, promote_options="permissive") if tables else None


async def ids(reader: Reader, **which: Any) -> list[str]:
    found = await records(reader, **which)
    return [] if found is None else sorted(found["prediction_id"].to_pylist())


def ids_of(*batches: telemetry_pb2.PredictionBatch) -> list[str]:
    joined_ids = b"".join(one.prediction_ids for one in batches)
    return sorted(str(uuid.UUID(bytes=joined_ids[at : at + 16])) for at in range(0, len(joined_ids), 16))


@pytest.fixture
async def stores(postgres_url, s3, tmp_path):
    async with log_stores(postgres_url, s3, tmp_path) as opened:
        yield opened


@pytest.fixture
async def registry():
    async with memory_registry() as started:
        await started.register("digits", "v1", linear(4, 3))
        yield started


@pytest.fixture
async def monitor(postgres_url, s3, tmp_path, registry):
    async with real_monitor(postgres_url, s3, tmp_path, registry=registry.target, **QUICK) as started:
        yield started


async def test_a_batch_is_acknowledged_and_then_read_as_records(monitor: Monitor, stores: Stores, registry: Registry):
    file = dataclasses.replace(linear(), contract=_as_declared(linear()))
    await registry.register("digits", "v2", file)
    first = some(rows=[1, 2], unit=["u1", "u2"], total_us=[10, 20], attributes=[{"country": "AT"}, {}])
    other = some(2, version="v2", group={"served_from": 2, "rule": "half"})
    process = uuid.uuid4()
    await send(monitor, report(joined(first, other), process, 1))
    found = await eventually(lambda: records(stores.reader, version="v1"), within=10)
    assert found is not None
    assert found["prediction_id"].to_pylist() == [_id(first, 0), _id(first, 1), _id(first, 1)]
    assert found["row"].to_pylist() == [0, 0, 1]
    assert found["unit"].to_pylist() == ["u1", "u2", "u2"]
    assert found["attributes"].to_pylist() == [[("country", "AT")], [], []]
    assert found["feature.features.1"].to_pylist() == [1.0, 5.0, 9.0]
    assert found["output.scores.2"].to_pylist() == [2.0, 6.0, 10.0]
    assert set(found["process"].to_pylist()) == {str(process)}
    second = await records(stores.reader, version="v2")
    assert second is not None
    assert second["served_from"].to_pylist() == ["cache", "cache"]
    assert second["prediction_label"].to_pylist() == ["2", "2"]
    (listed,) = await stores.reader.files("digits", "v1", datetime.now(UTC) - timedelta(hours=1), datetime.now(UTC))
    assert (listed.rows, listed.predictions, listed.merged) == (3, 2, False)
    await eventually(lambda: _no_batches(stores), within=5)


async def test_batches_come_twice_in_any_order_and_over_two_replicas(
    monitor: Monitor, stores: Stores, registry: Registry, postgres_url, s3, tmp_path
):
    process, batches = uuid.uuid4(), [some(20, unit=[f"{number}"] * 20) for number in range(8)]
    requests = [report(one, process, number) for number, one in enumerate(batches, start=1)]
    async with real_monitor(postgres_url, s3, tmp_path, registry=registry.target, **QUICK) as other:
        for turn in range(3):
            await asyncio.gather(*(send(one, request) for one in (monitor, other) for request in reversed(requests)))
            await eventually(lambda: _no_batches(stores), within=10)
            assert await ids(stores.reader) == ids_of(*batches), f"after {turn + 1} times"


async def test_a_number_that_never_comes_is_lost_until_it_comes(stores: Stores):
    batches, process, now = Batches(stores.database), uuid.uuid4(), datetime.now(UTC)
    patience, later = timedelta(seconds=60), now + timedelta(seconds=61)

    async def lost() -> list[tuple[int, int]]:
        async with stores.database.transaction() as connection:
            rows = await connection.fetch("select first, last from lost_batches order by first")
        return [tuple(row) for row in rows]

    async def add(*numbers: int) -> list[bool]:
        return [await batches.add(_stored(process, number), now) for number in numbers]

    assert await add(1, 2, 6, 8, 6) == [True] * 5
    assert await batches.find_gaps(now, patience) == []
    assert [one.range for one in await batches.find_gaps(later, patience)] == [(3, 5), (7, 7)]
    assert await lost() == [(3, 5), (7, 7)]
    assert await batches.find_gaps(later, patience) == []
    assert await add(4, 7) == [True, True]
    assert await lost() == [(3, 3), (5, 5)]
    # What is in the log, or was, is not taken again.
    async with stores.database.transaction() as connection:
        await connection.execute("update log_batches set compact_time = now(), removed = true")
    await batches.find_gaps(later, patience)
    async with stores.database.transaction() as connection:
        assert await connection.fetchval("select count(*) from log_batches") == 0
    assert await add(1, 2, 4, 6, 7, 8) == [False] * 6
    assert await add(3, 9) == [True, True]


async def test_an_object_without_a_row_is_taken_and_one_too_many_is_removed(stores: Stores):
    batches, process = Batches(stores.database), uuid.uuid4()
    sweep = BatchAdopter(stores.database, stores.objects, batches, SystemClock(), timedelta(0))
    for number in (1, 2):
        await stores.objects.put_if_absent(
            envelopes.batch_key(process, number), envelopes.pack(report(some(), process, number))
        )
    await batches.add(_stored(process, 1), datetime.now(UTC))
    async with stores.database.transaction() as connection:
        await connection.execute("update log_batches set compact_time = now(), removed = true")
    await stores.objects.put_if_absent(envelopes.batch_key(process, 3), b"no batch at all")
    await stores.objects.put_if_absent(f"{envelopes.BATCH_PREFIX}notes.txt", b"not ours")
    assert await sweep.adopt() == 1
    assert await _keys(stores) == [envelopes.batch_key(process, 2), f"{envelopes.BATCH_PREFIX}notes.txt"]
    async with stores.database.transaction() as connection:
        rows = await connection.fetch("select sequence, predictions from log_batches where not removed")
    assert [tuple(row) for row in rows] == [(2, 3)]


@pytest.mark.long
async def test_a_version_that_is_not_known_yet_waits_and_the_others_do_not(monitor, stores, registry):
    known, unknown, route = (
        some(),
        some(version="v7"),
        some(version="", group={"served_from": 5, "fallback_step": "default"}),
    )
    await send(monitor, report(joined(known, unknown, route), uuid.uuid4(), 1))
    await eventually(lambda: ids(stores.reader), within=10)
    assert await ids(stores.reader) == ids_of(known, route)
    assert len(await _keys(stores)) == 1
    await registry.register("digits", "v7", linear(4, 3))
    await eventually(lambda: ids(stores.reader, version="v7"), within=15)
    assert await ids(stores.reader) == ids_of(known, unknown, route)
    await eventually(lambda: _no_batches(stores), within=5)


async def test_what_is_sensitive_is_nowhere_in_the_log_even_when_it_was_sent(monitor, stores, registry):
    file = two_inputs_two_outputs()
    file.contract.inputs[0].sensitive = True
    file.contract.outputs[0].sensitive = True
    await registry.register("sums", "v1", file)
    ones = np.ones((2, 3), np.float32)
    await send(
        monitor,
        report(batch({"a": ones, "b": ones}, file.expected({"a": ones, "b": ones}), model="sums"), uuid.uuid4(), 1),
    )
    found = await eventually(lambda: records(stores.reader, model="sums"), within=10)
    assert found is not None
    stored = [name for name in found.column_names if "." in name]
    assert stored == ["feature.b.0", "feature.b.1", "feature.b.2", "output.dot"]
    await eventually(lambda: _no_batches(stores), within=5)


async def test_no_more_is_on_its_way_than_there_is_room_for(postgres_url, s3, tmp_path, registry):
    async with real_monitor(
        postgres_url, s3, tmp_path, registry=registry.target, log_max_batches=1, **QUICK
    ) as monitor:
        process = uuid.uuid4()
        requests = [report(some(2000), process, number) for number in range(1, 9)]
        results = await asyncio.gather(*(send(monitor, one) for one in requests), return_exceptions=True)
        errors = [from_rpc_error(one) for one in results if isinstance(one, grpc.aio.AioRpcError)]
        assert errors
        assert {(one.code, one.reason) for one in errors} == {(Code.RESOURCE_EXHAUSTED, "TOO_MANY_BATCHES")}
        assert all(one.retry_after_s for one in errors)
        for request in requests:
            await send(monitor, request)


async def test_hostile_batches_are_refused_by_name_and_stored_nowhere(monitor: Monitor, stores: Stores):
    process = uuid.uuid4()
    wrong, of_another_century = some(), some()
    wrong.rows[1] = 0
    of_another_century.answer_time_us[2] = 2**62
    error = await refused(send(monitor, report(wrong, process, 1)))
    assert (error.code, [one.field for one in error.violations]) == (Code.INVALID_ARGUMENT, ["batch.rows[1]"])
    for request in (
        telemetry_pb2.ReportPredictionsRequest(),
        report(some(), process, -1),
        report(some(model="../../x"), process, 1),
        report(of_another_century, process, 1),
    ):
        assert (await refused(send(monitor, request))).code is Code.INVALID_ARGUMENT
    assert [one.key async for page in stores.objects.pages("") for one in page] == []


def _as_declared(file: TinyModel):
    declared = type(file.contract)()
    declared.CopyFrom(file.contract)
    declared.task = declared.TASK_CLASSIFICATION
    return declared


def _id(one: telemetry_pb2.PredictionBatch, index: int) -> str:
    return str(uuid.UUID(bytes=one.prediction_ids[16 * index : 16 * index + 16]))


def _stored(process: uuid.UUID, number: int):
    return StoredBatch(process, number, "dp-0", 100, 3)


async def _keys(stores: Stores) -> list[str]:
    return [one.key async for page in stores.objects.pages(envelopes.BATCH_PREFIX) for one in page]


async def _no_batches(stores: Stores) -> bool:
    return await _keys(stores) == []
