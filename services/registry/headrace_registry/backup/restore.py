"""Restore of a backup, into an empty database or over existing data, also under running registries.

The restored store is a new incarnation: it refuses former tokens and etags, so watchers take a new snapshot, and
writers that decided on lost data read again.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from headrace_servicekit.postgres.connections import Connections

from headrace_registry.artifacts.blobs import Blobs
from headrace_registry.backup.manifest import TABLES, BackupError, Manifest, blob_file, read, sha256_of, table_file
from headrace_registry.backup.snapshot import LONG_S

BATCH = 200
# For writers to end their transactions; the registry's own wait as long at most.
LOCK_WAIT_MS = 30_000
# In the order in which writers lock them: the restore waits for a running writer. Another order would deadlock.
_LOCKED = ("requests", *(table for table in TABLES if table != "requests"), "uploads", "store")


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored. incarnation: the new one. uploaded: files that were copied back into the store of artifacts.

    missing: SHA-256 of files that versions name and that are nowhere; uploading them again mends that.
    """

    manifest: Manifest
    incarnation: UUID
    uploaded: int
    missing: list[str]


async def restore(connections: Connections, blobs: Blobs, folder: Path, *, replace: bool) -> Restored:
    """Put a backup back: files first, then the tables in one transaction, so that nothing is half restored.

    replace: whether what the database holds now may be lost. The database has the schema of this code already. Raises
    BackupError, Unavailable.
    """
    manifest = await asyncio.to_thread(read, folder)
    # Upload most files before the lock. Those that garbage collection removes meanwhile are uploaded again under it.
    uploaded, _ = await _upload(blobs, folder)
    async with connections.alone() as connection, connection.transaction():
        await connection.execute(
            f"set local statement_timeout = 0; set local idle_in_transaction_session_timeout = 0;"
            f" set local lock_timeout = {LOCK_WAIT_MS}",
            timeout=LONG_S,
        )
        await _clear(connection, manifest, replace=replace)
        again, present = await _upload(blobs, folder)
        for table in (one for one in TABLES if one in manifest.tables):
            rows = await _load(connection, table, table_file(folder, table))
            if rows != manifest.tables[table].rows:
                raise BackupError(f"{table} has {rows} rows; the manifest says {manifest.tables[table].rows}")
        await connection.execute(
            "select setval(pg_get_serial_sequence('measurements', 'number'), coalesce(max(number), 0) + 1, false)"
            " from measurements"
        )
        missing = await connection.fetch(
            "update blobs set collect_time = now() where collect_time is null and not sha256 = any($1::text[])"
            " returning sha256",
            list(present),
            timeout=LONG_S,
        )
        incarnation = await connection.fetchval(
            "update store set incarnation = gen_random_uuid(), sequence = $1, begin_time = now() returning incarnation",
            manifest.sequence,
        )
        await connection.execute("select pg_notify('headrace_registry', '')")
    return Restored(manifest, incarnation, uploaded + again, sorted({row["sha256"] for row in missing}))


async def _clear(connection: Any, manifest: Manifest, *, replace: bool) -> None:
    known = await connection.fetchval("select max(number) from migrations")
    if manifest.migrations > known:
        raise BackupError(
            f"the backup has migration {manifest.migrations}; this registry knows {known}: use a newer one"
        )
    # Block reads, writes and removals until the commit: a write acknowledged now would be lost.
    await connection.execute(f"lock table {', '.join(_LOCKED)}", timeout=LONG_S)
    if await connection.fetchval("select exists (select from models)") and not replace:
        raise BackupError("the database holds models already: --replace restores in place of them")
    await connection.execute(f"truncate uploads, {', '.join(TABLES)}", timeout=LONG_S)


async def _load(connection: Any, table: str, path: Path) -> int:
    """Insert the rows of a file and return how many there were. Columns that are younger than the backup get their
    default."""
    rows = 0
    for lines in _batches(path):
        columns = ", ".join(f'"{column}"' for column in json.loads(lines[0]))
        await connection.execute(
            f"insert into {table} ({columns}) select {columns} from jsonb_populate_recordset(null::{table}, $1::jsonb)",
            f"[{','.join(lines)}]",
            timeout=LONG_S,
        )
        rows += len(lines)
    return rows


def _batches(path: Path) -> Iterator[list[str]]:
    with path.open(encoding="utf-8", newline="\n") as opened:
        lines: list[str] = []
        for line in opened:
            lines.append(line)
            if len(lines) == BATCH:
                yield lines
                lines = []
        if lines:
            yield lines


async def _upload(blobs: Blobs, folder: Path) -> tuple[int, set[str]]:
    """Copy files of the backup into the store of artifacts, those that it does not have; return how many, and the
    SHA-256 of what it has then."""
    present = {item.sha256: item.size_bytes async for page in blobs.pages() for item in page}
    uploaded = 0
    for path in sorted(blob_file(folder, "").glob("*")):
        size_bytes = path.stat().st_size
        if present.get(path.name) == size_bytes:
            continue
        if await asyncio.to_thread(sha256_of, path) != path.name:
            raise BackupError(f"{path} is not what its name says: the backup is damaged")
        await blobs.put(path.name, path, size_bytes)
        present[path.name] = size_bytes
        uploaded += 1
    return uploaded, set(present)
