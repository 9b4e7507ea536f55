"""Bringing a database to the schema of this code: each migration once, whichever of several replicas starts first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from headrace_servicekit.postgres.sql import Migration
from headrace_servicekit.runtime import StartError

log = structlog.get_logger()

# Any number will do, as long as nothing else takes the same lock in this database.
_LOCK = 0x6865_6164_7261_6365

_MIGRATION_TIMEOUT_S = 60.0


async def migrate(connection: Any, migrations: Sequence[Migration]) -> None:
    """Apply what is missing, in one transaction. Safe to repeat, and to run from several processes at once.

    Raises StartError when the database has a migration that differs from the one here: it belongs to other code.
    """
    async with connection.transaction():
        timeout_ms = int(_MIGRATION_TIMEOUT_S * 1000)
        await connection.execute(
            f"set local lock_timeout = {timeout_ms}; set local statement_timeout = {timeout_ms}",
        )
        await connection.execute("select pg_advisory_xact_lock($1)", _LOCK, timeout=_MIGRATION_TIMEOUT_S)
        await connection.execute(
            "create table if not exists migrations (number int primary key, name text not null, checksum text not null,"
            " apply_time timestamptz not null default now())"
        )
        applied = {row["number"]: row["checksum"] for row in await connection.fetch("select * from migrations")}
        for migration in missing(migrations, applied):
            await connection.execute(migration.text, timeout=_MIGRATION_TIMEOUT_S)
            await connection.execute(
                "insert into migrations (number, name, checksum) values ($1, $2, $3)",
                migration.number,
                migration.name,
                migration.checksum,
            )
            log.info("migration applied", number=migration.number, name=migration.name)


def missing(migrations: Sequence[Migration], applied: Mapping[int, str]) -> list[Migration]:
    """Return the migrations that a database still needs.

    Newer ones that this code does not know are left alone: during a rolling update the old code still runs. Raises
    StartError for one that was applied with another text.
    """
    for migration in migrations:
        if applied.get(migration.number, migration.checksum) != migration.checksum:
            raise StartError(
                f"migration {migration.number:04d}_{migration.name} was applied to this database with another text: "
                "the database belongs to other code; give this service a database of its own"
            )
    return [migration for migration in migrations if migration.number not in applied]
