"""Commands for operators, with the registry's settings; each prints one JSON object.

python -m headrace_registry backup --out FOLDER [--blobs]       while the registry runs
python -m headrace_registry restore --from FOLDER [--replace]   also while it runs
python -m headrace_registry collect [--dry-run]                 what the running service does periodically
python -m headrace_registry verify [--since FILE] [--out FILE] [--heads FOLDER] [--new-sequence REASON]
                                                                that the history of models is unchanged
python -m headrace_registry migrate                             what the service does at its start, and make the bucket
"""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from headrace_servicekit.clock import SystemClock
from headrace_servicekit.commands import Command, Document, Incomplete, option
from headrace_servicekit.postgres.connections import Address, Connections
from headrace_servicekit.postgres.head_storage import heads_of
from headrace_servicekit.postgres.history import begin_sequence, verify_command
from headrace_servicekit.s3 import Place

from headrace_registry.artifacts.s3 import S3Blobs
from headrace_registry.backup import restore, snapshot
from headrace_registry.decisions.names import version_name
from headrace_registry.retention.expiry import policy_of
from headrace_registry.retention.garbage_collection import GarbageCollector, Report
from headrace_registry.settings import RegistrySettings
from headrace_registry.storage.postgres import HISTORY, PostgresStore


@dataclass(frozen=True, slots=True)
class Stores:
    """What the commands work on: a database that has the schema of this code, and a bucket that exists."""

    connections: Connections
    store: PostgresStore
    blobs: S3Blobs


@asynccontextmanager
async def _stores(settings: RegistrySettings) -> AsyncIterator[Stores]:
    async with (
        Connections(Address.of(settings), owner="registry", size=2) as connections,
        S3Blobs(Place.of(settings), settings.s3_public_endpoint) as blobs,
    ):
        store = PostgresStore(connections)
        await store.migrate()
        await blobs.prepare()
        yield Stores(connections, store, blobs)


@asynccontextmanager
async def _database(settings: RegistrySettings) -> AsyncIterator[Connections]:
    async with Connections(Address.of(settings), owner="registry", size=2) as connections:
        await PostgresStore(connections).migrate()
        yield connections


async def _migrate(settings: RegistrySettings, options: argparse.Namespace) -> Document:
    async with _stores(settings):  # as every command begins
        return {"database": "has the schema of this version", "bucket": settings.s3_bucket}


async def _backup(settings: RegistrySettings, options: argparse.Namespace) -> Document:
    async with _stores(settings) as stores:
        blobs = stores.blobs if options.blobs else None
        manifest = await snapshot.save(stores.connections, blobs, options.out, SystemClock().now())
        return manifest.model_dump(mode="json")


async def _restore(settings: RegistrySettings, options: argparse.Namespace) -> Document:
    async with _stores(settings) as stores:
        done = await restore.restore(stores.connections, stores.blobs, options.folder, replace=options.replace)
        async with heads_of(HISTORY)(settings) as keeper:
            assert keeper is not None  # a registry has S3
            await begin_sequence(
                HISTORY, stores.connections, keeper, f"restored a backup of {done.manifest.time:%F %T}"
            )
    document: Document = {
        "incarnation": str(done.incarnation),
        "backup_of": str(done.manifest.incarnation),
        "backup_time": done.manifest.time.isoformat(),
        "rows": {table: file.rows for table, file in done.manifest.tables.items()},
        "files_uploaded": done.uploaded,
        "files_missing": done.missing,
    }
    if done.missing:
        raise Incomplete(document)
    return document


async def _collect(settings: RegistrySettings, options: argparse.Namespace) -> Document:
    async with _stores(settings) as stores:
        collector = GarbageCollector(stores.store, stores.blobs, policy_of(settings), SystemClock())
        report: Report = await collector.run(dry_run=options.dry_run)
    return {
        "dry_run": options.dry_run,
        "archived": [version_name(ref) for ref in report.archived],
        "collected": [version_name(ref) for ref in report.collected],
        "files_removed": [{"sha256": sha256, "size_bytes": size} for sha256, size in report.removed.items()],
        "bytes_removed": sum(report.removed.values()),
    }


COMMANDS = (
    Command(
        "backup",
        "write the content of the database into a folder, of one moment",
        _backup,
        (
            option("--out", type=Path, required=True, metavar="FOLDER", help="new or empty"),
            option("--blobs", action="store_true", help="also copy the files of versions out of S3"),
        ),
    ),
    Command(
        "restore",
        "restore a backup; watches start from a snapshot, etags change",
        _restore,
        (
            option("--from", type=Path, required=True, dest="folder", metavar="FOLDER", help="of a backup"),
            option("--replace", action="store_true", help="in place of what the database holds, which is lost"),
        ),
    ),
    Command(
        "collect",
        "archive, give up and remove what has had its time",
        _collect,
        (option("--dry-run", action="store_true", help="only tell what would be done"),),
    ),
    verify_command(HISTORY, _database, heads_of(HISTORY)),
    Command("migrate", "bring the database to this version's schema, make the bucket", _migrate),
)
