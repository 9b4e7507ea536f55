"""What operators run beside the service, with the service's settings; each prints one JSON object.

python -m headrace_registry backup --out FOLDER [--blobs]       while the registry runs
python -m headrace_registry restore --from FOLDER [--replace]   also while it runs
python -m headrace_registry collect [--dry-run]                 what the running service does every so often
python -m headrace_registry migrate                             what the service does at its start, and make the bucket
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from headrace_servicekit.clock import SystemClock
from headrace_servicekit.errors import ServiceError
from headrace_servicekit.logs import set_up_logs
from headrace_servicekit.postgres.connections import Address, Connections
from headrace_servicekit.process import EXIT_FAILED, EXIT_OK, EXIT_SETTINGS
from headrace_servicekit.runtime import StartError
from headrace_servicekit.settings import SettingsError

from headrace_registry.artifacts.s3 import S3Blobs
from headrace_registry.backup import restoring, saving
from headrace_registry.backup.manifest import BackupError
from headrace_registry.collection import Collection, Report
from headrace_registry.names import version_name
from headrace_registry.service import bucket_of, policy_of
from headrace_registry.settings import RegistrySettings
from headrace_registry.storage.postgres import PostgresStore

NAMES = ("backup", "restore", "collect", "migrate")
# A restore after which some files are nowhere is no failure, and no success.
EXIT_INCOMPLETE = 3

Document = dict[str, Any]


class Stores:
    """What the commands work on. store has the schema of this code."""

    def __init__(self, settings: RegistrySettings, connections: Connections, blobs: S3Blobs) -> None:
        self.settings, self.connections, self.blobs = settings, connections, blobs
        self.store = PostgresStore(connections)


def main(arguments: Sequence[str]) -> int:
    """Run one command and return the exit code: 0; 1 failed, 2 wrong usage or settings, 3 restored but for files."""
    told = _parser().parse_args(arguments)
    try:
        settings = RegistrySettings.load()
    except SettingsError as error:
        sys.stderr.write("registry: the settings are wrong\n" + "".join(f"  {e}\n" for e in str(error).splitlines()))
        return EXIT_SETTINGS
    set_up_logs("registry", level=settings.log_level, log_format=settings.log_format)
    try:
        code, document = asyncio.run(_with_stores(settings, lambda stores: told.act(stores, told)))
    except (BackupError, ServiceError, StartError, OSError) as error:
        sys.stderr.write(f"registry: {error}\n")
        return EXIT_FAILED
    sys.stdout.write(json.dumps(document, indent=2) + "\n")
    return code


async def _with_stores(
    settings: RegistrySettings, act: Callable[[Stores], Awaitable[tuple[int, Document]]]
) -> tuple[int, Document]:
    address = Address(settings.database_url, settings.database_passfile)
    async with (
        Connections(address, owner="registry", size=2) as connections,
        S3Blobs(bucket_of(settings)) as blobs,
    ):
        stores = Stores(settings, connections, blobs)
        await stores.store.prepare()
        await blobs.prepare()
        return await act(stores)


async def _migrate(stores: Stores, told: argparse.Namespace) -> tuple[int, Document]:
    # Every command begins so: database and bucket are there by now, and fit this code.
    return EXIT_OK, {"database": "has the schema of this version", "bucket": stores.settings.s3_bucket}


async def _backup(stores: Stores, told: argparse.Namespace) -> tuple[int, Document]:
    blobs = stores.blobs if told.blobs else None
    manifest = await saving.save(stores.connections, blobs, told.out, SystemClock().now())
    return EXIT_OK, manifest.model_dump(mode="json")


async def _restore(stores: Stores, told: argparse.Namespace) -> tuple[int, Document]:
    done = await restoring.restore(stores.connections, stores.blobs, told.folder, replace=told.replace)
    document: Document = {
        "incarnation": str(done.incarnation),
        "backup_of": str(done.manifest.incarnation),
        "backup_time": done.manifest.time.isoformat(),
        "rows": {table: file.rows for table, file in done.manifest.tables.items()},
        "files_uploaded": done.uploaded,
        "files_missing": done.missing,
    }
    return (EXIT_INCOMPLETE if done.missing else EXIT_OK), document


async def _collect(stores: Stores, told: argparse.Namespace) -> tuple[int, Document]:
    collection = Collection(stores.store, stores.blobs, policy_of(stores.settings), SystemClock())
    report: Report = await collection.run(dry_run=told.dry_run)
    return EXIT_OK, {
        "dry_run": told.dry_run,
        "archived": [version_name(ref) for ref in report.archived],
        "collected": [version_name(ref) for ref in report.collected],
        "files_removed": [{"sha256": sha256, "size_bytes": size} for sha256, size in report.removed.items()],
        "bytes_removed": sum(report.removed.values()),
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m headrace_registry", description="Commands beside the service.")
    commands = parser.add_subparsers(required=True)

    backup = commands.add_parser("backup", help="write the content of the database into a folder, of one moment")
    backup.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="new or empty")
    backup.add_argument("--blobs", action="store_true", help="also copy the files of versions out of S3")
    backup.set_defaults(act=_backup)

    restore = commands.add_parser("restore", help="put a backup back; watches and etags begin anew")
    restore.add_argument("--from", type=Path, required=True, dest="folder", metavar="FOLDER", help="of a backup")
    restore.add_argument("--replace", action="store_true", help="in place of what the database holds, which is lost")
    restore.set_defaults(act=_restore)

    collect = commands.add_parser("collect", help="archive, give up and remove what has had its time")
    collect.add_argument("--dry-run", action="store_true", help="only tell what would be done")
    collect.set_defaults(act=_collect)

    migrate = commands.add_parser("migrate", help="bring the database to this version's schema, make the bucket")
    migrate.set_defaults(act=_migrate)
    return parser
