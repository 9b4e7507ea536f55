"""Listening to a database: what is told, and that the silence of a server that vanished is not taken for quiet."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from headrace_servicekit.errors import Unavailable
from headrace_servicekit.postgres.connections import Address, Connections

from tests.kit.wire.forwarder import Forwarder


async def notify(connections: Connections) -> None:
    async with connections.transaction() as connection:
        await connection.execute("notify news")


async def test_who_listens_to_a_server_that_vanished_is_told_and_hears_again_on_a_new_connection(postgres_url):
    async with (
        Forwarder.before(postgres_url) as forwarder,
        Connections(Address(forwarder.url(postgres_url)), owner="test", size=1) as listening,
        Connections(Address(postgres_url), owner="test", size=1) as writing,
    ):
        notices: Any = listening.notices("news", probe_s=0.2)
        await anext(notices)
        forwarder.lose()
        await notify(writing)
        with pytest.raises(Unavailable):
            async with asyncio.timeout(5):
                await anext(notices)

        again: Any = listening.notices("news", probe_s=0.2)
        await anext(again)
        heard = asyncio.ensure_future(anext(again))
        await notify(writing)
        async with asyncio.timeout(5):
            await heard
        await again.aclose()


async def test_who_listens_while_nothing_happens_goes_on_listening(postgres_url):
    async with Connections(Address(postgres_url), owner="test", size=1) as connections:
        notices: Any = connections.notices("news", probe_s=0.05)
        await anext(notices)
        heard = asyncio.ensure_future(anext(notices))
        # Long enough for several probes; a probe that took quiet for absence would end the notices here.
        done, _ = await asyncio.wait([heard], timeout=0.5)
        assert not done
        await notify(connections)
        async with asyncio.timeout(5):
            await heard
        await notices.aclose()
