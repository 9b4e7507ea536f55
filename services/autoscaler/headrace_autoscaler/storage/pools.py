"""Pools and their policies: written by operators, read by the leader and by callers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any

from headrace_servicekit.coordination.feeds import Position
from headrace_servicekit.errors import Aborted, NotFound, ResourceExhausted
from headrace_servicekit.postgres.connections import Connections

from headrace_autoscaler.storage.database import QUERIES
from headrace_autoscaler.storage.values import Pause, PolicyRow, PoolChange, PoolRow

CHANNEL = "pools"
STARTS_KEPT = 20
_PAGE = 200


class Pools:
    """The tables of pools and policies. Every method raises Unavailable while the database cannot be reached."""

    def __init__(self, connections: Connections, *, most: int) -> None:
        self._connections, self._most = connections, most

    async def put_policy(
        self, pool: str, document: str, client: str, etag: str, *, validate_only: bool = False
    ) -> PoolRow:
        """Set the policy of a pool. etag: expected etag of the current policy; empty skips the check.

        The document that is in force changes nothing. Raises Aborted, reason ETAG_MISMATCH, and ResourceExhausted,
        reason TOO_MANY_POLICIES.
        """
        async with self._connections.transaction(validate_only=validate_only) as connection:
            sequence = await connection.fetchval(QUERIES["next_sequences"], 1)  # writers are one after the other
            current = await _locked(connection, pool)
            _check_etag(pool, current, etag)
            if current is None and await connection.fetchval(QUERIES["count_pools"]) >= self._most:
                raise ResourceExhausted(
                    f"{self._most} pools have a policy, which is the most: delete one first", reason="TOO_MANY_POLICIES"
                )
            if current is None or current.document != document:
                made = await connection.fetchrow(QUERIES["add_policy"], pool, document, client)
                await connection.execute(QUERIES["put_pool"], pool, made["revision"], sequence)
            return _pool(await connection.fetchrow(QUERIES["pool"], pool))

    async def delete_policy(self, pool: str, etag: str) -> None:
        """Take the policy of a pool away. Raises Aborted, reason ETAG_MISMATCH."""
        async with self._connections.transaction() as connection:
            sequence = await connection.fetchval(QUERIES["next_sequences"], 1)
            current = await _locked(connection, pool)
            if current is None:
                return
            _check_etag(pool, current, etag)
            await connection.execute(QUERIES["drop_policy"], pool, sequence)

    async def pause(self, pool: str, reason: str, client: str) -> PoolRow:
        """Hold a pool. Raises NotFound."""
        return await self._change("pause", pool, reason, client)

    async def resume(self, pool: str) -> PoolRow:
        """Hold a pool no more. Raises NotFound."""
        return await self._change("resume", pool)

    async def await_replica(self, pool: str, hold: timedelta) -> list[float]:
        """Keep that requests wait for a replica, for so long, and return how long its last replicas took to start.

        A pool that is held, or has no policy, is left as it is.
        """
        async with self._connections.transaction() as connection:
            await connection.fetchval(QUERIES["await_pool"], pool, hold)
            return [row["duration_s"] for row in await connection.fetch(QUERIES["starts_of"], pool, STARTS_KEPT)]

    async def _change(self, query: str, pool: str, *arguments: Any) -> PoolRow:
        async with self._connections.transaction() as connection:
            sequence = await connection.fetchval(QUERIES["next_sequences"], 1)
            if await connection.fetchval(QUERIES[query], pool, *arguments, sequence) is None:
                raise policy_not_found(pool)
            return _pool(await connection.fetchrow(QUERIES["pool"], pool))

    async def pool(self, pool: str) -> PoolRow:
        """Return a pool that has a policy. Raises NotFound."""
        row = await self._connections.repeatable(lambda connection: connection.fetchrow(QUERIES["pool"], pool))
        if row is None:
            raise policy_not_found(pool)
        return _pool(row)

    async def pools(self, after: str, limit: int) -> list[PoolRow]:
        """Return pools that have a policy, by name, behind one."""
        rows = await self._connections.repeatable(lambda connection: connection.fetch(QUERIES["pools"], after, limit))
        return [_pool(row) for row in rows]

    async def policy(self, revision: int) -> PolicyRow:
        """Return a policy by its revision; there is one for each decision that is kept."""
        row = await self._connections.repeatable(lambda connection: connection.fetchrow(QUERIES["policy"], revision))
        return policy_row(row)

    async def snapshot(self) -> AsyncIterator[PoolChange]:
        """Yield every pool once."""
        sequence = 0
        while changes := await self.changed_since(sequence, limit=_PAGE):
            for change in changes:
                yield change
            sequence = changes[-1].sequence

    async def position(self) -> Position:
        row = await self._connections.repeatable(lambda connection: connection.fetchrow(QUERIES["position"]))
        return Position(row["incarnation"], row["sequence"])

    async def changed_since(self, sequence: int, *, limit: int) -> Sequence[PoolChange]:
        rows = await self._connections.repeatable(
            lambda connection: connection.fetch(QUERIES["changed_since"], sequence, limit)
        )
        return [PoolChange(row["pool"], row["sequence"]) for row in rows]

    def wakes(self) -> AsyncIterator[None]:
        return self._connections.notices(CHANNEL)


def policy_not_found(pool: str) -> NotFound:
    """Return the refusal of a pool without a policy."""
    return NotFound(
        f"pool '{pool}' has no policy: give it one with `headrace autoscale policy put`",
        reason="POLICY_NOT_FOUND",
        metadata={"pool": pool},
    )


async def _locked(connection: Any, pool: str) -> PolicyRow | None:
    """Lock a pool, and return the policy that it has."""
    row = await connection.fetchrow(QUERIES["lock_pool"], pool)
    if row is None or row["revision"] is None:
        return None
    return policy_row(await connection.fetchrow(QUERIES["policy"], row["revision"]))


def _check_etag(pool: str, current: PolicyRow | None, etag: str) -> None:
    now = "" if current is None else current.etag
    if etag and etag != now:
        raise Aborted(
            f"the policy of pool '{pool}' changed since it was read: read it again, then decide again",
            reason="ETAG_MISMATCH",
            metadata={"current_etag": now},
        )


def _pool(row: Any) -> PoolRow:
    pause = None
    if row["pause_time"] is not None:
        pause = Pause(row["pause_time"], row["pause_reason"], row["pause_client"])
    return PoolRow(
        pool=row["pool"],
        policy=policy_row(row),
        pause=pause,
        memory=row["memory"],
        acting=row["acting"],
        decision=row["decision"],
        problems=tuple(row["problems"]),
    )


def policy_row(row: Any) -> PolicyRow:
    """Return the policy in a row."""
    return PolicyRow(row["pool"], row["revision"], row["policy"], row["create_time"], row["client"])
