"""Contracts of versions come from the registry, once."""

from contextlib import AsyncExitStack

import pytest
from headrace_monitor.record.log.contracts import UNKNOWN_FOR_S, Contracts
from headrace_servicekit import client
from headrace_servicekit.errors import Unavailable
from headrace_servicekit.testing import FakeClock, free_port

from tests.kit.registry.service import memory_registry


async def test_a_version_is_asked_for_once_and_kept_while_the_registry_is_away():
    async with AsyncExitStack() as afterwards:
        async with memory_registry() as registry:
            registered = await registry.register("digits", "v1")
            contracts = Contracts(await afterwards.enter_async_context(client.channel(registry.target)), FakeClock())
            known = await contracts.get("digits", "v1")
            assert known is not None
            assert known.digest == registered.digest
            assert [column.name for column in known.features] == [f"features.{index}" for index in range(4)]
        assert await contracts.get("digits", "v1") is known
        with pytest.raises(Unavailable, match="registry"):
            await contracts.get("digits", "v2")


async def test_an_unknown_version_is_remembered_briefly_and_asked_for_again():
    clock = FakeClock()
    async with memory_registry() as registry, client.channel(registry.target) as channel:
        contracts = Contracts(channel, clock)
        assert await contracts.get("digits", "v1") is None
        await registry.register("digits", "v1")
        assert await contracts.get("digits", "v1") is None
        await clock.advance(UNKNOWN_FOR_S)
        assert await contracts.get("digits", "v1") is not None


async def test_a_registry_that_is_not_there_is_unavailable():
    async with client.channel(f"127.0.0.1:{free_port()}") as channel:
        with pytest.raises(Unavailable):
            await Contracts(channel, FakeClock()).get("digits", "v1")


async def test_what_cannot_be_a_name_is_unknown():
    async with memory_registry() as registry, client.channel(registry.target) as channel:
        assert await Contracts(channel, FakeClock()).get("Digits/../x", "v1") is None
