"""Each piece of work is one worker's at a time, for a lease; who was too slow, or died, writes nothing of it."""

from __future__ import annotations

import asyncio
import signal
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from headrace_servicekit.coordination.claims import WorkClaims
from headrace_servicekit.postgres.connections import Connections
from headrace_servicekit.testing import eventually

from tests.kit.coordination import claims_of, coordinated, writers

LONG, OVER = timedelta(minutes=10), timedelta(0)
LATER = datetime(2999, 1, 1, tzinfo=UTC)


async def put(connections: Connections, *items: int, kind: str = "") -> None:
    async with connections.transaction() as connection:
        await connection.executemany("insert into items (id, kind) values ($1, $2)", [(item, kind) for item in items])


async def claim(connections: Connections, claims: WorkClaims, limit: int = 10) -> list[Any]:
    async with connections.transaction() as connection:
        return await claims.claim(connection, limit)


def ids(rows: list[Any]) -> list[int]:
    return sorted(row["id"] for row in rows)


async def test_what_one_has_claimed_no_other_gets(connections):
    await put(connections, *range(5))
    one, other = claims_of(LONG), claims_of(LONG)
    assert ids(await claim(connections, one, 3)) == [0, 1, 2]
    assert ids(await claim(connections, other, 3)) == [3, 4]
    assert await claim(connections, one) == []


async def test_workers_that_claim_at_once_get_different_work_without_waiting_for_each_other(connections):
    await put(connections, *range(6))
    async with connections.transaction() as connection:
        held = await claims_of(LONG).claim(connection, 3)
        others = await asyncio.wait_for(claim(connections, claims_of(LONG)), 2)
        assert ids([*held, *others]) == list(range(6))


async def test_work_whose_worker_died_is_taken_over_after_its_lease_and_counts_its_claims(connections):
    await put(connections, 1)
    (dead,) = await claim(connections, claims_of(OVER))
    (again,) = await claim(connections, claims_of(LONG))
    assert (dead["claims"], again["claims"]) == (1, 2)
    assert await claim(connections, claims_of(LONG)) == []


async def test_who_was_overtaken_holds_nothing_and_moves_nothing(connections):
    await put(connections, 1)
    claims = claims_of(OVER)
    slow = await claim(connections, claims)
    quick = await claim(connections, claims_of(LONG))
    async with connections.transaction() as connection:
        assert await claims.mine(connection, slow) == []
        await claims.release(connection, slow)
        await claims.postpone(connection, slow, [LATER])
        assert ids(await claims.mine(connection, quick)) == [1]
    assert await claim(connections, claims_of(LONG)) == []  # it is still the other's


async def test_a_lease_that_is_over_still_holds_while_nobody_else_claims(connections):
    await put(connections, 1)
    claims = claims_of(OVER)
    rows = await claim(connections, claims)
    async with connections.transaction() as connection:
        assert ids(await claims.mine(connection, rows)) == [1]


async def test_what_is_released_is_free_at_once_and_what_is_postponed_is_not(connections):
    await put(connections, 1, 2)
    claims = claims_of(LONG)
    rows = {row["id"]: row for row in await claim(connections, claims)}
    async with connections.transaction() as connection:
        await claims.release(connection, [rows[1]])
        await claims.postpone(connection, [rows[2]], [LATER])
    assert ids(await claim(connections, claims)) == [1]


async def test_one_group_is_claimed_at_a_time_and_its_turn_comes(connections):
    await put(connections, 1, 4, kind="a")
    await put(connections, 2, 3, kind="b")
    claims = claims_of(LONG, group="kind")
    assert ids(await claim(connections, claims)) == [1, 4]
    assert ids(await claim(connections, claims)) == [2, 3]


@pytest.mark.faults
async def test_killed_and_paused_workers_lose_no_work_and_do_none_twice(connections, postgres_url):
    items = 120
    await put(connections, *range(items))

    async def done(count: int) -> bool:
        return len(await writers(connections)) >= count

    async with (
        coordinated("work", postgres_url, "paused") as paused,
        coordinated("work", postgres_url, "killed") as killed,
    ):
        await eventually(lambda: done(10), within=20)
        paused.send_signal(signal.SIGSTOP)
        killed.kill()
        async with coordinated("work", postgres_url, "last"):
            await eventually(lambda: done(60), within=30)
            paused.send_signal(signal.SIGCONT)
            await eventually(lambda: done(items), within=40)
    assert sorted(item for _, item in await writers(connections)) == list(range(items))
