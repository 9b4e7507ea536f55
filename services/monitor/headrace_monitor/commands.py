"""What operators run beside the monitor, with its settings; each prints one JSON object.

python -m headrace_monitor migrate                    what the service does at its start, and make the bucket
python -m headrace_monitor save-log --out FOLDER      the log's objects that the folder has not; beside a database dump
python -m headrace_monitor restore-log --from FOLDER  put them back, after the database
python -m headrace_monitor renew-incarnation          after the database was restored from a backup
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from headrace_servicekit.errors import ServiceError, Unavailable
from headrace_servicekit.logs import set_up_logs
from headrace_servicekit.postgres.connections import Address
from headrace_servicekit.process import EXIT_FAILED, EXIT_OK, EXIT_SETTINGS
from headrace_servicekit.runtime import StartError
from headrace_servicekit.settings import SettingsError

from headrace_monitor.log import copying
from headrace_monitor.log.objects import Objects
from headrace_monitor.log.wiring import place_of
from headrace_monitor.settings import MonitorSettings
from headrace_monitor.storage import schema
from headrace_monitor.storage.schema import Database

RENEW, MIGRATE, SAVE_LOG, RESTORE_LOG = "renew-incarnation", "migrate", "save-log", "restore-log"
NAMES = (RENEW, MIGRATE, SAVE_LOG, RESTORE_LOG)

Document = dict[str, Any]


def main(arguments: Sequence[str]) -> int:
    """Run one command and return the exit code: 0; 1 failed, 2 wrong usage or settings."""
    told = _parser().parse_args(arguments)
    try:
        settings = MonitorSettings.load()
    except SettingsError as error:
        lines = "".join(f"  {line}\n" for line in str(error).splitlines())
        sys.stderr.write(f"monitor: the settings are wrong\n{lines}")
        return EXIT_SETTINGS
    set_up_logs("monitor", level=settings.log_level, log_format=settings.log_format)
    try:
        document = asyncio.run(told.act(settings, told))
    except (ServiceError, StartError, OSError) as error:
        sys.stderr.write(f"monitor: {error}\n")
        return EXIT_FAILED
    sys.stdout.write(json.dumps(document, indent=2) + "\n")
    return EXIT_OK


async def migrate(settings: MonitorSettings, told: argparse.Namespace) -> Document:
    """Bring the database to this code's schema and make the bucket. Raises Unavailable and StartError."""
    async with _database(settings) as database, Objects(place_of(settings)) as objects:
        await _prepare(database)
        await objects.check()
        return {"database": "has the schema of this version", "bucket": settings.s3_bucket}


async def renew(settings: MonitorSettings, told: argparse.Namespace) -> Document:
    """Renew the database's incarnation and return it. Raises Unavailable and StartError."""
    async with _database(settings) as database:
        await _prepare(database)  # the backup may be older than this code
        return {"incarnation": await schema.renew_incarnation(database)}


async def save_log(settings: MonitorSettings, told: argparse.Namespace) -> Document:
    """Copy the log's objects into a folder. Raises Unavailable, StartError and OSError."""
    async with Objects(place_of(settings)) as objects:
        return asdict(await copying.save(objects, told.out))


async def restore_log(settings: MonitorSettings, told: argparse.Namespace) -> Document:
    """Copy the log's objects back. Raises Unavailable, StartError and OSError."""
    async with Objects(place_of(settings)) as objects:
        return asdict(await copying.restore(objects, told.folder))


def _database(settings: MonitorSettings) -> Database:
    return Database(Address(settings.database_url, settings.database_passfile), size=1)


async def _prepare(database: Database) -> None:
    if not await schema.prepared(database):
        raise Unavailable("the monitor's database cannot be reached", reason=schema.REASON)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m headrace_monitor", description="Commands beside the service.")
    commands = parser.add_subparsers(required=True)
    schema_ = commands.add_parser(MIGRATE, help="bring the database to this version's schema, make the bucket")
    schema_.set_defaults(act=migrate)
    again = commands.add_parser(RENEW, help="make a restored database another store; watches begin anew")
    again.set_defaults(act=renew)
    saved = commands.add_parser(SAVE_LOG, help="copy the prediction log's objects into a folder, those it has not")
    saved.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="new, or of an earlier run")
    saved.set_defaults(act=save_log)
    restored = commands.add_parser(RESTORE_LOG, help="copy them back into the bucket")
    restored.add_argument("--from", type=Path, required=True, dest="folder", metavar="FOLDER", help="of save-log")
    restored.set_defaults(act=restore_log)
    return parser
