"""A reporter that makes up processes and series: the database stays small, and what others counted stays exact."""

from __future__ import annotations

import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import numpy as np
from headrace.monitor.v1 import monitor_pb2, monitor_pb2_grpc
from headrace.telemetry.v1 import telemetry_pb2_grpc
from headrace_monitor.record.counters.intake import Intake, Limits
from headrace_monitor.record.counters.metrics import CounterMetrics
from headrace_monitor.record.counters.reader import LostBatchCounts, TrafficReader
from headrace_monitor.record.counters.retention import CounterRetention, RetentionPolicy
from headrace_monitor.record.log.batches import Batches, StoredBatch
from headrace_servicekit.clock import SystemClock
from headrace_servicekit.error_details import from_rpc_error
from headrace_servicekit.errors import Code, ServiceError
from headrace_servicekit.testing import eventually
from headrace_servicekit.times import DAY, Span
from prometheus_client import CollectorRegistry

from tests.kit.clients.refusals import reason_of, refused
from tests.kit.monitor.counting_plane import CountingPlane, key
from tests.kit.monitor.prediction_log import log_stores
from tests.kit.monitor.predictions import batch, report
from tests.kit.monitor.service import real_monitor

RETENTION = RetentionPolicy(minutes=timedelta(days=2), counts=timedelta(days=90), silent=timedelta(days=7))


def told(error: ServiceError) -> tuple[Code, str, list[str], bool]:
    fields = [one.field for one in error.violations]
    return error.code, error.reason, fields, all(one in str(error) for one in fields) and bool(error.retry_after_s)


async def test_a_reporter_that_makes_up_processes_is_refused_and_those_that_are_known_are_counted_on(
    postgres_url, s3, tmp_path
):
    async with (
        log_stores(postgres_url, s3, tmp_path) as stores,
        real_monitor(postgres_url, s3, tmp_path, registry="127.0.0.1:1", max_processes=50) as monitor,
    ):
        stub: Any = telemetry_pb2_grpc.TelemetrySinkServiceStub(monitor.channel)
        await eventually(lambda: monitor.runtime.health.ready, within=30)
        honest = CountingPlane("plane-0")
        honest.answer(key(), 0.01, 10)
        await stub.ReportCounters(honest.report(), timeout=10)
        errors: Counter[tuple[Any, ...]] = Counter()
        sent = batch({"x": np.ones((2, 3), np.float32)}, {"y": np.ones((2, 1), np.float32)})
        for number in range(60):
            # First always the same data plane, then another each time.
            slot = "hostile" if number < 15 else f"hostile-{number}"
            hostile = CountingPlane(slot)
            hostile.answer(key("made-up"), 0.01)
            requests = (
                (stub.ReportCounters, hostile.report()),
                (stub.ReportPredictions, report(sent, uuid.uuid4(), 1, data_plane=slot)),
            )
            for method, request in requests:
                try:
                    await method(request, timeout=10)
                except grpc.aio.AioRpcError as error:
                    code, reason, fields, whole = told(from_rpc_error(error))
                    errors[code, reason, *fields, whole] += 1
        # Of one data plane 5 are taken, in all 50, of which one is honest where counters are.
        exhausted = (Code.RESOURCE_EXHAUSTED, "TOO_MANY_PROCESSES", "process", True)
        assert errors == {exhausted: (10 + 45 - 44) + 10}
        async with stores.database.transaction() as connection:
            for table in ("counter_processes", "log_processes"):
                assert await connection.fetchval(f"select count(*) from {table}") <= 50
        assert len([one async for page in stores.objects.pages("batches/") for one in page]) <= 50
        # A data plane that is new waits, and loses nothing; one that is known goes on.
        waiting = CountingPlane("plane-1")
        waiting.answer(key(), 0.01, 7)
        assert await reason_of(stub.ReportCounters(waiting.report(), timeout=10)) == "TOO_MANY_PROCESSES"
        honest.answer(key(), 0.01, 5)
        await stub.ReportCounters(honest.report(), timeout=10)
        async with stores.database.transaction() as connection:
            await connection.execute("delete from counter_processes where data_plane like 'hostile%'")
        waiting.answer(key(), 0.01, 1)
        await stub.ReportCounters(waiting.report(), timeout=10)
        monitoring: Any = monitor_pb2_grpc.TrafficServiceStub(monitor.channel)
        traffic = await monitoring.GetTraffic(monitor_pb2.GetTrafficRequest(parent="models/fraud"), timeout=10)
        assert sum(one.count for one in traffic.traffic) == 10 + 5 + 7 + 1


async def test_series_are_bounded_over_all_processes(postgres_url, s3, tmp_path):
    async with real_monitor(postgres_url, s3, tmp_path, registry="127.0.0.1:1", counter_max_series=8) as monitor:
        stub: Any = telemetry_pb2_grpc.TelemetrySinkServiceStub(monitor.channel)
        await eventually(lambda: monitor.runtime.health.ready, within=30)
        planes = [CountingPlane(f"plane-{number}") for number in range(3)]
        for plane in planes:
            for number in range(4):
                plane.answer(key(f"model-{number}"), 0.01)
        for plane in planes[:2]:
            await stub.ReportCounters(plane.report(), timeout=10)
        error = await refused(stub.ReportCounters(planes[2].report(), timeout=10))
        assert told(error) == (Code.RESOURCE_EXHAUSTED, "TOO_MANY_SERIES", ["series"], True)
        # What is known is counted on.
        planes[0].answer(key("model-0"), 0.01)
        await stub.ReportCounters(planes[0].report(), timeout=10)


async def test_a_process_whose_place_another_has_taken_is_forgotten_sooner_and_what_it_counted_stays(
    postgres_url, s3, tmp_path
):
    async with log_stores(postgres_url, s3, tmp_path) as stores:
        metrics, clock = CounterMetrics(CollectorRegistry()), SystemClock()
        intake = Intake(stores.database, Limits(1000, 1000), metrics, clock)
        keeping, batches = CounterRetention(stores.database, RETENTION, metrics), Batches(stores.database)

        async def run(sql: str) -> list[Any]:
            async with stores.database.transaction() as connection:
                return await connection.fetch(sql)

        async def begin(data_plane: str) -> None:
            plane = CountingPlane(data_plane)
            plane.answer(key(), 0.01, 10)
            await intake.take(plane.report())
            await batches.add(StoredBatch(uuid.uuid4(), 1, data_plane, 100, 3), clock.now())

        # `restarted` had a process, which was killed, and has another; `cut-off` was not heard of for as long.
        for data_plane in ("restarted", "cut-off"):
            await begin(data_plane)
        await run("delete from log_batches")
        await age(run, "2 days")
        await begin("restarted")
        await keeping.step()
        await batches.expire(clock.now() - timedelta(days=31), clock.now())
        rows = await run("select data_plane, forgotten, series from counter_processes order by data_plane, number")
        assert [tuple(row) for row in rows] == [
            ("cut-off", False, 1),
            ("restarted", True, 0),
            ("restarted", False, 1),
        ]
        assert [row["data_plane"] for row in await run("select data_plane from log_processes order by 1")] == [
            "cut-off",
            "restarted",
        ]
        await age(run, "6 days", forgotten=True)
        await keeping.step()
        assert len(await run("select from counter_processes")) == 2
        now = datetime.now(UTC)
        seen = await TrafficReader(stores.database, LostBatchCounts(), minutes=DAY).traffic(
            "fraud", Span(now - timedelta(days=9), now)
        )
        assert sum(one.count for one in seen.traffic) == 30


async def age(run: Any, by: str, *, forgotten: bool = False) -> None:
    """Make processes older: when they were heard of first and last."""
    which = "where forgotten" if forgotten else ""
    await run(
        f"update counter_processes set first_time = first_time - interval '{by}', "
        f"seen_time = seen_time - interval '{by}' {which}"
    )
    if not forgotten:
        await run(
            f"update log_processes set first_time = first_time - interval '{by}', "
            f"last_time = last_time - interval '{by}'"
        )
