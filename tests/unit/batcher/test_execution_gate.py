"""One may be alone on a backend: nothing begins meanwhile, and everybody hears when it is over."""

import asyncio

from headrace_batcher.batching.execution_gate import ExecutionGate
from headrace_servicekit.testing import eventually


async def alone_on(gate: ExecutionGate, order: list[tuple[str, bool]]) -> None:
    async with gate.exclusive() as really:
        order.append(("alone", really))


async def test_whoever_wants_to_be_alone_waits_for_what_executes_and_lets_nothing_begin():
    gate, woken, order = ExecutionGate(), [], []
    gate.join(lambda: woken.append(gate.open))
    gate.begin()

    waiting = asyncio.create_task(alone_on(gate, order))
    await eventually(lambda: not gate.open)
    order.append(("executing", True))
    gate.end()
    await waiting
    assert order == [("executing", True), ("alone", True)]
    assert woken == [True]


async def test_one_is_alone_at_a_time_and_the_floor_opens_after_the_last():
    gate, inside, most, woken = ExecutionGate(), 0, 0, []
    gate.join(lambda: woken.append(gate.open))

    async def alone() -> None:
        nonlocal inside, most
        async with gate.exclusive():
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            assert not gate.open
            inside -= 1

    await asyncio.gather(*(alone() for _ in range(5)))
    assert (most, gate.open, woken) == (1, True, [True])


async def test_patience_ends_and_it_is_told_that_others_are_there():
    gate = ExecutionGate()
    gate.begin()
    async with gate.exclusive(patience_s=0.01) as really:
        assert not really
    gate.end()
    gate.begin_loading()
    async with gate.exclusive(patience_s=0.01) as really:
        assert not really


async def test_whoever_wants_to_be_alone_waits_for_the_version_that_is_being_loaded():
    gate, order = ExecutionGate(), []
    gate.begin_loading()

    waiting = asyncio.create_task(alone_on(gate, order))
    await eventually(lambda: not gate.open)
    order.append(("loaded", True))
    gate.end_loading()
    await waiting
    assert order == [("loaded", True), ("alone", True)]
