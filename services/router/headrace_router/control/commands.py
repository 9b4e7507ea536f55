"""What operators run beside the control plane, with its settings; each prints one JSON object.

python -m headrace_router.control renew-incarnation    after the database was restored from a backup
python -m headrace_router.control verify [--heads FOLDER] [--since FILE] [--out FILE] [--new-sequence REASON]
                                                       that the history of routes was not changed
python -m headrace_router.control migrate              what the service does at its start

Generations that a backup does not know are numbered again, for other tables. Under a new incarnation no data plane
confuses the two: each data plane, batcher and control plane begins again by itself, running or not. Safe to repeat.
"""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from headrace_servicekit.commands import Command, Document
from headrace_servicekit.postgres.connections import Address, Connections
from headrace_servicekit.postgres.head_storage import heads_of
from headrace_servicekit.postgres.history import verify_command

from headrace_router.control.settings import ControlSettings
from headrace_router.control.storage.postgres import HISTORY, PostgresStore


@asynccontextmanager
async def _store(settings: ControlSettings) -> AsyncIterator[PostgresStore]:
    async with PostgresStore(Connections(Address.of(settings), owner="router", size=1)) as store:
        await store.migrate()  # a backup may be older than this code
        yield store


@asynccontextmanager
async def _database(settings: ControlSettings) -> AsyncIterator[Connections]:
    async with _store(settings) as store:
        yield store.connections


async def _migrate(settings: ControlSettings, options: argparse.Namespace) -> Document:
    async with _store(settings):
        return {"database": "has the schema of this version"}


async def _renew(settings: ControlSettings, options: argparse.Namespace) -> Document:
    async with _store(settings) as store:
        return {"incarnation": await store.renew_incarnation()}


COMMANDS = (
    Command("renew-incarnation", "make a restored database another store; watches start from a snapshot", _renew),
    verify_command(HISTORY, _database, heads_of(HISTORY)),
    Command("migrate", "bring the database to this version's schema", _migrate),
)
