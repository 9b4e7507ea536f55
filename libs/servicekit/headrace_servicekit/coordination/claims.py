"""Several replicas take work from one table: each piece is one replica's for a lease on the database's clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

_FREE = "(claimed_until is null or claimed_until <= now())"

_CLAIM = """
with picked as (
    select ctid from {table} where {due} and {free} and {group} order by {order} limit $1 for update skip locked
)
update {table} as work set claims = claims + 1, claimed_until = now() + $2::interval
from picked where work.ctid = picked.ctid returning work.*
"""
_GROUP = "{column} = (select {column} from {table} where {due} and {free} order by {order} limit 1)"


class WorkClaims:
    """Claims on the rows of a table, which has these columns for them:

    `claims int not null default 0`: how often a row was claimed, for who counts attempts, and as the fence of a claim;
    `claimed_until timestamptz`: null while nobody is at it.

    key: the primary key, and the types of its columns. due: when a row wants work, in SQL; its parameters begin at $3.
    order: which come first. group: a column of which one value is claimed at a time, that of the first row. All of
    these are parts of a program, never what somebody sent.
    """

    def __init__(
        self, table: str, key: Mapping[str, str], *, due: str, order: str, lease: timedelta, group: str = ""
    ) -> None:
        self._key, self._lease = tuple(key), lease
        words = {"table": table, "due": due, "free": _FREE, "order": order}
        words["group"] = _GROUP.format(column=group, **words) if group else "true"
        self._claim = _CLAIM.format(**words)
        columns = {**key, "claims": "int"}
        arrays = ", ".join(f"${at}::{kind}[]" for at, kind in enumerate(columns.values(), 1))
        time = f"${len(columns) + 1}::timestamptz[]"
        same = " and ".join(f"work.{column} = held.{column}" for column in columns)
        held = f"unnest({arrays}) as held ({', '.join(columns)}) where {same}"
        until = f"unnest({arrays}, {time}) as held ({', '.join(columns)}, time) where {same}"
        self._mine = f"select work.* from {table} as work, {held} for update of work"
        self._release = f"update {table} as work set claimed_until = null from {held}"
        self._postpone = f"update {table} as work set claimed_until = null, next_try = held.time from {until}"

    async def claim(self, connection: Any, limit: int, *arguments: Any) -> list[Any]:
        """Claim at most so many rows that are due and return them; others leave them alone until the lease is over.

        Commit before the work begins. arguments: of `due`.
        """
        return await connection.fetch(self._claim, limit, self._lease, *arguments)

    async def mine(self, connection: Any, rows: Sequence[Any]) -> list[Any]:
        """Lock the rows that nobody has claimed since and return them: what is written of them is written once."""
        return await connection.fetch(self._mine, *self._columns(rows))

    async def release(self, connection: Any, rows: Sequence[Any]) -> None:
        """Let others claim rows at once."""
        await connection.execute(self._release, *self._columns(rows))

    async def postpone(self, connection: Any, rows: Sequence[Any], times: Sequence[datetime]) -> None:
        """Let others claim rows, each from its time on (column `next_try`)."""
        await connection.execute(self._postpone, *self._columns(rows), times)

    def _columns(self, rows: Sequence[Any]) -> list[list[Any]]:
        return [[row[column] for row in rows] for column in (*self._key, "claims")]
