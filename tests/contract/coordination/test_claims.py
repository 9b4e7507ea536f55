"""Each piece of work is one worker's at a time, for a lease; who was too slow, or died, writes nothing of it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from headrace_servicekit.coordination.claims import MAX_FAILURES, MAX_PAUSE_S, WorkClaims, pause_after
from headrace_servicekit.errors import Unavailable
from headrace_servicekit.postgres.connections import Connections
from headrace_servicekit.testing import eventually
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.stores.coordination import claims_of, coordinated, writers

LONG, OVER = timedelta(minutes=10), timedelta(0)
LATER = datetime(2999, 1, 1, tzinfo=UTC)


async def put(connections: Connections, *items: int, kind: str = "") -> None:
    async with connections.transaction() as connection:
        await connection.executemany("insert into items (id, kind) values ($1, $2)", [(item, kind) for item in items])


async def claim(connections: Connections, claims: WorkClaims, limit: int = 10) -> list[Any]:
    async with connections.transaction() as connection:
        return await claims.claim(connection, limit)


async def fail(connections: Any, claims: WorkClaims, rows: list[Any]) -> None:
    with pytest.raises(ZeroDivisionError):
        async with claims.attempt(connections, rows):
            raise ZeroDivisionError


async def rest(connections: Connections, item: int) -> timedelta:
    """Return for how long others leave an item alone; None when it is nobody's."""
    query = "select claimed_until - clock_timestamp() from items where id = $1"
    return await connections.repeatable(lambda connection: connection.fetchval(query, item))


class AwayAtFirst:
    """A database that is away when the first transactions begin."""

    def __init__(self, connections: Connections, refused: int) -> None:
        self._connections, self.refused = connections, refused

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        if self.refused:
            self.refused -= 1
            raise Unavailable("the database is away")
        async with self._connections.transaction() as connection:
            yield connection


class AnswerLost:
    """A database whose connection breaks after it committed, before it says so."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        async with self._connections.transaction() as connection:
            yield connection
        raise Unavailable("the connection broke")


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


async def test_what_was_let_go_is_nobodys_claim_even_before_another_claims_it(connections):
    await put(connections, 1, 2)
    claims = claims_of(LONG)
    rows = await claim(connections, claims)
    async with connections.transaction() as connection:
        await claims.release(connection, rows[:1])
        await claims.postpone(connection, rows[1:], [LATER])
        assert await claims.mine(connection, rows) == []


async def test_what_was_written_is_not_written_again_when_the_answer_of_the_commit_was_lost(connections):
    await put(connections, 1)
    claims = claims_of(LONG)
    rows = await claim(connections, claims)

    async def write(database: Any) -> None:
        async with database.transaction() as connection:
            mine = await claims.mine(connection, rows)
            for row in mine:
                await connection.execute("insert into writes (writer, fence) values ('one', $1)", row["id"])
            await claims.postpone(connection, mine, [LATER] * len(mine))

    with pytest.raises(Unavailable):
        async with claims.attempt(connections, rows):
            await write(AnswerLost(connections))
    assert await rest(connections, 1) is None  # it has been let go, and does not rest as if it had failed
    await write(connections)
    assert await writers(connections) == [("one", 1)]


async def test_one_group_is_claimed_at_a_time_and_its_turn_comes(connections):
    await put(connections, 1, 4, kind="a")
    await put(connections, 2, 3, kind="b")
    claims = claims_of(LONG, group="kind")
    assert ids(await claim(connections, claims)) == [1, 4]
    assert ids(await claim(connections, claims)) == [2, 3]


async def test_what_failed_is_free_for_others_after_seconds_and_not_at_once(connections):
    await put(connections, 1)
    claims = claims_of(LONG)
    await fail(connections, claims, await claim(connections, claims))
    assert await claim(connections, claims) == []
    (again,) = await eventually(lambda: claim(connections, claims), within=10)
    assert again["claims"] == 2
    assert await rest(connections, 1) > timedelta(minutes=9)


async def test_what_fails_again_and_again_rests_longer_each_time(connections):
    await put(connections, 1)
    rests = []
    for _ in range(5):
        await fail(connections, claims_of(LONG), await claim(connections, claims_of(LONG)))
        rests.append((await rest(connections, 1)).total_seconds())
        async with connections.transaction() as connection:
            await connection.execute("update items set claimed_until = null")
    assert rests == sorted(rests)
    assert rests[0] < 2
    assert 10 < rests[-1] < 30


async def test_the_failure_of_who_was_overtaken_gives_nothing_back(connections):
    await put(connections, 1)
    slow = await claim(connections, claims_of(OVER))
    await claim(connections, claims_of(LONG))
    await fail(connections, claims_of(LONG), slow)
    assert await rest(connections, 1) > timedelta(minutes=9)


async def test_what_ends_well_in_an_attempt_is_left_as_the_attempt_left_it(connections):
    await put(connections, 1)
    claims = claims_of(LONG)
    async with claims.attempt(connections, await claim(connections, claims)):
        pass
    assert await rest(connections, 1) > timedelta(minutes=9)


async def test_what_a_stopping_process_was_at_is_free_at_once(connections):
    await put(connections, 1)
    claims, began = claims_of(LONG), asyncio.Event()

    async def work() -> None:
        async with claims.attempt(connections, await claim(connections, claims)):
            began.set()
            await asyncio.Event().wait()

    working = asyncio.create_task(work())
    await began.wait()
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert ids(await claim(connections, claims)) == [1]


async def test_what_failed_while_the_database_was_away_is_given_back_when_it_returns(connections):
    await put(connections, 1)
    claims, away = claims_of(LONG), AwayAtFirst(connections, 2)
    await fail(away, claims, await claim(connections, claims))
    assert away.refused == 0
    assert await rest(connections, 1) < timedelta(seconds=2)


async def test_a_group_that_fails_comes_after_the_others_that_were_due_before(connections):
    await put(connections, 1, 4, kind="a")
    await put(connections, 2, 3, kind="b")
    claims = claims_of(LONG, group="kind")
    await fail(connections, claims, await claim(connections, claims))
    async with connections.transaction() as connection:
        await connection.execute("update items set claimed_until = null")
    assert ids(await claim(connections, claims)) == [2, 3]
    assert ids(await claim(connections, claims)) == [1, 4]


class Worker:
    """Does what it is given, but for some kinds. `done`: the items of each turn."""

    def __init__(self, connections: Connections, *failing: str) -> None:
        self._connections, self._failing = connections, failing
        self.claims = claims_of(LONG, group="kind")
        self.done: list[list[int]] = []

    async def work(self, rows: list[Any]) -> None:
        if rows[0]["kind"] in self._failing:
            raise ZeroDivisionError(rows[0]["kind"])
        async with self._connections.transaction() as connection:
            await self.claims.postpone(connection, rows, [LATER] * len(rows))
        self.done.append(ids(rows))

    async def work_off(self, limit: int = 10) -> None:
        await self.claims.work_off(self._connections, self.work, limit=limit)


async def test_every_group_that_is_due_has_its_turns_in_one_go(connections):
    for kind in range(40):
        await put(connections, 2 * kind, 2 * kind + 1, kind=f"{kind:02}")
    worker = Worker(connections)
    await worker.work_off()
    assert worker.done == [[2 * kind, 2 * kind + 1] for kind in range(40)]
    await put(connections, *range(100, 105), kind="large")
    await worker.work_off(limit=2)
    assert worker.done[40:] == [[100, 101], [102, 103], [104]]


async def test_a_group_that_fails_does_not_end_the_turns_of_the_others(connections):
    await put(connections, 1, kind="a")
    await put(connections, 2, kind="b")
    worker = Worker(connections, "a")
    with pytest.raises(ZeroDivisionError, match="a"):
        await worker.work_off()
    assert worker.done == [[2]]
    assert await claim(connections, worker.claims) == []


async def test_work_ends_when_all_of_it_fails(connections):
    for kind in range(20):
        await put(connections, kind, kind=f"{kind:02}")
    worker = Worker(connections, *(f"{kind:02}" for kind in range(20)))
    with pytest.raises(ZeroDivisionError, match="00"):
        await worker.work_off()
    async with connections.transaction() as connection:
        assert await connection.fetchval("select count(*) from items where claims > 0") == MAX_FAILURES


@given(st.integers(1, 2**31 - 1), st.floats(0, 1, exclude_max=True))
def test_a_pause_is_of_seconds_however_often_something_failed(claims, draw):
    pause = pause_after(claims, draw).total_seconds()
    assert 0.5 < pause <= 1.2 * MAX_PAUSE_S


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
