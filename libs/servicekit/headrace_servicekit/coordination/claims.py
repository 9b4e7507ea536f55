"""Several replicas take work from one table: each piece is one replica's for a lease on the database's clock."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from typing import Any

import structlog

from headrace_servicekit.errors import Unavailable
from headrace_servicekit.loops import delay_s
from headrace_servicekit.postgres.connections import Transactions

log = structlog.get_logger()

# Before rows are claimed again after the first failure, and at most. That is longer than a loop backs off, so rows that
# always fail leave each second step to the others.
FIRST_PAUSE_S = 1.0
MAX_PAUSE_S = 60.0
# In one go: of claims, so that a loop is seen to be well, and of failures.
MAX_TURNS = 1000
MAX_FAILURES = 5
RETRY_S = 0.5
MAX_RETRY_S = 5.0

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

    `claims int not null default 0`: how often a row was claimed: counts attempts, and fences a claim; `claimed_until
    timestamptz`: null while no process works on the row.

    key: the primary key, and the types of its columns. due: when a row wants work, in SQL; its parameters begin at $3.
    order: which come first. group: a column of which one value is claimed at a time, that of the first row. queue: the
    time column of `order`, if it has one: rows that failed move behind those that were due before. All of these are SQL
    from the program, never from a request.
    """

    def __init__(
        self,
        table: str,
        key: Mapping[str, str],
        *,
        due: str,
        order: str,
        lease: timedelta,
        group: str = "",
        queue: str = "",
    ) -> None:
        self._table, self._key, self._lease = table, tuple(key), lease
        words = {"table": table, "due": due, "free": _FREE, "order": order}
        words["group"] = _GROUP.format(column=group, **words) if group else "true"
        self._claim = _CLAIM.format(**words)
        columns = {**key, "claims": "int"}
        arrays = ", ".join(f"${at}::{kind}[]" for at, kind in enumerate(columns.values(), 1))
        time, pause = f"${len(columns) + 1}::timestamptz[]", f"${len(columns) + 1}::interval[]"
        same = " and ".join(f"work.{column} = held.{column}" for column in columns)
        same += " and work.claimed_until is not null"
        held = f"unnest({arrays}) as held ({', '.join(columns)}) where {same}"
        until = f"unnest({arrays}, {time}) as held ({', '.join(columns)}, time) where {same}"
        paused = f"unnest({arrays}, {pause}) as held ({', '.join(columns)}, pause) where {same}"
        moved = f", {queue} = greatest(work.{queue}, now())" if queue else ""
        self._mine = f"select work.* from {table} as work, {held} for update of work"
        self._release = f"update {table} as work set claimed_until = null from {held}"
        self._postpone = f"update {table} as work set claimed_until = null, next_try = held.time from {until}"
        self._give_back = f"update {table} as work set claimed_until = now() + held.pause{moved} from {paused}"

    async def work_off(
        self,
        connections: Transactions,
        work: Callable[[list[Any]], Awaitable[object]],
        *,
        limit: int,
        arguments: Callable[[], Sequence[Any]] = tuple,
    ) -> None:
        """Claim what is due and hand it to `work`, so many rows at a time, until nothing is due.

        What fails rests while the others have their turns; the first failure is raised in the end, or as soon as too
        many failed for it to be the rows' fault. arguments: of `due`, read for each claim.
        """
        failures: list[Exception] = []
        for _ in range(MAX_TURNS):
            async with connections.transaction() as connection:
                rows = await self.claim(connection, limit, *arguments())
            if not rows:
                break
            try:
                async with self.attempt(connections, rows):
                    await work(rows)
            except Exception as error:
                failures.append(error)
                if len(failures) == MAX_FAILURES:
                    break
                log.warning("claimed work failed", table=self._table, rows=len(rows), error=repr(error))
        if failures:
            raise failures[0]

    @asynccontextmanager
    async def attempt(self, connections: Transactions, rows: Sequence[Any]) -> AsyncIterator[None]:
        """Work on claimed rows in a block. Its errors propagate, but release the claims before the lease expires.

        When the block fails, others may claim the rows after a pause in seconds that grows with the claims; when it is
        cancelled, at once. If the database is down, the rows are released when it returns.
        """
        try:
            yield
        except asyncio.CancelledError:
            with suppress(Unavailable):
                async with connections.transaction() as connection:
                    await self.release(connection, rows)
            raise
        except Exception:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._lease.total_seconds()):
                    await self._fail(connections, rows)
            raise

    async def claim(self, connection: Any, limit: int, *arguments: Any) -> list[Any]:
        """Claim at most so many rows that are due and return them; others leave them alone until the lease is over.

        Commit before the work begins. arguments: of `due`.
        """
        return await connection.fetch(self._claim, limit, self._lease, *arguments)

    async def mine(self, connection: Any, rows: Sequence[Any]) -> list[Any]:
        """Lock the rows whose claims have not ended and return them.

        What is written of them is written once, also by who repeats it without having heard of the commit, if the same
        transaction ends the claims: it deletes the rows, or sets `claimed_until` null, as `release` and `postpone` do.
        """
        return await connection.fetch(self._mine, *self._columns(rows))

    async def release(self, connection: Any, rows: Sequence[Any]) -> None:
        """Let others claim rows at once."""
        await connection.execute(self._release, *self._columns(rows))

    async def postpone(self, connection: Any, rows: Sequence[Any], times: Sequence[datetime]) -> None:
        """Let others claim rows, each from its time on (column `next_try`)."""
        await connection.execute(self._postpone, *self._columns(rows), times)

    async def _fail(self, connections: Transactions, rows: Sequence[Any]) -> None:
        draw = random.random()  # one for all: rows that were claimed together stay together
        pauses = [pause_after(row["claims"], draw) for row in rows]
        for failures in itertools.count(1):
            try:
                async with connections.transaction() as connection:
                    await connection.execute(self._give_back, *self._columns(rows), pauses)
                return
            except Unavailable as error:
                if failures == 1:
                    log.warning("claims are not given back yet", table=self._table, reason=error.public_message)
            await asyncio.sleep(
                delay_s(failures, every_s=RETRY_S, max_backoff_s=MAX_RETRY_S, jitter=0.2, draw=random.random())
            )

    def _columns(self, rows: Sequence[Any]) -> list[list[Any]]:
        return [[row[column] for row in rows] for column in (*self._key, "claims")]


def pause_after(claims: int, draw: float) -> timedelta:
    """Return how long rows rest that failed after so many claims. draw: uniform in [0, 1)."""
    seconds = delay_s(claims, every_s=FIRST_PAUSE_S / 2, max_backoff_s=MAX_PAUSE_S, jitter=0.2, draw=draw)
    return timedelta(seconds=seconds)
