"""Publications in PostgreSQL: every change is conditional on the revision that it was decided from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from headrace_servicekit.errors import Aborted, NotFound
from headrace_servicekit.postgres.connections import Connections, Transactions
from headrace_servicekit.postgres.sql import load_queries
from pydantic import TypeAdapter

from headrace_scorer.decisions.jobs import Event
from headrace_scorer.decisions.publications import Publication

_QUERIES = load_queries("headrace_scorer.publishing.sql")
_PUBLICATION = TypeAdapter(Publication)
_TRIES = 20

Decide = Callable[[Publication, datetime], Publication]
"""What becomes of a publication at a time, by the database's clock."""


@dataclass(frozen=True, slots=True)
class InForce:
    """What is published for a version. frozen: what answers of the next job are compared with; empty for nothing."""

    publication: Publication
    frozen: str


class PublicationStore:
    """Every method raises Unavailable while the database cannot be reached."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def begin(self, publication: Publication, version_digest: str, event: Event | None = None) -> None:
        """Insert a publication unless the job has one. event: for the job's history."""
        arguments = (publication.job, publication.model, version_digest, publication.state.value, _json(publication))
        async with self._connections.transaction() as connection:
            if await connection.fetchval(_QUERIES["insert"], *arguments) is not None:
                await _tell(connection, publication.job, event)

    async def publication(self, job: int) -> Publication:
        """Return the publication of a job. Raises NotFound, reason PUBLICATION_NOT_FOUND."""
        found = await self._fetch("publication", job)
        return _existing(found[0] if found else None, job)

    async def change(
        self,
        job: int,
        decide: Decide,
        *,
        event: Event | None = None,
        frozen: str | None = None,
        by: Transactions | None = None,
    ) -> Publication:
        """Apply `decide` to the stored publication and store the result; retry on a concurrent change.

        event: for the job's history, written if the publication changes. frozen: new reference statistics of its
        answers; None leaves the stored ones. by: the lease of the worker; a change after the lease is lost is refused.
        Raises NotFound, and what `decide` raises.
        """
        for attempt in range(1, _TRIES + 1):
            try:
                async with (by or self._connections).transaction() as connection:
                    row = await connection.fetchrow(_QUERIES["publication"], job)
                    before = _existing(row, job)
                    after = replace(decide(before, row["read_time"]), revision=before.revision)
                    if after == before and frozen is None:
                        return before
                    arguments = (after.state.value, _json(after), frozen, after.publish_time)
                    if await connection.fetchval(_QUERIES["update"], job, before.revision, *arguments) is None:
                        raise Aborted(f"{before.name} changed meanwhile", reason="PUBLICATION_CHANGED")
                    await _tell(connection, job, event)
                    return replace(after, revision=before.revision + 1)
            except Aborted as error:
                if error.reason != "PUBLICATION_CHANGED" or attempt == _TRIES:
                    raise
        raise AssertionError("unreachable")

    async def wanting_work(self) -> list[Publication]:
        """Return the publications that need work, by job number."""
        return [_publication(row) for row in await self._fetch("wanting_work")]

    async def unpublished(self) -> list[int]:
        """Return the numbers of jobs whose results are to be published and are not yet."""
        return [row["id"] for row in await self._fetch("unpublished")]

    async def in_force(self, publication: Publication, version_digest: str) -> InForce | None:
        """Return the latest other publication in force for a publication's version; None without one."""
        found = await self._fetch("in_force", publication.model, version_digest, publication.job)
        return InForce(_publication(found[0]), found[0]["frozen"]) if found else None

    async def _fetch(self, query: str, *arguments: Any) -> list[Any]:
        return await self._connections.repeatable(lambda connection: connection.fetch(_QUERIES[query], *arguments))


async def _tell(connection: Any, job: int, event: Event | None) -> None:
    if event is not None:
        await connection.execute(_QUERIES["lock_job"], job)
        await connection.execute(_QUERIES["tell"], job, event.type, event.reason, event.client)


def _json(publication: Publication) -> str:
    return _PUBLICATION.dump_json(publication).decode()


def _existing(row: Any, job: int) -> Publication:
    if row is None:
        raise NotFound(f"the results of scoring job {job} were never to be published", reason="PUBLICATION_NOT_FOUND")
    return _publication(row)


def _publication(row: Any) -> Publication:
    return replace(_PUBLICATION.validate_json(row["document"]), revision=row["revision"])
