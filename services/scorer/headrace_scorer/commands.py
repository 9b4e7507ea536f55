"""What operators run beside the scorer, with its settings; each prints one JSON object.

python -m headrace_scorer migrate    what the service does at its start
"""

from __future__ import annotations

import argparse

from headrace_servicekit.commands import Command, Document
from headrace_servicekit.postgres.connections import Address

from headrace_scorer.settings import ScorerSettings
from headrace_scorer.store import database


async def _migrate(settings: ScorerSettings, options: argparse.Namespace) -> Document:
    async with database(Address.of(settings), 2) as connections:
        await connections.migrate()
    return {"database": "has the schema of this version"}


COMMANDS = (Command("migrate", "bring the database to this version's schema", _migrate),)
