"""Backup of a running registry."""

from __future__ import annotations

import hashlib
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog
from headrace_servicekit.postgres.connections import Connections

from headrace_registry.artifacts.blobs import Blobs
from headrace_registry.backup.manifest import (
    FORMAT,
    TABLES,
    BackupError,
    Manifest,
    TableFile,
    blob_file,
    sha256_of,
    table_file,
    write,
)

log = structlog.get_logger()

LONG_S = 3600.0
ROWS = 500


async def save(connections: Connections, blobs: Blobs | None, folder: Path, now: datetime) -> Manifest:
    """Write a backup into a folder that is new or empty, and return its manifest.

    The tables are all of one moment. blobs: also copy the files of versions from there; None leaves them where they
    are. Raises BackupError, Unavailable.
    """
    _make(folder)
    async with connections.alone() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        await connection.execute(
            "set local statement_timeout = 0; set local idle_in_transaction_session_timeout = 0", timeout=LONG_S
        )
        store = await connection.fetchrow("select incarnation, sequence from store")
        migrations = await connection.fetchval("select max(number) from migrations")
        tables = {table: await _save_table(connection, table, order, folder) for table, order in TABLES.items()}
        named = await connection.fetch(
            "select distinct sha256 from blobs where collect_time is null order by sha256", timeout=LONG_S
        )
    if blobs is not None:
        for row in named:
            await _save_blob(blobs, row["sha256"], folder)
    manifest = Manifest(
        format=FORMAT,
        incarnation=store["incarnation"],
        sequence=store["sequence"],
        time=now,
        migrations=migrations,
        tables=tables,
        with_blobs=blobs is not None,
    )
    write(folder, manifest)
    return manifest


def _make(folder: Path) -> None:
    # Names, reasons and answers of everybody are in it.
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise BackupError(f"{folder} is not empty: a backup has a folder of its own")
    (folder / "tables").mkdir()


async def _save_table(connection: Any, table: str, order: str, folder: Path) -> TableFile:
    digest, rows = hashlib.sha256(), 0
    with table_file(folder, table).open("xb") as opened:
        query = f"select to_jsonb({table})::text as row from {table} order by {order}"
        async for record in connection.cursor(query, prefetch=ROWS, timeout=LONG_S):
            line = record["row"].encode() + b"\n"
            digest.update(line)
            opened.write(line)
            rows += 1
    return TableFile(rows=rows, sha256=digest.hexdigest())


async def _save_blob(blobs: Blobs, sha256: str, folder: Path) -> None:
    """Copy the bytes of a SHA-256. Files that collection takes away meanwhile are needed by nothing."""
    path = blob_file(folder, sha256)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("xb") as opened:
            async for piece in blobs.read(sha256):
                opened.write(piece)
    except LookupError:
        path.unlink()
        log.warning("a file is not in the store of artifacts", sha256=sha256)
        return
    if sha256_of(path) != sha256:
        raise BackupError(f"the store of artifacts has other bytes under {sha256}")
