"""Operators' commands, which use the service's settings; each prints one JSON object.

python -m headrace_rollout verify [--heads FOLDER] [--since FILE] [--out FILE] [--new-sequence REASON]
                                                                check that the rollout history is unchanged
python -m headrace_rollout migrate                              migrate the schema, as the service does at its start
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from headrace_servicekit.postgres.connections import Address, Connections
from headrace_servicekit.postgres.head_storage import heads_of
from headrace_servicekit.postgres.history import verify_command
from headrace_servicekit.postgres.migrated import migrate_command

from headrace_rollout.settings import RolloutSettings
from headrace_rollout.store import HISTORY, database


@asynccontextmanager
async def _database(settings: RolloutSettings) -> AsyncIterator[Connections]:
    async with database(Address.of(settings), size=1) as opened:
        await opened.migrate()
        yield opened


COMMANDS = (verify_command(HISTORY, _database, heads_of(HISTORY)), migrate_command(database))
