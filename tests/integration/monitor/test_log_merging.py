"""Small files of an hour become one, at any moment each record is read once, and what is old goes."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from headrace_monitor.record.log import decoder, parquet
from headrace_monitor.record.log.merger import FileAges, FileMerger
from headrace_monitor.record.log.metrics import LogMetrics
from headrace_monitor.record.log.writer import WRITING_FOR, Files
from headrace_servicekit.coordination.leases import LeaderLease
from headrace_servicekit.errors import Aborted
from headrace_servicekit.testing import FakeClock, eventually
from prometheus_client import CollectorRegistry

from tests.kit.monitor.prediction_log import Stores, log_stores
from tests.kit.monitor.predictions import KnownContracts, batch, contract, report, spec

# Records go when they are too old by the database's clock as well: that is far beyond.
NOON = datetime(2020, 1, 1, 12, tzinfo=UTC)
AGES = FileAges(merge_after=timedelta(hours=2), grace=timedelta(minutes=30), keep=timedelta(days=30))
HOURS = 3600.0
DAY = timedelta(days=1)


class Rig:
    """Files and their merging at a time that the test moves."""

    def __init__(self, stores: Stores, noon: datetime = NOON) -> None:
        self.stores, self.noon, self.clock = stores, noon, FakeClock(noon)
        self.files = Files(stores.database, stores.objects, self.clock)
        self.merging = FileMerger(
            stores.database, stores.objects, self.files, AGES, self.clock, LogMetrics(CollectorRegistry())
        )
        self.known = KnownContracts()
        promised = contract({"a": spec("FP32"), "b": spec("BYTES", optional=True)}, {"y": spec("FP64")})
        self.known.add("digits", "v1", promised)

    async def store(self, *inputs: dict) -> None:
        """Make one file of the hour of noon for each."""
        for number, one in enumerate(inputs):
            rows = len(next(iter(one.values())))
            sent = batch(one, {"y": np.zeros(rows)}, start_us=int(self.noon.timestamp() * 1e6) + number)
            found = decoder.decode(report(sent, uuid.UUID(int=1), number + 1), self.known.known, [0])
            ((partition, tables),) = found.tables.items()
            written = await self.files.store([parquet.new_file(*partition, decoder.join(tables))])
            async with self.stores.database.transaction() as connection:
                await self.files.commit(connection, written)

    async def read(self) -> list[tuple]:
        files = await self.stores.reader.files("digits", None, self.noon - DAY, self.noon + DAY)
        tables = [await self.stores.reader.table(file, ["feature.a", "feature.b"]) for file in files]
        rows = [row for table in tables for row in table.to_pylist()]
        return [(row["feature.a"], row.get("feature.b")) for row in rows]

    async def objects(self) -> int:
        return sum([len(page) async for page in self.stores.objects.pages("log/")])


@pytest.fixture
async def rig(postgres_url, s3, tmp_path):
    async with log_stores(postgres_url, s3, tmp_path) as stores:
        yield Rig(stores)


async def test_files_are_merged_when_they_are_old_and_replaced_ones_stay_for_a_while(rig: Rig):
    one, two = np.ones(1, "f4"), np.full(2, 2, "f4")
    await rig.store({"a": one}, {"a": two, "b": ["x", "y"]}, {"a": 3 * one})
    records = [(1.0, None), (2.0, "x"), (2.0, "y"), (3.0, None)]
    assert await rig.read() == records
    assert not await rig.merging.merge()
    await rig.clock.advance(2 * HOURS + 1)
    assert await rig.merging.merge()
    assert await rig.read() == records
    assert not await rig.merging.merge()
    first_generation = await rig.stores.reader.derivable(0)
    assert [file.rows for file in first_generation] == [1, 2, 1]
    # Who had begun to read them can end that.
    await rig.merging.drop()
    await rig.files.remove_leftovers()
    assert (await rig.stores.reader.table(first_generation[0])).num_rows == 1
    await rig.clock.advance(0.5 * HOURS + 1)
    await rig.merging.drop()
    await rig.files.remove_leftovers()
    assert await rig.objects() == 1
    assert await rig.stores.reader.derivable(0) == []
    assert await rig.read() == records
    (merged,) = await rig.stores.reader.files("digits", "v1", NOON, NOON + timedelta(hours=1))
    assert (merged.merged, merged.rows, merged.predictions) == (True, 4, 4)
    # All of it stays as long as the last answer of its hour is kept, and goes then.
    last = NOON + timedelta(hours=1) + AGES.keep
    await rig.clock.advance((last - rig.clock.now()).total_seconds() - 1)
    await rig.merging.drop()
    assert await rig.read() == records
    await rig.clock.advance(2)
    await rig.merging.drop()
    await rig.files.remove_leftovers()
    assert await rig.objects() == 0
    assert await rig.read() == []


async def test_a_leader_that_was_followed_changes_nothing_in_the_log(rig: Rig):
    stores, metrics = rig.stores, LogMetrics(CollectorRegistry())
    await rig.store({"a": np.ones(1, "f4")}, {"a": np.ones(1, "f4")})
    await rig.clock.advance(40 * DAY.total_seconds())
    paused = LeaderLease(stores.database, "keep the log up", rig.clock, lease=timedelta(milliseconds=1))
    follower = LeaderLease(stores.database, "keep the log up", rig.clock)
    assert await paused.acquire()
    await eventually(follower.acquire)
    files = Files(paused, stores.objects, rig.clock)
    merging = FileMerger(paused, stores.objects, files, AGES, rig.clock, metrics)
    for act in (merging.merge, merging.drop, files.remove_leftovers):
        with pytest.raises(Aborted, match="another replica leads"):
            await act()
    assert len(await rig.read()) == 2
    assert await rig.objects() == 2


@pytest.mark.long
async def test_a_clock_that_runs_ahead_takes_no_records_away(rig: Rig):
    ahead = Rig(rig.stores, datetime.now(UTC).replace(minute=0, second=0, microsecond=0))
    await ahead.store({"a": np.ones(1, "f4")})
    await ahead.clock.advance((AGES.keep + DAY).total_seconds())
    await ahead.merging.drop()
    await ahead.files.remove_leftovers()
    assert await ahead.read() == [(1.0, None)]


async def test_a_file_that_was_written_and_never_listed_is_removed_and_cannot_be_listed_then(rig: Rig):
    (table,) = next(iter(decoder.decode(_a_report(), rig.known.known, [0]).tables.values()))
    written = await rig.files.store([parquet.new_file("digits", "v1", NOON, table)])
    await rig.files.remove_leftovers()
    assert await rig.objects() == 1
    await rig.clock.advance(WRITING_FOR.total_seconds())
    await rig.files.remove_leftovers()
    assert await rig.objects() == 0
    with pytest.raises(Aborted):
        async with rig.stores.database.transaction() as connection:
            await rig.files.commit(connection, written)
    assert await rig.read() == []


async def test_a_file_that_somebody_removed_does_not_keep_the_others_from_being_merged(rig: Rig):
    one = np.ones(1, "f4")
    await rig.store({"a": one}, {"a": 2 * one}, {"a": 3 * one})
    gone, *_ = await rig.stores.reader.derivable(0)
    await rig.stores.objects.remove([gone.object_key])
    await rig.clock.advance(2 * HOURS + 1)
    with pytest.raises(LookupError):
        await rig.merging.merge()
    assert await rig.merging.merge()
    assert await rig.read() == [(2.0, None), (3.0, None)]


def _a_report():
    sent = batch({"a": np.ones(1, "f4")}, {"y": np.zeros(1)}, start_us=int(NOON.timestamp() * 1e6))
    return report(sent, uuid.UUID(int=1), 1)
