"""The lineage collector: a receiver of the outbox that the settings name.

It is a row of `webhooks` with a name that users cannot choose, the format OPEN_LINEAGE and no model. The database's
`webhooks` have a column `model`, and their check takes that format.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headrace_servicekit.outbox.events import Format
from headrace_servicekit.outbox.outbox import Notice
from headrace_servicekit.postgres.connections import Connections
from headrace_servicekit.postgres.sql import load_queries

RECEIVER = ".lineage"
_NO_MODEL = ".lineage"
_QUERIES = load_queries("headrace_servicekit.outbox.sql")


async def is_collected(connection: Any) -> bool:
    """Return whether anybody collects lineage."""
    return await connection.fetchval(_QUERIES["has_webhook"], RECEIVER)


def lineage_notice(topic: str, once: str, run_event: Mapping[str, Any]) -> Notice:
    """Return what is enqueued of a RunEvent."""
    return Notice(RECEIVER, topic, once, json.dumps(run_event))


class LineageReceiver:
    """Who collects lineage, as the settings say. there: set once the schema is. key_file: with a bearer token."""

    def __init__(self, connections: Connections, there: asyncio.Event, url: str, key_file: Path | None) -> None:
        self._connections, self._there, self._url, self._key_file = connections, there, url, key_file

    async def keep(self) -> None:
        """Have the database say what the settings say, as soon as it can. Raises Unavailable, OSError."""
        await self._there.wait()
        if not self._url:
            async with self._connections.transaction() as connection:
                await connection.execute(_QUERIES["delete_webhook"], RECEIVER)
            return
        key = self._key_file.read_text(encoding="utf-8").strip() if self._key_file is not None else ""
        arguments = (RECEIVER, self._url, key, Format.OPEN_LINEAGE.value, _NO_MODEL, "")
        async with self._connections.transaction() as connection:
            await connection.execute(_QUERIES["put_webhook"], *arguments)
