"""Answers in parts over batchers held in the hand: their order, what they may cost, and how they end."""

from __future__ import annotations

import asyncio

import pytest
from headrace.batcher.v1 import batcher_pb2
from headrace_router.data.answer.answer import Answer, Rest, ServedFrom
from headrace_router.data.answer.refusals import answers_in_parts, error_of
from headrace_router.data.batchers.parts import IN_PARTS, following
from headrace_router.data.batchers.pools import Pools
from headrace_router.data.batchers.work import AT_ONCE, PartBuffer, Work
from headrace_router.data.request.request import fitted
from headrace_router.data.tables.served import ServedVersion
from headrace_servicekit.errors import Code, DeadlineExceeded, ServiceError
from headrace_servicekit.testing import eventually

from tests.kit.batcher.fake_batcher import FakeBatcher, in_parts, silent
from tests.kit.router.fake_control import lookup, resolved_version
from tests.kit.router.lookup_bench import BATCH, Bench, outputs
from tests.kit.router.lookup_bench import error_of as failed
from tests.kit.router.pools import pools_of, work

DECOUPLED = resolved_version("digits", "v1")
DECOUPLED.contract.decoupled = True


def begun(pools: Pools) -> Work:
    """Give pools a work that is answered in parts."""
    made = work()
    made.parts = PartBuffer(made.answer)
    pools.submit([made])
    return made


async def taken(one: Work) -> list[bool]:
    """Take all of an answer; return of each response whether it had outputs."""
    assert one.parts is not None
    got = []
    while True:
        response = await one.parts.take()
        if response.code:
            raise error_of(response)
        got.append(bool(response.outputs))
        if not response.more:
            return got
        one.taken()


async def reason(one: Work) -> str:
    with pytest.raises(ServiceError) as caught:
        await taken(one)
    return caught.value.reason


async def test_parts_come_in_order_and_the_batcher_is_told_of_each_that_was_taken(batcher):
    batcher.behave = in_parts(5)
    async with pools_of(batcher) as pools:
        assert await taken(begun(pools)) == [True] * 5 + [False]
        assert batcher.requests[0].parts_at_once == AT_ONCE
        assert pools.in_flight == 0
        batcher.behave = in_parts(0)
        assert await taken(begun(pools)) == [False]
        batcher.behave = silent
        held = begun(pools)
        await eventually(lambda: len(batcher.requests) == 3)
        assert held.parts is not None
        batcher.respond(batcher_pb2.InferResponse(id=batcher.requests[2].id, more=True, outputs=outputs(b"\0\0\0\0")))
        await held.parts.take()
        held.taken()
        number = batcher.requests[2].id
        await eventually(lambda: any(one.id == number for frame in batcher.frames for one in frame.taken))
        pools.withdraw(held)
        await eventually(lambda: batcher.cancelled == [number])


async def test_a_batcher_that_is_lost_before_the_first_part_is_replaced_and_afterwards_it_is_not(batcher, other):
    batcher.behave = other.behave = silent
    async with pools_of(batcher, other) as pools:
        for sends_a_part in (False, True):
            one = begun(pools)
            await eventually(lambda: batcher.requests or other.requests)
            mine, yours = (batcher, other) if batcher.requests else (other, batcher)
            if sends_a_part:
                part = batcher_pb2.InferResponse(id=mine.requests[0].id, more=True, outputs=outputs(b"\0\0\0\0"))
                mine.respond(part)
                await eventually(lambda one=one: one.parts is not None and one.parts.came == 1)
            else:
                yours.behave = in_parts(2)
            mine.cut()
            if sends_a_part:
                assert await reason(one) == "ANSWER_CUT_OFF"
                assert not yours.requests
            else:
                assert await taken(one) == [True, True, False]
                assert len(yours.requests) == 1
            await eventually(lambda: all(replica.versions for replica in pools.replicas["default"]))
            for each in (mine, yours):
                each.forget()
                each.behave = silent


@pytest.mark.parametrize(
    ("behave", "why"),
    [
        (in_parts(AT_ONCE + 1), "more than it was let send"),
        (in_parts(1, outputs=b"\x2a\0"), "outputs in the last"),
    ],
)
async def test_a_batcher_that_breaks_the_rules_of_parts_is_not_believed(batcher, behave, why):
    batcher.behave = behave
    async with pools_of(batcher) as pools:
        one = begun(pools)
        await eventually(one.answer.done)
        assert await reason(one) == "BATCHER_DISAGREES", why
        assert pools.disagreements == 1


async def test_an_error_behind_parts_is_that_of_the_answer_and_no_other_batcher_is_asked(batcher, other):
    batcher.behave = other.behave = in_parts(2, code=int(Code.UNAVAILABLE), reason="STOPPING")
    async with pools_of(batcher, other) as pools:
        assert await reason(begun(pools)) == "STOPPING"
        assert len(batcher.requests) + len(other.requests) == 1
        batcher.behave = other.behave = in_parts(0, code=int(Code.UNAVAILABLE), reason="STOPPING")
        assert await reason(begun(pools)) == "STOPPING"
        assert len(batcher.requests) + len(other.requests) == 3, "before the first part it was"


async def test_a_deadline_behind_the_first_part_says_nothing_of_the_batcher(batcher: FakeBatcher):
    batcher.behave = silent
    async with pools_of(batcher) as pools:
        one = work(seconds=0.2)
        one.parts = PartBuffer(one.answer)
        pools.submit([one])
        await eventually(lambda: batcher.requests)
        batcher.respond(batcher_pb2.InferResponse(id=batcher.requests[0].id, more=True, outputs=outputs(b"\0\0\0\0")))
        assert await reason(one) == "DEADLINE_PASSED"
        assert pools.endpoints.ejections == 0
        await eventually(lambda: batcher.cancelled == [batcher.requests[0].id])


# The look-up.


async def first_part(bench: Bench, asked: asyncio.Task[Answer]) -> Rest:
    """Give a part to what is asked last; return the rest of its answer."""

    def buffer() -> PartBuffer | None:
        return next((one.parts for one in bench.online.works if one.parts is not None and not one.parts.came), None)

    waiting = await eventually(buffer)
    assert waiting is not None
    waiting.put(batcher_pb2.InferResponse(more=True, outputs=outputs(b"\0\0\0\0"), compute_us=7))
    found = await asked
    assert found.rest is not None
    return found.rest


async def test_nothing_of_an_answer_in_parts_is_kept_or_shared():
    bench = Bench(version=DECOUPLED)
    first, second = bench.ask(), bench.ask()
    await bench.asked(2)
    for one in bench.online.works:
        assert one.parts is not None
        one.parts.put(batcher_pb2.InferResponse(more=True, outputs=outputs(b"\0\0\0\0")))
    found = await first
    await second
    assert (found.served_from, found.lookup_outcome, found.part) == (ServedFrom.ONLINE, IN_PARTS, 0)
    assert not bench.store.values
    again = following(found, batcher_pb2.InferResponse(outputs=b"next", invalid_rows=1))
    assert (again.part, again.outputs, again.invalid, again.rest) == (1, b"next", True, found.rest)


async def test_a_client_and_a_model_have_no_more_answers_at_a_time_than_they_may_and_an_end_makes_room():
    bench = Bench(version=DECOUPLED)
    rests = [await first_part(bench, bench.ask()) for _ in range(2)]
    refused = await failed(bench.ask())
    assert (refused.code, refused.reason) == (Code.RESOURCE_EXHAUSTED, "TOO_MANY_ANSWERS")
    rests[0].close()
    rests[0].close()
    assert len(bench.online.works) == 1, "what is closed is withdrawn, once"
    await first_part(bench, bench.ask())
    await failed(bench.ask())


async def test_a_first_part_that_does_not_come_in_time_frees_the_place_of_its_answer():
    bench = Bench(version=DECOUPLED)
    for _ in range(4):
        with pytest.raises(DeadlineExceeded):
            await bench.find(within_s=0.01)
    assert bench.online.works == []


async def test_a_route_that_computes_nothing_has_no_answers_in_parts():
    bench = Bench(version=DECOUPLED, lookup=lookup(mode="BATCH"))
    assert (await failed(bench.ask())).reason in ("ENTITY_MISSING", "NOT_PRECOMPUTED")
    assert BATCH
    assert bench.online.submitted == 0


async def test_a_request_that_takes_one_answer_is_put_to_no_version_that_gives_several():
    bench = Bench()
    resolved = bench.resolved()
    own = resolved.variant.served
    several = ServedVersion("digits", "v2", "d2", "s", own.contract._replace(decoupled=True))
    assert fitted(resolved, several, 64) is None
    resolved.in_parts = True
    assert fitted(resolved, several, 64) is not None
    assert answers_in_parts("digits").code is Code.FAILED_PRECONDITION
