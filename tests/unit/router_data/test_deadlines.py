import asyncio

from headrace_router.data.request.deadlines import TICK_S, Deadlines
from headrace_servicekit.testing import eventually


async def test_keys_fall_due_in_order_and_never_early():
    loop = asyncio.get_running_loop()
    due: list[tuple[str, float]] = []
    deadlines: Deadlines[str] = Deadlines(loop, lambda key: due.append((key, loop.time())))
    begin = loop.time()
    for key, delay in (("late", 0.06), ("soon", 0.02), ("now", -1.0), ("soon too", 0.0201)):
        deadlines.add(key, begin + delay)
    await eventually(lambda: len(due) == 4)
    assert [key for key, _ in due][-1] == "late"
    assert {key for key, _ in due[:3]} == {"now", "soon", "soon too"}
    assert dict(due)["late"] >= begin + 0.058
    assert not len(deadlines)


async def test_a_key_that_was_discarded_does_not_fall_due():
    loop = asyncio.get_running_loop()
    due: list[str] = []
    deadlines: Deadlines[str] = Deadlines(loop, due.append)
    tick = deadlines.add("answered", loop.time() + 0.02)
    deadlines.add("waiting", loop.time() + 0.03)
    deadlines.discard("answered", tick)
    await eventually(lambda: due)
    assert due == ["waiting"]


async def test_an_earlier_deadline_overtakes_the_armed_one():
    loop = asyncio.get_running_loop()
    due: list[str] = []
    deadlines: Deadlines[str] = Deadlines(loop, due.append)
    deadlines.add("far", loop.time() + 30)
    deadlines.add("near", loop.time() + 0.01)
    await eventually(lambda: due == ["near"])
    assert len(deadlines) == 1
    deadlines.close()


async def test_a_key_added_while_others_fall_due_is_not_forgotten():
    loop = asyncio.get_running_loop()
    due: list[str] = []

    def again(key: str) -> None:
        due.append(key)
        if key == "first":
            deadlines.add("second", loop.time() + 2 * TICK_S)

    deadlines: Deadlines[str] = Deadlines(loop, again)
    deadlines.add("first", loop.time())
    deadlines.add("third", loop.time() + 0.05)
    await eventually(lambda: due == ["first", "second", "third"])


async def test_a_defect_in_one_callback_leaves_no_other_key_waiting():
    loop = asyncio.get_running_loop()
    due: list[str] = []

    def act(key: str) -> None:
        due.append(key)
        if key == "bad":
            raise RuntimeError("a defect")

    deadlines: Deadlines[str] = Deadlines(loop, act)
    now = loop.time()
    for key, delay in (("bad", 0.01), ("of the same tick", 0.01), ("later", 0.05)):
        deadlines.add(key, now + delay)
    await eventually(lambda: due == ["bad", "of the same tick", "later"])
