"""What operators run beside the control plane, with its settings; it prints one JSON object.

python -m headrace_router.control renew-incarnation    after the database was restored from a backup
python -m headrace_router.control migrate              what the service does at its start

Generations that a backup does not know are numbered again, for other tables. Under a new incarnation nobody takes them
for what they were: every data plane, batcher and control plane begins anew by itself, running or not. Safe to repeat.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence

from headrace_servicekit.errors import ServiceError
from headrace_servicekit.logs import set_up_logs
from headrace_servicekit.postgres.connections import Address, Connections
from headrace_servicekit.process import EXIT_FAILED, EXIT_OK, EXIT_SETTINGS
from headrace_servicekit.runtime import StartError
from headrace_servicekit.settings import SettingsError

from headrace_router.control.settings import ControlSettings
from headrace_router.control.storage.postgres import PostgresStore

RENEW, MIGRATE = "renew-incarnation", "migrate"
NAMES = (RENEW, MIGRATE)


def main(arguments: Sequence[str]) -> int:
    """Run one command and return the exit code: 0; 1 failed, 2 wrong usage or settings."""
    told = _parser().parse_args(arguments)
    try:
        settings = ControlSettings.load()
    except SettingsError as error:
        lines = "".join(f"  {line}\n" for line in str(error).splitlines())
        sys.stderr.write(f"router.control: the settings are wrong\n{lines}")
        return EXIT_SETTINGS
    set_up_logs("router.control", level=settings.log_level, log_format=settings.log_format)
    try:
        document = asyncio.run(told.act(settings))
    except (ServiceError, StartError) as error:
        sys.stderr.write(f"router.control: {error}\n")
        return EXIT_FAILED
    sys.stdout.write(json.dumps(document, indent=2) + "\n")
    return EXIT_OK


async def migrate(settings: ControlSettings) -> dict[str, str]:
    """Bring the store that the settings name to this code's schema. Raises Unavailable and StartError."""
    address = Address(settings.database_url, settings.database_passfile)
    async with PostgresStore(Connections(address, owner="router", size=1)) as store:
        await store.migrate()
        return {"database": "has the schema of this version"}


async def renew(settings: ControlSettings) -> dict[str, str]:
    """Renew the incarnation of the store that the settings name and return it. Raises Unavailable and StartError."""
    address = Address(settings.database_url, settings.database_passfile)
    async with PostgresStore(Connections(address, owner="router", size=1)) as store:
        await store.migrate()  # the backup may be older than this code
        return {"incarnation": await store.renew_incarnation()}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m headrace_router.control", description="Commands beside it.")
    commands = parser.add_subparsers(required=True)
    again = commands.add_parser(RENEW, help="make a restored database another store; watches begin anew")
    again.set_defaults(act=renew)
    schema = commands.add_parser(MIGRATE, help="bring the database to this version's schema")
    schema.set_defaults(act=migrate)
    return parser
