"""What operators run beside the monitor, with its settings; it prints one JSON object.

python -m headrace_monitor migrate              what the service does at its start
python -m headrace_monitor renew-incarnation    after the database was restored from a backup
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence

from headrace_servicekit.errors import ServiceError, Unavailable
from headrace_servicekit.logs import set_up_logs
from headrace_servicekit.postgres.connections import Address
from headrace_servicekit.runtime import EXIT_FAILED, EXIT_OK, EXIT_SETTINGS, StartError
from headrace_servicekit.settings import SettingsError

from headrace_monitor.settings import MonitorSettings
from headrace_monitor.storage import schema
from headrace_monitor.storage.schema import Database

RENEW, MIGRATE = "renew-incarnation", "migrate"
NAMES = (RENEW, MIGRATE)


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
        document = asyncio.run(told.act(settings))
    except (ServiceError, StartError) as error:
        sys.stderr.write(f"monitor: {error}\n")
        return EXIT_FAILED
    sys.stdout.write(json.dumps(document, indent=2) + "\n")
    return EXIT_OK


async def migrate(settings: MonitorSettings) -> dict[str, str]:
    """Bring the database that the settings name to this code's schema. Raises Unavailable and StartError."""
    async with _database(settings) as database:
        await _prepare(database)
        return {"database": "has the schema of this version"}


async def renew(settings: MonitorSettings) -> dict[str, str]:
    """Renew the incarnation of the database that the settings name and return it. Raises Unavailable and StartError."""
    async with _database(settings) as database:
        await _prepare(database)  # the backup may be older than this code
        return {"incarnation": await schema.renew_incarnation(database)}


def _database(settings: MonitorSettings) -> Database:
    return Database(Address(settings.database_url, settings.database_passfile), size=1)


async def _prepare(database: Database) -> None:
    if not await schema.prepared(database):
        raise Unavailable("the monitor's database cannot be reached", reason=schema.REASON)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m headrace_monitor", description="Commands beside the service.")
    commands = parser.add_subparsers(required=True)
    schema_ = commands.add_parser(MIGRATE, help="bring the database to this version's schema")
    schema_.set_defaults(act=migrate)
    again = commands.add_parser(RENEW, help="make a restored database another store; watches begin anew")
    again.set_defaults(act=renew)
    return parser
