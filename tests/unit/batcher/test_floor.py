"""One may be alone on a backend: nothing begins meanwhile, and everybody hears when it is over."""

import asyncio

from headrace_batcher.batching.floor import Floor
from headrace_servicekit.testing import eventually


async def alone_on(floor: Floor, order: list[tuple[str, bool]]) -> None:
    async with floor.alone() as really:
        order.append(("alone", really))


async def test_whoever_wants_to_be_alone_waits_for_what_executes_and_lets_nothing_begin():
    floor, woken, order = Floor(), [], []
    floor.join(lambda: woken.append(floor.open))
    floor.begin()

    waiting = asyncio.create_task(alone_on(floor, order))
    await eventually(lambda: not floor.open)
    order.append(("executing", True))
    floor.end()
    await waiting
    assert order == [("executing", True), ("alone", True)]
    assert woken == [True]


async def test_one_is_alone_at_a_time_and_the_floor_opens_after_the_last():
    floor, inside, most, woken = Floor(), 0, 0, []
    floor.join(lambda: woken.append(floor.open))

    async def alone() -> None:
        nonlocal inside, most
        async with floor.alone():
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            assert not floor.open
            inside -= 1

    await asyncio.gather(*(alone() for _ in range(5)))
    assert (most, floor.open, woken) == (1, True, [True])


async def test_patience_ends_and_it_is_told_that_others_are_there():
    floor = Floor()
    floor.begin()
    async with floor.alone(patience_s=0.01) as really:
        assert not really
    floor.end()
    floor.begin_loading()
    async with floor.alone(patience_s=0.01) as really:
        assert not really


async def test_whoever_wants_to_be_alone_waits_for_the_version_that_is_being_loaded():
    floor, order = Floor(), []
    floor.begin_loading()

    waiting = asyncio.create_task(alone_on(floor, order))
    await eventually(lambda: not floor.open)
    order.append(("loaded", True))
    floor.end_loading()
    await waiting
    assert order == [("loaded", True), ("alone", True)]
