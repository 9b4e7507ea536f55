"""What is kept from one analysis to the next: never needed, never wrong, and read instead of the log."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from headrace.monitor.v1 import experiment_pb2, outcome_pb2, outcome_pb2_grpc
from headrace_monitor.record.log.objects import Objects
from headrace_monitor.storage.schema import Database
from headrace_servicekit.postgres.connections import Address
from headrace_servicekit.s3 import Place
from headrace_servicekit.testing import eventually

from tests.integration.monitor.test_experiments import NAME, act, asked, call, create, experiment, looked_at
from tests.kit.monitor.log_files import Logged, prediction_ids, records
from tests.kit.monitor.service import Monitor
from tests.kit.stores.servers import S3Store

METRICS = [
    {"name": "conversion"},
    {"name": "reward", "kind": 2, "role": 3},
    {"name": "each", "kind": 3, "outcome": "reward", "denominator": "predictions", "role": 3},
    {"name": "median", "kind": 4, "outcome": "reward", "role": 3},
]


class Shop:
    """Units of an experiment and what becomes of them."""

    def __init__(self, monitor: Monitor, log: Logged, start: datetime) -> None:
        self._stub: Any = outcome_pb2_grpc.OutcomeServiceStub(monitor.channel)
        self.log, self._start, self._draw = log, start, random.Random(3)

    async def answer(self, variant: str, units: Sequence[int], at: float) -> list[str]:
        times = [self._start + timedelta(seconds=at, microseconds=unit) for unit in units]
        ids = prediction_ids(times, self._draw)
        named = [f"unit-{unit}" for unit in units]
        version = {"control": "v1", "new": "v2"}[variant]
        await self.log.put(records("shop", version, ids, times, variant=variant, unit=named))
        return ids

    async def tell(self, ids: Sequence[str], kind: str, *, at: float = 60.0) -> None:
        time = self._start + timedelta(seconds=at)
        outcomes = []
        for each in ids:
            one = outcome_pb2.Outcome(
                prediction_id=each, kind=kind, number=1 if kind == "conversion" else self._draw.choice([0.1, 0.7, 12.3])
            )
            one.observe_time.FromDatetime(time)
            outcomes.append(one)
        request = outcome_pb2.RecordOutcomesRequest(parent="models/shop", outcomes=outcomes)
        assert not (await call(self._stub.RecordOutcomes, request)).rejections


async def said(stub: Any) -> Any:
    """Return what an analysis says of the data."""
    found = await act(stub, "AnalyseExperiment")
    found.ClearField("time")
    for one in found.results:  # they depend on the time of the look
        one.ClearField("summary")
        one.ClearField("days_to_go")
    return found


def tables(folder: Path) -> list[Path]:
    return sorted(folder.glob("headrace-experiments-*/*.duckdb"))


@pytest.mark.long
async def test_an_analysis_from_what_is_kept_is_that_of_the_whole_log_to_the_last_digit(postgres_url, s3, tmp_path):
    async with asked(postgres_url, s3, tmp_path) as (monitor, stub):
        await create(stub, experiment(metrics=METRICS))
        start = (await act(stub, "StartExperiment")).experiment.start_time.ToDatetime(UTC)
        shop = Shop(monitor, Logged(postgres_url, s3, tmp_path), start)
        ids = await shop.answer("control", range(300), 0.01)
        ids += await shop.answer("new", range(300, 600), 0.01)
        await shop.tell(ids[::3], "conversion")
        await shop.tell(ids[::2], "reward")
        assert sum(one.units for one in (await said(stub)).assigned) == 600
        # Outcomes before their answer is in the log, corrections, repeats, late answers, and units that met both.
        late = prediction_ids([start + timedelta(seconds=0.001)], random.Random(9))
        await shop.tell(late, "reward")
        await shop.tell(ids[:100:2], "reward", at=90)
        await shop.tell(ids[::3], "conversion")
        await shop.log.put(
            records("shop", "v2", late, [start + timedelta(seconds=0.001)], variant="new", unit=["unit-7"])
        )
        await shop.tell(await shop.answer("new", range(50), 0.03), "reward")
        kept = await said(stub)
        assert {one.variant: one.units for one in kept.assigned} == {"control": 299, "new": 301}
        assert kept.crossed_units == 50
        await shop.answer("new", range(50, 60), 3600)
        assert (await said(stub)).crossed_units == 60
        await act(stub, "EndExperiment")
        ended = await said(stub)
        assert (ended.assigned, ended.crossed_units) == (kept.assigned, 50)
        (path,) = tables(tmp_path)
        path.unlink()
        assert await said(stub) == ended
        assert [one.units for one in (await said(stub)).assigned] == [299, 301]


def damages(content: bytes) -> dict[str, bytes]:
    third = len(content) // 3
    return {
        "empty": b"",
        "cut": content[: 2 * third],
        "overwritten": b"no database" * 1000,
        "spoilt inside": content[:third] + bytes(third) + content[2 * third :],
    }


@pytest.mark.long
async def test_a_table_that_is_damaged_costs_a_longer_analysis_and_no_error(postgres_url, s3, tmp_path):
    async with asked(postgres_url, s3, tmp_path) as (monitor, stub):
        await create(stub, experiment(metrics=METRICS))
        start = (await act(stub, "StartExperiment")).experiment.start_time.ToDatetime(UTC)
        shop = Shop(monitor, Logged(postgres_url, s3, tmp_path), start)
        await shop.tell(await shop.answer("control", range(2000), 0.01), "reward")
        before = await said(stub)
        (path,) = tables(tmp_path)
        for damage, content in damages(path.read_bytes()).items():
            path.write_bytes(content)
            assert await said(stub) == before, damage
        path.with_name(path.name + ".wal").write_bytes(b"no log" * 1000)
        assert await said(stub) == before
        path.unlink()
        assert await said(stub) == before


async def test_what_is_kept_is_found_after_a_restart_and_read_instead_of_the_log(postgres_url, s3: S3Store, tmp_path):
    async with asked(postgres_url, s3, tmp_path) as (monitor, stub):
        await create(stub, experiment(metrics=METRICS))
        start = (await act(stub, "StartExperiment")).experiment.start_time.ToDatetime(UTC)
        shop = Shop(monitor, Logged(postgres_url, s3, tmp_path), start)
        ids = await shop.answer("control", range(50), 0.01)
        before = await said(stub)
    async with Objects(Place(s3.endpoint, s3.bucket, s3.region, tmp_path / "s3.credentials")) as objects:
        async for page in objects.pages("log/"):
            await objects.remove([one.key for one in page])
    async with asked(postgres_url, s3, tmp_path) as (monitor, stub):
        assert await said(stub) == before
        shop = Shop(monitor, Logged(postgres_url, s3, tmp_path), start)
        await shop.tell(ids, "conversion")
        await shop.answer("new", range(50, 70), 0.02)
        after = await said(stub)
        assert {one.variant: one.units for one in after.assigned} == {"control": 50, "new": 20}
        assert (await act(stub, "GetExperimentHistory")).points[-1].assigned == after.assigned


async def test_what_a_monitor_of_the_release_before_corrects_is_counted_anew(postgres_url, s3, tmp_path):
    async with asked(postgres_url, s3, tmp_path) as (monitor, stub):
        await create(stub, experiment(metrics=METRICS))
        start = (await act(stub, "StartExperiment")).experiment.start_time.ToDatetime(UTC)
        shop = Shop(monitor, Logged(postgres_url, s3, tmp_path), start)
        ids = await shop.answer("control", range(300), 0.01)
        await shop.tell(ids[:100], "conversion")
        await shop.tell((await shop.answer("new", range(300, 600), 0.01))[:100], "conversion")
        before = await said(stub)
        async with Database(Address(postgres_url), size=1) as database:
            await database.migrate()
            async with database.transaction() as connection:
                # It knows nothing of numbers of changes.
                corrections = "update outcomes set number = 0 where prediction_id = any($1::text[]::uuid[])"
                await connection.execute(corrections, ids[:40])
        corrected = await said(stub)
        values = [one.results[0].control_value for one in (before, corrected)]
        assert values == [pytest.approx(100 / 300), pytest.approx(60 / 300)]
        for path in tables(tmp_path):
            path.unlink()
        assert await said(stub) == corrected


async def test_two_monitors_on_one_machine_have_tables_of_their_own(postgres_url, s3, tmp_path):
    async with asked(postgres_url, s3, tmp_path) as (_, one), asked(postgres_url, s3, tmp_path) as (_, other):
        await create(one, experiment())
        await act(one, "StartExperiment")
        assert await said(one) == await said(other)
        assert len({path.parent for path in tables(tmp_path)}) == 2


async def test_experiments_beyond_the_room_go_the_longest_unused_one_first(postgres_url, s3, tmp_path):
    async with asked(postgres_url, s3, tmp_path, experiments_bytes=64 * 2**20) as (_, stub):
        await create(stub, experiment())
        await act(stub, "StartExperiment")
        old = tmp_path / "headrace-experiments-0" / "old.duckdb"
        with old.open("wb") as file:
            file.truncate(40 * 2**20)
        await said(stub)
        assert not old.exists()
        assert len(tables(tmp_path)) == 1


async def test_who_leaves_while_the_units_are_counted_finds_them_counted_later(postgres_url, s3, tmp_path):
    async with asked(postgres_url, s3, tmp_path) as (monitor, stub):
        await create(stub, experiment())
        start = (await act(stub, "StartExperiment")).experiment.start_time.ToDatetime(UTC)
        shop = Shop(monitor, Logged(postgres_url, s3, tmp_path), start)
        await shop.answer("control", range(100), 0.01)
        await looked_at(postgres_url, datetime.now(UTC) + timedelta(hours=1))
        with pytest.raises(grpc.aio.AioRpcError, match="DEADLINE"):
            await stub.AnalyseExperiment(experiment_pb2.AnalyseExperimentRequest(name=NAME), timeout=0.1)
        await eventually(lambda: bool(tables(tmp_path)), within=30)
        assert [one.units for one in (await said(stub)).assigned] == [100, 0]
