"""A database with the tables of `headrace_servicekit.coordination`, and leaders and workers as processes of their own.

`python -m tests.kit.stores.coordination lead URL NAME` leads and writes its name and fence into `writes` for as long as
it lives; `work` claims items and writes each of them.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from importlib import resources

from headrace_servicekit.clock import SystemClock
from headrace_servicekit.coordination.claims import WorkClaims
from headrace_servicekit.coordination.leases import LeaderLease
from headrace_servicekit.postgres.connections import Address, Connections

from tests.kit.clients.commands import PYTHON

LEASE = timedelta(seconds=1)


class ShiftedClock(SystemClock):
    """A replica's clock that is wrong."""

    def __init__(self, by: timedelta) -> None:
        self._by = by

    def now(self) -> datetime:
        return super().now() + self._by

    def monotonic(self) -> float:
        return super().monotonic() + self._by.total_seconds()


async def prepare(connections: Connections) -> None:
    """Make the tables, and one to write to."""
    sql = resources.files("headrace_servicekit.coordination.sql")
    async with connections.transaction() as connection:
        await connection.execute(sql.joinpath("leader_leases.sql").read_text())
        await connection.execute(
            "create table writes (id bigserial primary key, writer text not null, fence bigint not null);"
            "create table items (id int primary key, kind text not null default '', next_try timestamptz not null"
            " default '-infinity', claims int not null default 0, claimed_until timestamptz)"
        )


async def write(lease: LeaderLease, writer: str) -> None:
    """Write one row as the leader. Raises Aborted."""
    async with lease.transaction() as connection:
        await connection.execute("insert into writes (writer, fence) values ($1, $2)", writer, lease.fence)


def claims_of(lease: timedelta = LEASE, group: str = "") -> WorkClaims:
    """Return claims on items."""
    words = {"due": "next_try <= now()", "order": "next_try, id", "queue": "next_try"}
    return WorkClaims("items", {"id": "int"}, **words, lease=lease, group=group)


async def writers(connections: Connections) -> list[tuple[str, int]]:
    """Return who wrote under which fence, in order."""
    rows = await connections.repeatable(lambda connection: connection.fetch("select * from writes order by id"))
    return [(row["writer"], row["fence"]) for row in rows]


@asynccontextmanager
async def coordinated(what: str, url: str, name: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a process that does `lead` or `work` until the block ends, whatever became of it."""
    started = await asyncio.create_subprocess_exec(
        *(*PYTHON, "tests.kit.stores.coordination", what, url, name), stdout=asyncio.subprocess.DEVNULL
    )
    try:
        yield started
    finally:
        if started.returncode is None:
            started.kill()
        await started.wait()


async def _lead(url: str, name: str) -> None:
    shift = timedelta(hours=1) if name == "ahead" else timedelta(hours=-1) if name == "behind" else timedelta(0)
    async with Connections(Address(url), owner="test", size=3) as connections:
        lease = LeaderLease(connections, "work", ShiftedClock(shift), lease=LEASE)

        async def step() -> bool:
            # A step that reads long before it writes, so that a pause mostly falls in between.
            await asyncio.sleep(0.05)
            await write(lease, name)
            return True

        await lease.lead(step, every_s=0.05)


async def _work(url: str, name: str) -> None:
    claims = claims_of()
    async with Connections(Address(url), owner="test", size=3) as connections:
        while True:
            async with connections.transaction() as connection:
                claimed = await claims.claim(connection, 2)
            await asyncio.sleep(0.05)
            async with connections.transaction() as connection:
                for row in await claims.mine(connection, claimed):
                    await connection.execute("insert into writes (writer, fence) values ($1, $2)", name, row["id"])
                    await connection.execute("delete from items where id = $1", row["id"])


if __name__ == "__main__":
    asyncio.run({"lead": _lead, "work": _work}[sys.argv[1]](*sys.argv[2:]))
