"""What operators run beside the autoscaler, with its settings; each prints one JSON object.

python -m headrace_autoscaler migrate    what the service does at its start
"""

from __future__ import annotations

import argparse

from headrace_servicekit.commands import Command, Document
from headrace_servicekit.postgres.connections import Address

from headrace_autoscaler.settings import AutoscalerSettings
from headrace_autoscaler.storage.database import Database


async def _migrate(settings: AutoscalerSettings, options: argparse.Namespace) -> Document:
    async with Database(Address.of(settings), size=2) as database:
        await database.migrate()
    return {"database": "has the schema of this version"}


COMMANDS = (Command("migrate", "bring the database to this version's schema", _migrate),)
