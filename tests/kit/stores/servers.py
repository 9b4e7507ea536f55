"""Real stores for tests: one server per checkout or worker, something fresh in it for each test."""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from headrace_stack import snapshot
from headrace_stack.components import postgres, s3, valkey
from headrace_stack.components.s3 import S3Keys, request
from headrace_stack.ports import HOST
from headrace_stack.process import kill_group
from headrace_stack.settings import StackSettings, checkout_of_this_file
from headrace_stack.testing import held_stack

from tests.kit.stores.databases import Databases


def home_for_tests(name: str) -> Path:
    """Where a component that tests share keeps its files."""
    return checkout_of_this_file() / ".headrace" / "test" / name


def worker_name() -> str:
    """Names this test process: tests in other processes do not share what carries it."""
    return f"{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}-{os.getpid()}"


def kill_component(settings: StackSettings, name: str) -> None:
    """Kill a running component at once (SIGKILL); its supervisor starts it again."""
    seen = snapshot.read(settings.snapshot)
    assert seen is not None
    (process,) = [status.process for status in seen.components if status.name == name]
    assert process is not None, f"{name} is not running"
    kill_group(process)


@dataclass(frozen=True, slots=True)
class S3Store:
    """A bucket of its own in a real S3 store."""

    endpoint: str
    access_key: str
    secret_key: str
    bucket: str
    region: str = "us-east-1"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[StackSettings]:
    """One PostgreSQL for all tests that run in this checkout."""
    with held_stack(home_for_tests("postgres"), only=[postgres.NAME]) as settings:
        yield settings


@pytest.fixture(scope="session")
def databases(postgres_server: StackSettings) -> Iterator[Databases]:
    """The databases of this process on the server that tests share."""
    made = Databases(postgres_server)
    yield made
    made.close()


@pytest.fixture
async def postgres_url(databases: Databases) -> AsyncIterator[str]:
    """The URL of a new empty database, dropped after the test even where connections to it are open."""
    async with databases.fresh() as url:
        yield url


@pytest.fixture
async def second_postgres_url(databases: Databases) -> AsyncIterator[str]:
    """The URL of another empty one: for a second service, or where `postgres_url` has its schema already."""
    async with databases.fresh() as url:
        yield url


def postgres_url_with(sql: str, name: str = "postgres_url") -> Any:
    """Return a `postgres_url` for the tests of a folder, whose database has the schema of a package already.

    A service that starts on it finds nothing to migrate, which is most of what an empty one costs. sql: the package.
    name: of the fixture that it stands for.
    """

    @pytest.fixture(name=name)
    async def url_with_schema(databases: Databases) -> AsyncIterator[str]:
        async with databases.fresh(sql) as url:
            yield url

    return url_with_schema


@pytest.fixture
def own_postgres() -> Iterator[StackSettings]:
    """A server that a test may kill."""
    with held_stack(home_for_tests(f"postgres-{worker_name()}"), only=[postgres.NAME]) as server:
        yield server


@pytest.fixture
async def own_url(own_postgres: StackSettings) -> str:
    """A new database on it: what an earlier test left does not count."""
    name = f"test_{uuid.uuid4().hex}"
    await _in_postgres(own_postgres, f'create database "{name}"')
    return postgres.url(own_postgres, name)


async def _in_postgres(settings: StackSettings, statement: str) -> None:
    connection = await asyncpg.connect(postgres.url(settings, "postgres"), timeout=30)
    try:
        await connection.execute(statement, timeout=30)
    finally:
        await connection.close()


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[StackSettings]:
    """A Valkey of this test process alone, so that a test may kill it."""
    with held_stack(home_for_tests(f"valkey-{worker_name()}"), only=[valkey.NAME]) as settings:
        yield settings


@pytest.fixture
async def valkey_url(valkey_server: StackSettings) -> str:
    """The URL of an empty Valkey."""
    reader, writer = await asyncio.open_connection(HOST, valkey_server.ports.valkey.number)
    writer.write(b"FLUSHALL\r\n")
    assert await reader.readline() == b"+OK\r\n"
    writer.close()
    await writer.wait_closed()
    return valkey.url(valkey_server)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[StackSettings]:
    """One S3 store for all tests that run in this checkout."""
    with held_stack(home_for_tests("s3"), only=[s3.NAME]) as settings:
        yield settings


@pytest.fixture(name="s3")
async def s3_bucket(s3_server: StackSettings) -> AsyncIterator[S3Store]:
    """A new empty bucket, removed with everything in it after the test."""
    async with new_bucket(s3_server) as store:
        yield store


@asynccontextmanager
async def new_bucket(s3_server: StackSettings) -> AsyncIterator[S3Store]:
    """Make a bucket that is there while the block lasts."""
    keys: S3Keys = s3.keys(s3_server)
    bucket = f"test-{uuid.uuid4().hex}"
    assert await request("PUT", s3_server.ports.s3, f"/{bucket}", keys=keys) == 200
    yield S3Store(s3.endpoint(s3_server), keys.access_key, keys.secret_key, bucket)
    await request("DELETE", s3_server.ports.s3, f"/{bucket}", keys=keys, timeout_s=30)
