"""Lineage: RunEvents of OpenLineage on their way to whoever collects them, through the outbox."""

from __future__ import annotations

import json
from datetime import datetime
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

from headrace_servicekit.outbox.events import Event as Sent
from headrace_servicekit.outbox.events import Format
from headrace_servicekit.outbox.outbox import Notice, enqueue
from headrace_servicekit.postgres.migrated import MigratedDatabase
from headrace_servicekit.postgres.sql import load_queries

from headrace_scorer.decisions.jobs import Event, Job
from headrace_scorer.decisions.lineage import run_event

RECEIVER = "lineage"
SOURCE = "/headrace/scorer"
_QUERIES = load_queries("headrace_scorer.sql")
_CODE_VERSION = installed("headrace-scorer")


async def tell(connection: Any, job: Job, number: int, event: Event, time: datetime) -> None:
    """Have whoever collects lineage told of an event of a job, in the caller's transaction. number: of the event."""
    row = await connection.fetchrow(_QUERIES["lineage_receiver"], RECEIVER)
    if row is None:
        return
    told = run_event(job, event, time, row["incarnation"], _CODE_VERSION)
    if told is not None:
        await enqueue(connection, [Notice(RECEIVER, str(job.id), str(number), json.dumps(told))])


def event_in(row: Any) -> Sent:
    """Return what a row of deliveries tells."""
    told = json.loads(row["body"])
    run, type_ = told["run"]["runId"], told["eventType"]
    return Sent(
        row["id"], SOURCE, "openlineage.run", run, row["create_time"], told,
        headline=type_, about=told["job"]["name"], summary=type_, incident=run,
    )  # fmt: skip


class LineageReceiver:
    """Who collects lineage, as the settings say. key_file: with a bearer token."""

    def __init__(self, connections: MigratedDatabase, url: str, key_file: Path | None) -> None:
        self._connections, self._url, self._key_file = connections, url, key_file

    async def keep(self) -> None:
        """Have the database say what the settings say, as soon as it can. Raises Unavailable, OSError."""
        await self._connections.there.wait()
        if not self._url:
            async with self._connections.transaction() as connection:
                await connection.execute(_QUERIES["delete_receiver"], RECEIVER)
            return
        key = self._key_file.read_text(encoding="utf-8").strip() if self._key_file is not None else ""
        async with self._connections.transaction() as connection:
            await connection.execute(_QUERIES["put_receiver"], RECEIVER, self._url, key, Format.OPEN_LINEAGE.value)
