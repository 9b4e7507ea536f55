"""Two control planes on one store: what one does while the other has not heard of it yet."""

import asyncio
from contextlib import nullcontext
from typing import Any

import pytest
from headrace.router.v1 import control_pb2
from headrace_router.control.decisions.readiness import Held, Phase
from headrace_router.control.decisions.resolve import Registered
from headrace_router.control.decisions.states import Outcome, Writer
from headrace_router.control.presence.servicer import ControlServicer
from headrace_router.control.routes.contracts import Contracts
from headrace_router.control.routes.writes import Declaration, Writing
from headrace_router.control.state.waits import Waits
from headrace_router.control.storage.store import News
from headrace_servicekit.errors import PreconditionFailed
from headrace_servicekit.testing import FakeClock, eventually

from tests.kit.router.control_planes import MODEL, STORED, VERSIONS, ControlPlane
from tests.kit.router.memory_store import MemoryStore
from tests.kit.router.route_states import split


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def writing_at(plane: ControlPlane, store: MemoryStore, clock: FakeClock) -> Writing:
    return Writing(
        plane.view,
        plane.controller,
        Contracts(plane.view, store),
        store,
        Waits(plane.view, store, clock),
        clock,
        catch_up=plane.catch_up,
        keep=lambda _model, _versions, _left_s: nullcontext(),
    )


async def hear(plane: ControlPlane, epoch: int, production: str = "v1") -> None:
    """Have the registry say to a control plane what is in production."""
    plane.news.seen(Registered(MODEL, "one", epoch, production, {}, VERSIONS), STORED)
    await plane.controller.turn()


async def load(plane: ControlPlane, *versions: str) -> None:
    """Be a batcher that has these versions."""
    held = {VERSIONS[version]: Held(Phase.READY) for version in versions}
    plane.presence.report("default", "p1", "", held)
    await plane.presence.flush()
    await plane.controller.turn()


async def test_a_write_that_is_repeated_at_another_control_plane_is_waited_for_there(clock: FakeClock):
    store = MemoryStore(clock)
    one, other = ControlPlane(store, clock), ControlPlane(store, clock)
    await load(one, "v1")
    await hear(one, 1)
    await other.view.read()
    wanted = Declaration(split(90, 10), "", Writer("ana"), "r1", b"same")

    cut = asyncio.create_task(writing_at(one, store, clock).update(wanted, lambda: 10.0))
    await eventually(lambda: one.view.mirror.pending() == 1)
    cut.cancel()
    repeated = asyncio.create_task(writing_at(other, store, clock).update(wanted, lambda: 10.0))
    await asyncio.sleep(0.05)
    await load(one, "v1", "v2")
    await other.controller.turn()

    assert (await repeated).outcome is Outcome.ACTIVE


async def test_a_generation_of_a_store_before_a_restore_is_never_acknowledged_to_the_one_after(clock: FakeClock):
    store = MemoryStore(clock)
    one, behind = ControlPlane(store, clock), ControlPlane(store, clock)
    await behind.view.read()
    before = store.incarnation
    await load(one, "v1")
    await hear(one, 1)
    told = one.view.mirror.newest_generation
    assert told > behind.view.mirror.newest_generation
    await store.renew_incarnation()

    no_limits: Any = None
    servicer = ControlServicer(behind.view, behind.presence, behind.leasing, no_limits, asyncio.Event())
    request = control_pb2.AcknowledgeGenerationsRequest(data_plane="plane-0", incarnation=before, generation=told)
    with pytest.raises(PreconditionFailed) as caught:
        await servicer.AcknowledgeGenerations(request, None)

    assert caught.value.reason == "INCARNATION_MISMATCH"
    assert not await store.data_planes(clock.now())


class GatedStore:
    """A store that says what is new once for each token that a test gives."""

    def __init__(self, store: MemoryStore) -> None:
        self.store, self.tokens, self.asked = store, asyncio.Semaphore(0), 0

    async def news(self, revision: int, generation: int) -> News:
        self.asked += 1
        await self.tokens.acquire()
        return await self.store.news(revision, generation)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)


async def test_who_waits_for_a_read_that_is_cut_off_reads_itself(clock: FakeClock):
    store = MemoryStore(clock)
    gated = GatedStore(store)
    plane, other = ControlPlane(gated, clock), ControlPlane(store, clock)  # type: ignore[arg-type]
    for _ in range(2):  # how far it is, and all of it
        gated.tokens.release()
    await plane.view.read()
    _first, second = (asyncio.create_task(plane.view.read()) for _ in range(2))
    await asyncio.sleep(0)
    fresh = asyncio.create_task(plane.view.freshen())
    await asyncio.sleep(0)
    gated.tokens.release()
    await eventually(lambda: gated.asked == 4)  # twice at the begin, and by both

    await hear(other, 1)
    second.cancel()
    gated.tokens.release()
    await fresh

    assert plane.view.mirror.state(MODEL) is not None
