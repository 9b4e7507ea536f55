"""A database whose connections are cut, reset or carry nonsense: calls are Unavailable meanwhile, and work after."""

from __future__ import annotations

import asyncio
import json
import random

import pytest
import uvloop
from headrace_servicekit.errors import Unavailable
from headrace_servicekit.postgres.connections import Address, Connections

from tests.kit.wire.forwarder import Forwarder, texts_garbled

DISTURBANCES = 40


async def _row(connections: Connections) -> object:
    async def act(connection) -> object:
        return [json.loads(row["state"]) for row in await connection.fetch("select '{\"a\": [1, 2]}'::text as state")]

    return await connections.repeatable(act)


async def _within_a_transaction(connections: Connections) -> object:
    async with connections.transaction() as connection:
        return await connection.fetchval("select count(*) from pg_class where relname = $1", "pg_class")


async def _raised(url: str, disturb: str) -> set[str]:
    raised: set[str] = set()
    rng = random.Random(1)
    async with (
        Forwarder.before(url) as forwarder,
        Connections(Address(forwarder.url(url)), owner="test", size=4) as connections,
    ):
        ended = asyncio.Event()

        async def use(act) -> None:
            while not ended.is_set():
                try:
                    await act(connections)
                except Exception as error:
                    raised.add(type(error).__name__ if not isinstance(error, Unavailable) else "Unavailable")
                await asyncio.sleep(0)

        using = [asyncio.create_task(use(act)) for act in (_row, _within_a_transaction) * 2]
        for _ in range(DISTURBANCES):
            await asyncio.sleep(rng.uniform(0.0, 0.03))
            if disturb == "garble":
                forwarder.garble(texts_garbled)
                await asyncio.sleep(0.02)
                forwarder.mend()
            else:
                getattr(forwarder, disturb)()
        ended.set()
        await asyncio.wait(using)
        assert await _row(connections) == [{"a": [1, 2]}]
        assert await _within_a_transaction(connections) == 1
    return raised


@pytest.mark.long
@pytest.mark.parametrize("disturb", ["abort", "drop", "garble"])
def test_whatever_a_broken_connection_raises_is_unavailable_and_the_next_one_works(postgres_url: str, disturb: str):
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        raised = runner.run(asyncio.wait_for(_raised(postgres_url, disturb), 100))
    assert raised <= {"Unavailable"}


async def test_rows_that_cannot_be_read_are_unavailable_and_a_defect_of_ours_is_none(postgres_url: str):
    async with Connections(Address(postgres_url), owner="test", size=1) as connections:
        with pytest.raises(Unavailable):
            await connections.repeatable(lambda connection: _unreadable(connection))
        with pytest.raises(KeyError):
            await _defect(connections)


async def _defect(connections: Connections) -> None:
    async with connections.transaction() as connection:
        await connection.fetchval("select 1")
        raise KeyError("ours")


async def _unreadable(connection) -> object:
    return json.loads(await connection.fetchval("select 'x'::text"))


async def test_an_older_schema_is_unavailable_until_it_is_migrated(postgres_url: str):
    async with Connections(Address(postgres_url), owner="test", size=1) as connections:

        async def write() -> str:
            async with connections.transaction() as connection:
                return await connection.execute("insert into things (name, size) values ('a', 1)")

        async def change(statement: str) -> None:
            await connections.repeatable(lambda connection: connection.execute(statement))

        with pytest.raises(Unavailable, match="cannot serve this now"):
            await write()
        await change("create table things (name text)")
        with pytest.raises(Unavailable, match="cannot serve this now"):
            await write()
        await change("alter table things add column size int")
        assert await write() == "INSERT 0 1"
