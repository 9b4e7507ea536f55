"""What operators run beside the console, with its settings; each prints one JSON object.

python -m headrace_console migrate    what the service does at its start
"""

from __future__ import annotations

import argparse

from headrace_servicekit.commands import Command, Document
from headrace_servicekit.postgres.connections import Address

from headrace_console.sessions.store import database
from headrace_console.settings import ConsoleSettings


async def _migrate(settings: ConsoleSettings, options: argparse.Namespace) -> Document:
    async with database(Address.of(settings), 2) as connections:
        await connections.migrate()
    return {"database": "has the schema of this version"}


COMMANDS = (Command("migrate", "bring the database to this version's schema", _migrate),)
