"""Every store of windows: the same tests on memory and on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Protocol

import pytest
from headrace_monitor.judge.windows.postgres import PostgresWindows
from headrace_monitor.judge.windows.store import WindowStore
from headrace_monitor.record.log.files import LogFile
from headrace_monitor.storage.schema import Database
from headrace_servicekit.postgres.connections import Address
from headrace_servicekit.testing import FakeClock

from tests.kit.monitor.memory_windows import MemoryWindows

_LEASE = timedelta(hours=1)

_REFERENCE = """
insert into drift_references (number, model, version, source, name, seasonal, rows, content, since, client, freeze_time)
overriding system value values ($1, $2, $3, 'artifact', '', false, 1, '', $4, '', $4)
"""
_FILE = """
insert into log_files (id, model, version, hour, object_key, size_bytes, row_count, prediction_count, min_answer_time,
                       max_answer_time, merged, replaced)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
"""


class Rig(Protocol):
    """A store, how long its claims last, and what others change around it."""

    @property
    def store(self) -> WindowStore: ...
    @property
    def lease(self) -> timedelta: ...

    async def add_reference(self, number: int, model: str, version: str, since: datetime) -> None: ...
    async def add_file(self, file: LogFile, *, replaced: bool = False) -> None: ...
    async def remove_file(self, number: int) -> None: ...
    async def pass_time(self, time: timedelta) -> None: ...


class MemoryRig:
    """A store in memory on a fake clock."""

    lease = _LEASE

    def __init__(self) -> None:
        self._clock = FakeClock()
        self.store = MemoryWindows(self._clock, self.lease)

    async def add_reference(self, number: int, model: str, version: str, since: datetime) -> None:
        self.store.add_reference(number, model, version, since)

    async def add_file(self, file: LogFile, *, replaced: bool = False) -> None:
        self.store.files[file.id] = file
        if replaced:
            self.store.replaced.add(file.id)

    async def remove_file(self, number: int) -> None:
        del self.store.files[number]

    async def pass_time(self, time: timedelta) -> None:
        await self._clock.advance(time.total_seconds())


class PostgresRig:
    """A store in PostgreSQL. Time passes as claims end earlier."""

    lease = _LEASE

    def __init__(self, database: Database) -> None:
        self._database = database
        self.store = PostgresWindows(database, self.lease)

    async def add_reference(self, number: int, model: str, version: str, since: datetime) -> None:
        await self._execute(_REFERENCE, number, model, version, since)

    async def add_file(self, file: LogFile, *, replaced: bool = False) -> None:
        counts = file.size_bytes, file.rows, file.predictions
        times = file.min_answer_time, file.max_answer_time
        place = file.id, file.model, file.version, file.hour, file.object_key
        await self._execute(_FILE, *place, *counts, *times, file.merged, replaced)

    async def remove_file(self, number: int) -> None:
        await self._execute("delete from log_files where id = $1", number)

    async def pass_time(self, time: timedelta) -> None:
        await self._execute("update window_files set claimed_until = claimed_until - $1::interval", time)

    async def _execute(self, query: str, *arguments: object) -> None:
        async with self._database.transaction() as connection:
            await connection.execute(query, *arguments)


@pytest.fixture
def memory_windows() -> Rig:
    return MemoryRig()


@pytest.fixture
async def postgres_windows(postgres_url: str) -> AsyncIterator[Rig]:
    async with Database(Address(postgres_url), size=5) as database:
        await database.migrate()
        yield PostgresRig(database)


@pytest.fixture(params=["memory_windows", "postgres_windows"])
def rig(request) -> Rig:
    return request.getfixturevalue(request.param)
