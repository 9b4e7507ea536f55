"""Connections to a database are lent in turns: who asks a hundred times waits behind itself."""

import asyncio
from typing import Any

from headrace_servicekit.identity import Identity, act_as
from headrace_servicekit.postgres.connections import Address, Connections
from headrace_servicekit.testing import eventually


async def test_a_client_with_many_calls_does_not_hold_up_the_next_one(postgres_url):
    order: list[str] = []
    began = 0

    async def ask(connections: Connections, client: str) -> None:
        nonlocal began
        act_as(Identity(client))

        async def run(connection: Any) -> None:
            await connection.execute("select pg_sleep(0.01)")

        began += 1
        await connections.repeatable(run)
        order.append(client)

    async with Connections(Address(postgres_url), owner="test", size=2) as connections:
        greedy = [asyncio.create_task(ask(connections, "greedy")) for _ in range(40)]
        await eventually(lambda: began == 40)
        await ask(connections, "modest")
        await asyncio.gather(*greedy)
    assert order.index("modest") <= 5
