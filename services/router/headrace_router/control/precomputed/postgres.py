"""Publishes in PostgreSQL. Every method raises Unavailable while it cannot be reached."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from headrace_servicekit.errors import AlreadyExists, NotFound, ResourceExhausted
from headrace_servicekit.fair_share import Pool
from headrace_servicekit.identity import identity
from headrace_servicekit.postgres.connections import Connections
from headrace_servicekit.postgres.sql import load_queries

from headrace_router.control.decisions.stored_answers import Origin
from headrace_router.control.precomputed.decisions.places import Place
from headrace_router.control.precomputed.decisions.publishes import Declared, Publish, State

_SQL = "headrace_router.control.precomputed.sql"


class PublishRows:
    """Uses connections that its caller opens; the schema is the control plane's."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._sql = load_queries(_SQL)
        self._beginning = asyncio.Lock()

    async def begin(
        self, place: Place, model: str, version: str, declared: Declared, *, size: int, now: datetime, pool: Pool
    ) -> Publish:
        """Begin a publish and return it; the one that the request id began before, if any.

        place: generation is the one that counts now. size: bytes that it will take as far as is known. pool: of
        open publishes. Raises ResourceExhausted, reason TOO_MANY_PUBLISHES or that of its share, and AlreadyExists,
        reason REQUEST_ID_REUSED.
        """
        # A request without an id gets one, so that a connection that breaks leaves no second publish behind.
        declared = replace(declared, request_id=declared.request_id or str(uuid4()))
        async with self._beginning:  # those that begin at once count each other
            ((used, held),) = await self._fetch("open", declared.client)
            try:
                pool.admit(used, held, identity())
            except ResourceExhausted:
                earlier = await self.repeated(declared)
                if earlier is None:
                    raise
                return earlier
            rows = await self._fetch(
                "begin",
                place.incarnation, model, version, place.digest, place.generation, declared.declared_rows, size,
                declared.client, declared.request_id, declared.fingerprint, declared.computed_at, declared.ttl, now,
                pool.places, declared.origin.run, declared.origin.manifest,
            )  # fmt: skip
        if rows:
            return _publish(rows[0])
        earlier = await self.repeated(declared)
        if earlier is None:  # another control plane took the last place
            raise pool.full()
        return earlier

    async def repeated(self, declared: Declared) -> Publish | None:
        """Return the publish that the request id began before. Raises AlreadyExists, reason REQUEST_ID_REUSED."""
        rows = await self._fetch("by_request", declared.client, declared.request_id) if declared.request_id else []
        if not rows:
            return None
        if rows[0]["fingerprint"] != declared.fingerprint:
            raise AlreadyExists(
                f"request_id '{declared.request_id}' was used for another publish", reason="REQUEST_ID_REUSED"
            )
        return _publish(rows[0])

    async def get(self, generation: int) -> Publish | None:
        """Return a publish by its number."""
        rows = await self._fetch("by_generation", generation)
        return _publish(rows[0]) if rows else None

    async def kept(self, model: str | None = None) -> list[Publish]:
        """Return, by number, those whose rows may be in the store; of one model or of all."""
        rows = await (self._fetch("kept") if model is None else self._fetch("kept_of_model", model))
        return [_publish(row) for row in rows]

    async def bytes_of_others(self, generation: int = 0) -> int:
        """Return what all generations but one take, or have declared."""
        ((size,),) = await self._fetch("bytes_of_others", generation)
        return size

    async def note(self, generation: int, rows: int, entities: int, size: int) -> bool:
        """Note how far an open publish is, and that its publisher is active; False when it is no longer open."""
        return bool(await self._fetch("note", generation, rows, entities, size))

    async def commit(self, generation: int, at: datetime, expires_at: datetime | None) -> bool:
        """Note that a publish counts; False when that was known."""
        return bool(await self._fetch("commit", generation, at, expires_at))

    async def counted(self, generation: int, rows: int, entities: int, size: int) -> None:
        """Note what a publish has, now that it is complete."""
        await self._fetch("counted", generation, rows, entities, size)

    async def abort(self, generation: int, reason: str) -> bool:
        """Give an open publish up; False when it was not open."""
        return bool(await self._fetch("abort", generation, reason))

    async def abandoned(self, after: timedelta) -> list[Publish]:
        """Return the open publishes that got no rows for so long."""
        return [_publish(row) for row in await self._fetch("abandoned", after)]

    async def close(self, generations: Sequence[int], newest_table: int) -> None:
        """Note that generations no longer count. newest_table: number of the newest table."""
        await self._fetch("close", list(generations), newest_table)

    async def reopen(self, generations: Sequence[int]) -> None:
        """Note that generations count again."""
        await self._fetch("reopen", list(generations))

    async def closed_for(self, at_least: timedelta) -> frozenset[int]:
        """Return those closed at least so long ago, by the database's clock."""
        return frozenset(row["generation"] for row in await self._fetch("closed_for", at_least))

    async def removed(self, generations: Sequence[int]) -> None:
        """Note that the rows of generations are gone."""
        await self._fetch("removed", list(generations))

    async def former_incarnations(self) -> list[str]:
        """Return the stores that this one was before, whose answers may still be there."""
        return [str(row["incarnation"]) for row in await self._fetch("former_incarnations")]

    async def former_removed(self, incarnations: Sequence[str]) -> None:
        """Note that the answers of former stores are gone."""
        await self._fetch("former_removed", list(incarnations))

    async def _fetch(self, query: str, *arguments: Any) -> list[Any]:
        """Run one query that is safe to repeat."""
        return await self._connections.repeatable(lambda connection: connection.fetch(self._sql[query], *arguments))


def not_found(name: str) -> NotFound:
    """Return the error for a publish that does not exist."""
    return NotFound(f"publish '{name}' not found", reason="PUBLISH_NOT_FOUND", metadata={"publish": name})


def _publish(row: Any) -> Publish:
    return Publish(
        generation=row["generation"],
        incarnation=str(row["incarnation"]),
        model=row["model"],
        version=row["version"],
        digest=row["digest"],
        state=State(row["state"]),
        state_reason=row["state_reason"],
        expected=row["expected"],
        declared_rows=row["declared_rows"],
        rows=row["rows"],
        entities=row["entities"],
        bytes=row["bytes"],
        client=row["client"],
        computed_at=row["computed_at"],
        ttl=row["ttl"],
        begun_at=row["begun_at"],
        committed_at=row["committed_at"],
        expires_at=row["expires_at"],
        closed_at=row["closed_at"],
        closed_after=row["closed_after"],
        origin=Origin(row["origin_run"], row["origin_manifest"]),
    )
