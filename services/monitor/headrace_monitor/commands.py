"""What operators run beside the monitor, with its settings; each prints one JSON object.

python -m headrace_monitor migrate                    what the service does at its start, and make the bucket
python -m headrace_monitor save-log --out FOLDER      the log's objects that the folder has not; beside a database dump
python -m headrace_monitor restore-log --from FOLDER  put them back, after the database
python -m headrace_monitor renew-incarnation          after the database was restored from a backup
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from headrace_servicekit.commands import Command, Document, option
from headrace_servicekit.postgres.connections import Address
from headrace_servicekit.s3 import Place

from headrace_monitor.record.log import copies
from headrace_monitor.record.log.objects import Objects
from headrace_monitor.settings import MonitorSettings
from headrace_monitor.storage import schema
from headrace_monitor.storage.schema import Database


async def migrate(settings: MonitorSettings, options: argparse.Namespace) -> Document:
    """Bring the database to this code's schema and make the bucket. Raises Unavailable and StartError."""
    async with _database(settings) as database, Objects(Place.of(settings)) as objects:
        await database.migrate()
        await objects.check()
        return {"database": "has the schema of this version", "bucket": settings.s3_bucket}


async def renew(settings: MonitorSettings, options: argparse.Namespace) -> Document:
    """Renew the database's incarnation and return it. Raises Unavailable and StartError."""
    async with _database(settings) as database:
        await database.migrate()  # the backup may be older than this code
        return {"incarnation": await schema.renew_incarnation(database)}


async def save_log(settings: MonitorSettings, options: argparse.Namespace) -> Document:
    """Copy the log's objects into a folder. Raises Unavailable, StartError and OSError."""
    async with Objects(Place.of(settings)) as objects:
        return asdict(await copies.save(objects, options.out))


async def restore_log(settings: MonitorSettings, options: argparse.Namespace) -> Document:
    """Copy the log's objects back. Raises Unavailable, StartError and OSError."""
    async with Objects(Place.of(settings)) as objects:
        return asdict(await copies.restore(objects, options.folder))


def _database(settings: MonitorSettings) -> Database:
    return Database(Address.of(settings), size=1)


COMMANDS = (
    Command("migrate", "bring the database to this version's schema, make the bucket", migrate),
    Command("renew-incarnation", "make a restored database another store; watches start from a snapshot", renew),
    Command(
        "save-log",
        "copy the prediction log's objects into a folder, those it has not",
        save_log,
        (option("--out", type=Path, required=True, metavar="FOLDER", help="new, or of an earlier run"),),
    ),
    Command(
        "restore-log",
        "copy them back into the bucket",
        restore_log,
        (option("--from", type=Path, required=True, dest="folder", metavar="FOLDER", help="of save-log"),),
    ),
)
