"""Rollouts in PostgreSQL: every change is conditional on the revision that it was decided from."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from headrace_servicekit.coordination.claims import WorkClaims
from headrace_servicekit.coordination.feeds import Position
from headrace_servicekit.coordination.revisions import Changed
from headrace_servicekit.errors import Aborted, AlreadyExists, NotFound
from headrace_servicekit.outbox.outbox import Notice, enqueue
from headrace_servicekit.outbox.webhooks import webhooks_of
from headrace_servicekit.postgres.connections import Address, Connections, Transactions
from headrace_servicekit.postgres.history import History
from headrace_servicekit.postgres.migrated import MigratedDatabase
from headrace_servicekit.postgres.sql import load_queries

from headrace_rollout.decisions import progress
from headrace_rollout.decisions.policies import Policy
from headrace_rollout.decisions.rollouts import Event, Rollout, Transition
from headrace_rollout.documents import notice_json, policy_json, policy_of, rollout_json, rollout_of

SQL = "headrace_rollout.sql"
HISTORY = History("rollout", ("number",), SQL, "rollouts")
_QUERIES = load_queries(SQL)

# Watches listen on the first; the leader on the second, which its own writes do not notify: each would be another turn.
CHANNEL, REQUESTS = "rollouts", "rollout_requests"
_ENDED = WorkClaims("rollouts", {"id": "bigint"}, due="held and not running", order="id", lease=timedelta(seconds=30))

Decide = Callable[[Rollout, datetime], Transition]
"""What becomes of a rollout at a time."""


@dataclass(frozen=True, slots=True)
class Request:
    """What makes a start repeatable. fingerprint: of the whole request."""

    client: str
    id: str
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class PastEvent:
    """A line of the history."""

    number: int
    time: datetime
    event: Event
    rollout: Rollout


def database(address: Address, size: int) -> MigratedDatabase:
    """Return the service's database."""
    return MigratedDatabase(address, owner="rollout service", size=size, sql=SQL)


class Store:
    """Every method raises Unavailable while the database cannot be reached."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def check(self) -> None:
        """Raise Unavailable unless the database answers and has the schema."""
        await self.position()

    async def start(self, wanted: Callable[[int, datetime], Transition], request: Request) -> Rollout:
        """Insert a rollout, or return the one that the request made before. wanted: builds it from its id and the time.

        Raises PreconditionFailed, reason ROLLOUT_RUNNING, and AlreadyExists, reason REQUEST_ID_REUSED.
        """
        async with self._connections.transaction() as connection:
            sequence = await connection.fetchval(_QUERIES["advance"])
            earlier = _repeated(await connection.fetch(_QUERIES["repeated"], request.client, request.id), request)
            if earlier is not None:
                return earlier
            now = await connection.fetchval(_QUERIES["now"])
            began = wanted(await connection.fetchval(_QUERIES["next_id"]), now)
            rollout = replace(began.rollout, revision=1)
            running = await connection.fetchval(_QUERIES["running_of_model"], rollout.model)
            if running is not None:
                raise progress.already_running(rollout.model, running)
            arguments = (rollout.id, rollout.model, rollout_json(rollout), sequence)
            await connection.execute(_QUERIES["insert"], *arguments, request.client, request.id, request.fingerprint)
            await _record_events(connection, rollout, began.events, now)
            await connection.execute(_QUERIES["wake_leader"])
            return rollout

    async def repeated(self, request: Request) -> Rollout | None:
        """Return the rollout that a request made before. Raises AlreadyExists, reason REQUEST_ID_REUSED."""
        return _repeated(await self._fetch("repeated", request.client, request.id), request)

    async def change(self, id_: int, decide: Decide, *, by: Transactions | None = None) -> Rollout:
        """Apply `decide` to the stored rollout and store the result if it differs.

        decide: gets the time by the database's clock, as all times of a rollout are. by: the leader's lease; a change
        after the lease is lost is refused. Raises NotFound, reason ROLLOUT_NOT_FOUND, Aborted on a concurrent change,
        and what `decide` raises.
        """
        async with (by or self._connections).transaction() as connection:
            row = await connection.fetchrow(_QUERIES["rollout"], id_)
            before = _existing(row, id_)
            now = row["read_time"]
            after = decide(before, now)
            if after.rollout == before and not after.events:
                return before
            rollout = await _save(connection, before, after, now)
            if by is None:
                await connection.execute(_QUERIES["wake_leader"])
            return rollout

    async def rollout(self, id_: int) -> Rollout:
        """Return a rollout. Raises NotFound, reason ROLLOUT_NOT_FOUND."""
        return (await self.rollout_and_time(id_))[0]

    async def rollout_and_time(self, id_: int) -> tuple[Rollout, datetime]:
        """Return a rollout, and the database's time. Raises as `rollout`."""
        found = await self._fetch("rollout", id_)
        return _existing(found[0] if found else None, id_), found[0]["read_time"]

    async def running(self) -> list[Rollout]:
        """Return the rollouts that are not over."""
        return [_rollout(row) for row in await self._fetch("running")]

    async def release_ended(self, release: Callable[[Rollout], Awaitable[object]]) -> None:
        """Call `release` for each ended rollout whose release is due, one at a time; a failed one is due again later.

        Raises the first error.
        """

        async def released(rows: list[Any]) -> None:
            for row in rows:
                await release(_rollout(row))
                async with self._connections.transaction() as connection:
                    await connection.execute(_QUERIES["released"], row["id"])

        await _ENDED.work_off(self._connections, released, limit=1)

    async def rollouts(self, *, before: int, model: str, running: bool, limit: int) -> list[Rollout]:
        """Return rollouts with ids below `before`, the latest first. model: empty for every one."""
        return [_rollout(row) for row in await self._fetch("rollouts", before, model, running, limit)]

    async def events(self, id_: int, *, before: int, limit: int) -> list[PastEvent]:
        """Return the history of a rollout, from the event before that number on, the latest first."""
        return [_past(row) for row in await self._fetch("events", id_, before, limit)]

    async def template(self, model: str) -> Policy | None:
        """Return the policy of a model's rollouts that are started without one."""
        found = await self._fetch("template", model)
        return policy_of(found[0]["document"]) if found else None

    async def put_template(self, model: str, policy: Policy | None) -> None:
        """Set or remove that policy."""
        async with self._connections.transaction() as connection:
            if policy is None:
                await connection.execute(_QUERIES["delete_template"], model)
            else:
                await connection.execute(_QUERIES["put_template"], model, policy_json(policy))

    async def position(self) -> Position:
        """Return the place of the last change."""
        return Position(*(await self._fetch("position"))[0])

    async def changed_since(self, sequence: int, *, limit: int) -> Sequence[Changed[Rollout]]:
        """Return what changed since, in the order of the last changes."""
        return [Changed(_rollout(row), row["sequence"]) for row in await self._fetch("changed_since", sequence, limit)]

    def wakes(self) -> AsyncIterator[None]:
        """Yield whenever something may have changed, until the connection ends; then raise Unavailable."""
        return self._connections.notices(CHANNEL)

    def requests(self) -> AsyncIterator[None]:
        """Yield as `wakes` does, but only whenever another process than the leader may have changed something."""
        return self._connections.notices(REQUESTS)

    async def _fetch(self, query: str, *arguments: Any) -> list[Any]:
        return await self._connections.repeatable(lambda connection: connection.fetch(_QUERIES[query], *arguments))


async def _save(connection: Any, before: Rollout, after: Transition, now: datetime) -> Rollout:
    sequence = await connection.fetchval(_QUERIES["advance"])
    rollout = replace(after.rollout, revision=before.revision + 1)
    arguments = (rollout.id, before.revision, not rollout.state.over, rollout_json(rollout), sequence)
    if await connection.fetchval(_QUERIES["update"], *arguments) is None:
        raise Aborted(f"{rollout.name} changed meanwhile: read it again", reason="ROLLOUT_CHANGED")
    await _record_events(connection, rollout, after.events, now)
    return rollout


async def _record_events(connection: Any, rollout: Rollout, events: Sequence[Event], now: datetime) -> None:
    """Store events of a rollout, enqueue their notifications and wake the watchers."""
    document = rollout_json(rollout)
    webhooks = await webhooks_of(connection, rollout.model) if events else []
    for event in events:
        arguments = (rollout.id, now, event.type, event.reason, event.client, document)
        number = await connection.fetchval(_QUERIES["insert_event"], *arguments)
        notices = [Notice(name, str(rollout.id), str(number), notice_json(event, rollout)) for name in webhooks]
        await enqueue(connection, notices)
    await connection.execute(_QUERIES["wake"])


def _existing(row: Any, id_: int) -> Rollout:
    if row is None:
        raise NotFound(f"there is no rollout {id_}", reason="ROLLOUT_NOT_FOUND")
    return _rollout(row)


def _repeated(found: Sequence[Any], request: Request) -> Rollout | None:
    if not found:
        return None
    if found[0]["fingerprint"] != request.fingerprint:
        raise AlreadyExists(f"request_id '{request.id}' was used for another rollout", reason="REQUEST_ID_REUSED")
    return _rollout(found[0])


def _rollout(row: Any) -> Rollout:
    return replace(rollout_of(row["document"]), revision=row["revision"])


def _past(row: Any) -> PastEvent:
    event = Event(row["type"], row["reason"], row["client"])
    return PastEvent(row["number"], row["create_time"], event, rollout_of(row["document"]))
