"""Every connection of deploy/topology.toml is cut, reset, garbled and half opened in turn: it alone ends, for a moment.

For each service a further replica runs beside a stack, with a forwarder on each of its connections. The stack's own
callers notice nothing, the replica's process lives on, and it is well again once the connection is.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from headrace_stack.testing import held_stack

from tests.kit.deployment.topology import Service, services
from tests.kit.stack.extra_replica import Replica, beside
from tests.kit.stack.load import Load
from tests.kit.stack.operator import Operator
from tests.kit.stack.running import RunningStack
from tests.kit.stack.under_load import VERSIONS
from tests.kit.stores.servers import home_for_tests
from tests.kit.wire.forwarder import Forwarder, texts_garbled

pytestmark = [pytest.mark.faults, pytest.mark.long, pytest.mark.timeout(600)]

RATE = 30.0
# Long enough for a half-open link to be noticed; the others are at once.
BROKEN_S = {"half open": 5.0}
# Batchers apart, nothing that a front door loses costs its callers an answer. Without its batchers it has none.
NEEDED = ("batcher:grpc", "batcher-cpu:grpc")

FAULTS: dict[str, Callable[[Forwarder, str], None]] = {
    "cut": lambda link, _name: link.cut(),
    "reset": lambda link, _name: link.abort(),
    # asyncpg's C code reads beyond its buffer when what frames a message is wrong (decision 14).
    "garbled": lambda link, name: link.garble(texts_garbled if name == "postgres:postgres" else None),
    "half open": lambda link, _name: link.lose(),
}
CALLERS = [service for service in services().values() if service.calls]


@pytest.fixture(scope="module")
def used() -> Iterator[RunningStack]:
    """A stack of these tests alone: further replicas join it, which others' promotions would wait for."""
    with held_stack(home_for_tests(f"broken-connections-{os.getpid()}")) as settings:
        yield RunningStack(settings)


@pytest.mark.parametrize("service", CALLERS, ids=[service.name for service in CALLERS])
async def test_a_broken_connection_ends_that_connection_and_nobody_else_notices(
    used: RunningStack, tmp_path: Path, service: Service
):
    async with Operator.of(used, f"beside-{service.name}", tmp_path) as operator:
        await operator.register("v1", VERSIONS["v1"])
        await operator.promote("v1")
        were = used.seen().components
        async with (
            Load.running(used, operator.model, VERSIONS, rate=RATE, rest_one_in=0) as others,
            beside(used, service) as replica,
        ):
            await others.steady()
            if service.name == "front-door":
                await _callers_of_its_own(replica, operator.model)
            else:
                await _all_broken(replica)
            assert replica.deaths() == []
        assert others.failures() == []
    assert [one.process for one in used.seen().components] == [one.process for one in were]


async def _callers_of_its_own(replica: Replica, model: str) -> None:
    """Break a front door's connections, whose own callers notice no more than the batchers that they had."""
    address = f"127.0.0.1:{replica.port(replica.stack.settings.ports.front_door.number)}"
    async with Load.running(
        replica.stack, model, VERSIONS, rate=RATE, deadline_s=4.0, rest_one_in=0, address=address
    ) as load:
        await load.steady()
        for name in replica.links:
            begun = len(load.exchanges)
            await _broken_in_turn(replica, name)
            await load.steady()
            failed = [one for one in load.exchanges[begun:] if not one.answered]
            assert name in NEEDED or not failed, f"{name}: {len(failed)}, such as {failed[0]}"


async def _all_broken(replica: Replica) -> None:
    for name in replica.links:
        await _broken_in_turn(replica, name)


async def _broken_in_turn(replica: Replica, name: str) -> None:
    link = replica.links[name]
    for fault, break_it in FAULTS.items():
        break_it(link, name)
        await asyncio.sleep(BROKEN_S.get(fault, 1.5))
        link.mend()
        try:
            await replica.well()
        except AssertionError as error:
            raise AssertionError(f"{name} {fault}: {error}") from None
