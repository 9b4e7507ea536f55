"""What operators run beside the rollout, with its settings; each prints one JSON object.

python -m headrace_rollout migrate    what the service does at its start
"""

from __future__ import annotations

import argparse

from headrace_servicekit.commands import Command, Document
from headrace_servicekit.postgres.connections import Address

from headrace_rollout.settings import RolloutSettings
from headrace_rollout.store import database


async def _migrate(settings: RolloutSettings, options: argparse.Namespace) -> Document:
    async with database(Address.of(settings), 2) as opened:
        await opened.migrate()
    return {"database": "has the schema of this version"}


COMMANDS = (Command("migrate", "bring the database to this version's schema", _migrate),)
