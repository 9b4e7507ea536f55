"""A service's role owns its database and enters no other, in the wheel stack and in the container of PostgreSQL."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import stat
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from headrace_servicekit.postgres.migrations import migrate
from headrace_servicekit.postgres.sql import load_migrations
from headrace_servicekit.testing import eventually, free_port
from headrace_stack import unprivileged
from headrace_stack.components import postgres
from headrace_stack.settings import StackSettings

from tests.kit.deployment.topology import CHECKOUT

_NOT_OWNED = """
select relname from pg_class
where relnamespace = 'public'::regnamespace and relowner <> $1::regrole
union all
select proname from pg_proc where pronamespace = 'public'::regnamespace and proowner <> $1::regrole
"""


@asynccontextmanager
async def connected(settings: StackSettings, role: str, database: str) -> AsyncIterator[Any]:
    url, passfile = postgres.of_service(settings, role)
    connection = await asyncpg.connect(url, database=database, passfile=str(passfile), timeout=30)
    try:
        yield connection
    finally:
        await connection.close()


@pytest.fixture
async def databases(postgres_server: StackSettings) -> AsyncIterator[list[str]]:
    """Names of two databases that nobody has made yet; removed with their roles."""
    names = [f"role_{uuid.uuid4().hex[:12]}" for _ in range(2)]
    yield names
    admin = await asyncpg.connect(postgres.url(postgres_server, "postgres"), timeout=30)
    for name in names:
        await admin.execute(f'drop database if exists "{name}" with (force)')
        await admin.execute(f'drop role if exists "{name}"')
    await admin.close()


async def test_a_role_does_as_it_likes_in_its_own_database_and_enters_no_other(
    postgres_server: StackSettings, databases: list[str]
):
    mine, other = databases
    for name in (mine, other, mine):
        await postgres.give_database(postgres_server, name)
    async with connected(postgres_server, mine, mine) as connection:
        await connection.execute("create table rows (id bigserial primary key); insert into rows default values")
        for statement in ("create database more", "create role more", "copy rows to program 'true'"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
    for database in (other, "postgres", "template1"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied for database"):
            async with connected(postgres_server, mine, database):
                pass


@pytest.mark.parametrize(
    "sql",
    ["headrace_registry.storage.sql", "headrace_router.control.storage.sql", "headrace_monitor.storage.sql"],
)
async def test_what_the_superuser_of_an_earlier_release_made_is_given_to_the_role(
    postgres_server: StackSettings, databases: list[str], sql: str
):
    name, _ = databases
    admin = await asyncpg.connect(postgres.url(postgres_server, "postgres"), timeout=30)
    await admin.execute(f'create database "{name}"')
    await admin.close()
    admin = await asyncpg.connect(postgres.url(postgres_server, name), timeout=30)
    await migrate(admin, load_migrations(sql))
    await postgres.give_database(postgres_server, name)
    assert await admin.fetch(_NOT_OWNED, name) == []
    await admin.close()
    async with connected(postgres_server, name, name) as connection:
        await migrate(connection, load_migrations(sql))
        tables = await connection.fetch("select tablename from pg_tables where schemaname = 'public'")
        for row in tables:
            await connection.execute(f'alter table "{row["tablename"]}" add column more int')


@pytest.fixture
def container(tmp_path: Path) -> dict[str, str]:
    """What the container of PostgreSQL has, in a folder: its script, passwords and a place for data."""
    binaries, port = postgres.binaries(), free_port()
    for name in ("bin", "secrets", "data"):
        (tmp_path / name).mkdir()
        if os.geteuid() == 0:
            shutil.chown(tmp_path / name, unprivileged.ACCOUNT)
    shutil.copy(CHECKOUT / "deploy" / "stores" / "postgres", tmp_path / "bin" / "start")
    shutil.copy(Path(postgres.__file__).with_name("role.sql"), tmp_path / "bin")
    # Others of this machine have nothing to do with it.
    narrow = '#!/bin/sh\ncase $1 in --single) ;; *) set -- "$@" -c listen_addresses=127.0.0.1 ;; esac\n'
    program = tmp_path / "bin" / "postgres"
    program.write_text(f'{narrow}exec {binaries / "postgres"} "$@"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    (tmp_path / "secrets" / "password").write_text("superuser")
    for name in ("one", "two"):
        (tmp_path / "secrets" / f"{name}.pgpass").write_text(f"*:*:*:{name}:of-{name}\n")
    return {
        "PATH": f"{tmp_path / 'bin'}:{binaries}:{os.environ['PATH']}",
        "PGDATA": str(tmp_path / "data" / "postgres"),
        "PGPORT": str(port),
        "POSTGRES_DATABASES": "one two",
        "POSTGRES_PASSWORD_FILE": str(tmp_path / "secrets" / "password"),
    }


@asynccontextmanager
async def started(container: dict[str, str], folder: Path) -> AsyncIterator[None]:
    """Run the container's script until PostgreSQL lets its superuser in."""
    command = ("/bin/sh", str(folder / "bin" / "start"))
    if os.geteuid() == 0:
        command = (sys.executable, "-I", "-S", unprivileged.__file__, str(int(signal.SIGKILL)), *command)
    log = (folder / "log").open("ab")
    told = {**os.environ, **container}
    process = await asyncio.create_subprocess_exec(*command, env=told, cwd="/", stdout=log, stderr=log)
    log.close()

    async def lets_in() -> bool:
        assert process.returncode is None, (folder / "log").read_text()
        return await answer(container, "headrace", "superuser", "postgres") == "headrace"

    try:
        await eventually(lets_in, within=60, every=0.2)
        yield
    finally:
        assert process.returncode is None, (folder / "log").read_text()
        process.send_signal(signal.SIGINT)
        await process.wait()


async def answer(container: dict[str, str], user: str, password: str, database: str) -> str:
    """Return who PostgreSQL says that we are, or why it lets nobody in."""
    try:
        connection = await asyncpg.connect(
            host="127.0.0.1", port=int(container["PGPORT"]), user=user, password=password, database=database, timeout=30
        )
    except asyncpg.PostgresError as error:
        return type(error).__name__
    except OSError:
        return ""
    try:
        return await connection.fetchval("select current_user::text")
    finally:
        await connection.close()


async def test_the_container_gives_each_database_to_its_role_and_takes_a_changed_password(
    container: dict[str, str], tmp_path: Path
):
    async with started(container, tmp_path):
        assert await answer(container, "one", "of-one", "one") == "one"
        assert await answer(container, "one", "of-one", "two") == "InsufficientPrivilegeError"
    (tmp_path / "secrets" / "two.pgpass").write_text("*:*:*:two:another\n")
    made = (tmp_path / "log").read_text().count("stand-alone backend")
    async with started(container, tmp_path):
        assert await answer(container, "two", "another", "two") == "two"
        assert await answer(container, "one", "of-one", "one") == "one"
    assert (tmp_path / "log").read_text().count("stand-alone backend") == made + 2, (
        "what is as it was is not given again"
    )
