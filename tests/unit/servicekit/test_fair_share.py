"""One client cannot fill a bounded pool, whoever else comes finds a place, and those who wait take turns."""

import asyncio

import pytest
from headrace_servicekit.errors import ResourceExhausted
from headrace_servicekit.fair_share import FairShare, FairTurns, Pool
from headrace_servicekit.identity import INTERNAL, Identity, act_as
from headrace_servicekit.testing import eventually
from hypothesis import given
from hypothesis import strategies as st

POOL = Pool("uploads", 8, "TOO_MANY_UPLOADS", 2.0)


def client(name: str) -> Identity:
    return Identity(name)


def taken(share: FairShare, caller: Identity) -> int:
    """Let a caller take all it can get; return how many places that were."""
    for count in range(share.pool.places + 1):
        try:
            share.enter(caller)
        except ResourceExhausted:
            return count
    raise AssertionError("more places than there are")


def test_one_client_gets_half_of_the_places_and_those_that_come_next_find_some():
    share = FairShare(POOL)
    assert [taken(share, client(name)) for name in "abc"] == [4, 2, 1]


def test_a_client_that_has_its_share_is_told_which_and_when_to_come_back():
    share = FairShare(POOL)
    taken(share, client("a"))
    with pytest.raises(ResourceExhausted, match="this client has 4 of 8 places for uploads") as refused:
        share.enter(client("a"))
    assert refused.value.reason == "TOO_MANY_UPLOADS_OF_CLIENT"
    assert refused.value.metadata == {"pool": "uploads", "held": "4", "places": "8"}
    assert refused.value.retry_after_s == 2.0


def test_calls_from_inside_have_the_bound_and_no_share():
    share = FairShare(POOL)
    assert taken(share, INTERNAL) == 8
    with pytest.raises(ResourceExhausted) as refused:
        share.enter(client("a"))
    assert refused.value.reason == "TOO_MANY_UPLOADS"


def test_a_client_that_is_called_as_calls_from_inside_are_has_a_share():
    share = FairShare(POOL)
    share.enter(INTERNAL)
    assert taken(share, client(INTERNAL.client)) == 4


async def test_a_place_is_given_back_however_its_use_ends():
    share = FairShare(POOL)
    act_as(client("a"))

    def fails() -> None:
        with share.place():
            assert (share.used, share.held(client("a"))) == (1, 1)
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert (share.used, share.held(client("a"))) == (0, 0)


@given(
    places=st.integers(1, 30),
    steps=st.lists(st.tuples(st.sampled_from("abcd"), st.booleans()), max_size=200),
)
def test_whoever_holds_nothing_finds_a_place_while_only_one_client_is_there(places, steps):
    share = FairShare(Pool("things", places, "TOO_MANY_THINGS", 1.0))
    held: dict[str, int] = dict.fromkeys("abcd", 0)
    for name, comes in steps:
        if not comes:
            if held[name]:
                share.leave(client(name))
                held[name] -= 1
            continue
        free = places - sum(held.values())
        try:
            share.enter(client(name))
            assert held[name] < free
            held[name] += 1
        except ResourceExhausted:
            assert held[name] >= free
        assert share.used == sum(held.values()) <= places
        others = [count for count in held.values() if count]
        assert places == 1 or len(others) > 1 or share.used < places


class Line:
    """Callers that wait for turns, and the order in which they had them."""

    def __init__(self, at_once: int) -> None:
        self.turns, self.order, self.go = FairTurns(at_once), [], asyncio.Event()
        self.tasks: list[asyncio.Task] = []

    async def come(self, name: str) -> asyncio.Task:
        async def use() -> None:
            act_as(client(name))
            async with self.turns.turn():
                self.order.append(name)
                await self.go.wait()

        task = asyncio.create_task(use())
        self.tasks.append(task)
        await asyncio.sleep(0)
        return task


async def test_clients_take_turns_however_many_of_one_are_waiting():
    line = Line(1)
    for name in ("a", "a", "a", "a", "b", "b", "c"):
        await line.come(name)
    line.go.set()
    await asyncio.gather(*line.tasks)
    assert line.order == ["a", "a", "b", "c", "a", "b", "a"]


async def test_one_client_alone_has_every_place():
    line = Line(3)
    for _ in range(5):
        await line.come("a")
    assert line.order == ["a"] * 3
    line.go.set()
    await asyncio.gather(*line.tasks)


async def test_who_leaves_and_comes_again_waits_behind_those_who_came_meanwhile():
    line = Line(1)
    for name in ("a", "b", "c"):
        await line.come(name)
    line.tasks[1].cancel()
    await asyncio.wait([line.tasks[1]])
    await line.come("b")
    line.go.set()
    await asyncio.gather(*line.tasks, return_exceptions=True)
    assert line.order == ["a", "c", "b"]


@pytest.mark.parametrize("granted", [False, True])
async def test_who_leaves_while_while_waiting_takes_no_place_with_it(granted):
    line = Line(1)
    first, leaving, last = await line.come("a"), await line.come("b"), await line.come("c")
    if granted:
        first.cancel()
        await asyncio.wait([first])  # the place is handed to b, which leaves before it runs
    leaving.cancel()
    line.go.set()
    await asyncio.gather(first, leaving, return_exceptions=True)
    await last
    assert line.order[-1] == "c"
    async with asyncio.timeout(1), line.turns.turn():
        pass
    await eventually(lambda: all(task.done() for task in line.tasks))
