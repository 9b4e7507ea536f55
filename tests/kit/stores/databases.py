"""Databases for tests, made ahead of the test that needs one and dropped behind it.

Creating and dropping one takes a fifth of a second, as long as many a test: a thread does both meanwhile, and its one
connection outlives the event loops of tests.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
import uuid
from collections.abc import AsyncIterator, Coroutine
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import asyncpg
from headrace_servicekit.postgres.migrations import migrate
from headrace_servicekit.postgres.sql import load_migrations
from headrace_stack.components import postgres
from headrace_stack.settings import StackSettings

T = TypeVar("T")

EMPTY = "template1"
_PATIENCE_S = 60


class Databases:
    """The databases of one test process on one server. Use from any thread and loop; `close` when the process ends."""

    def __init__(self, settings: StackSettings) -> None:
        self._settings = settings
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="databases of tests", daemon=True)
        self._thread.start()
        self._turn = asyncio.Lock()
        self._connection: Any = None
        self._spare: dict[str, Future[str]] = {}
        self._templates: dict[str, str] = {}

    @asynccontextmanager
    async def fresh(self, sql: str = "") -> AsyncIterator[str]:
        """Yield the URL of a new database, with the schema of the package `sql` if any; it is dropped even where
        connections to it are open.
        """
        if sql not in self._spare:
            self._spare[sql] = self._do(self._create(sql))
        name = await asyncio.wrap_future(self._spare.pop(sql))
        self._spare[sql] = self._do(self._create(sql))
        try:
            yield postgres.url(self._settings, name)
        finally:
            self._do(self._drop(name))

    def close(self) -> None:
        for spare in self._spare.values():
            self._do(self._drop(spare.result(_PATIENCE_S)))
        self._do(self._disconnect()).result(_PATIENCE_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_PATIENCE_S)
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def _create(self, sql: str) -> str:
        if sql and sql not in self._templates:
            self._templates[sql] = await self._template(sql)
        name = f"test_{uuid.uuid4().hex}"
        await self._execute(_creation(name, self._templates.get(sql, EMPTY)))
        return name

    async def _drop(self, name: str) -> None:
        await self._execute(f'drop database if exists "{name}" with (force)')

    async def _template(self, sql: str) -> str:
        """Return the database that others with a package's schema are copied from, made by whichever process is first.

        Its name is that of the schema's text: the server outlives the code that a run tests.
        """
        migrations = load_migrations(sql)
        checksums = "".join(migration.checksum for migration in migrations)
        name = f"schema_{hashlib.sha256(checksums.encode()).hexdigest()[:40]}"
        made = f"making_{uuid.uuid4().hex}"
        await self._execute(_creation(made, EMPTY))
        connection = await asyncpg.connect(postgres.url(self._settings, made), timeout=_PATIENCE_S)
        try:
            await migrate(connection, migrations)
        finally:
            await connection.close()
        # The catalogue's index reports the name where another process commits it at the same moment.
        with suppress(asyncpg.DuplicateDatabaseError, asyncpg.UniqueViolationError):
            await self._execute(f'alter database "{made}" rename to "{name}"')
        await self._drop(made)
        return name

    async def _execute(self, statement: str) -> None:
        async with self._turn:
            if self._connection is None or self._connection.is_closed():
                self._connection = await asyncpg.connect(postgres.url(self._settings, "postgres"), timeout=_PATIENCE_S)
            await self._connection.execute(statement, timeout=_PATIENCE_S)

    async def _disconnect(self) -> None:
        async with self._turn:
            if self._connection is not None:
                await self._connection.close()


def _creation(name: str, template: str) -> str:
    # A server for tests does not wait for its disk: copying files is half of what logging each page costs.
    return f'create database "{name}" template "{template}" strategy file_copy'
