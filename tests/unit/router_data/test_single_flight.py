"""Requests that ask for the same share one execution: who leaves, who is late, who joins."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from headrace_router.data.answer.answer import Answer
from headrace_router.data.answer.refusals import deadline_exceeded
from headrace_router.data.batchers.work import Work
from headrace_router.data.lookup import single_flight
from headrace_router.data.lookup.execution import SharedExecution, Waiter
from headrace_servicekit.errors import Code
from headrace_servicekit.testing import eventually

from tests.kit.router.garbage import instances, no_collection
from tests.kit.router.lookup_bench import ONE, TWO, WINDOWS, Bench, error_of, outputs


async def test_a_thousand_requests_of_one_key_are_one_execution():
    bench = Bench()
    asked = [bench.ask() for _ in range(1000)]
    await bench.asked()
    bench.answer(ONE)
    found = await asyncio.gather(*asked)
    assert bench.online.submitted == 1
    assert {one.outputs for one in found} == {outputs(ONE)}
    assert [one.shared_execution for one in found] == [False] + [True] * 999
    assert bench.counts.shared == 999
    assert len(bench.lookup.single_flight) == 0


async def test_a_leader_that_leaves_strands_nobody():
    bench = Bench()
    leader, other = bench.ask(), bench.ask()
    await bench.asked()
    leader.cancel()
    await asyncio.sleep(0)
    bench.answer(ONE)
    assert (await other).outputs == outputs(ONE)


async def test_when_all_have_left_the_execution_is_withdrawn():
    bench = Bench()
    asked = [bench.ask() for _ in range(3)]
    await bench.asked()
    for one in asked:
        one.cancel()
    await eventually(lambda: not bench.online.works)
    assert len(bench.lookup.single_flight) == 0


async def test_those_who_leave_while_the_store_is_read_cost_no_execution():
    bench = Bench()
    bench.store.holds = True
    asked = bench.ask()
    await eventually(lambda: bench.store.reads == 1)
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    bench.store.release()
    assert bench.online.submitted == 0
    assert len(bench.lookup.single_flight) == 0


async def test_an_error_reaches_all_and_is_not_kept():
    bench = Bench()
    asked = [bench.ask() for _ in range(3)]
    await bench.asked()
    bench.answer(code=8, reason="QUEUE_FULL")
    errors = [await error_of(one) for one in asked]
    assert [one.reason for one in errors] == ["QUEUE_FULL"] * 3
    assert len({id(one) for one in errors}) == 3
    assert (await bench.fill(ONE)).outputs == outputs(ONE)


async def test_a_bad_input_of_many_is_executed_once():
    bench = Bench()
    asked = [bench.ask() for _ in range(3)]
    await bench.asked()
    bench.answer(code=3, reason="MODEL_REJECTED_INPUT")
    assert [(await error_of(one)).code for one in asked] == [Code.INVALID_ARGUMENT] * 3
    assert bench.online.submitted == 1


async def test_a_shared_execution_goes_on_until_the_latest_deadline():
    bench = Bench()
    hasty, patient = bench.ask(within_s=0.05), bench.ask(within_s=60)
    await bench.asked()
    bench.fail(deadline_exceeded())
    (work,) = await bench.asked()
    assert work.deadline > bench.loop.time() + 30
    assert (await error_of(hasty)).code is Code.DEADLINE_EXCEEDED
    bench.answer(ONE)
    assert (await patient).outputs == outputs(ONE)


async def test_one_who_joins_with_less_time_is_told_in_time():
    bench = Bench()
    patient = bench.ask(within_s=60)
    await bench.asked()
    hasty = bench.ask(within_s=0.02)
    assert (await error_of(hasty)).code is Code.DEADLINE_EXCEEDED
    bench.answer(ONE)
    assert (await patient).outputs == outputs(ONE)


async def test_requests_under_different_precomputed_generations_share_nothing():
    bench = Bench(generation=1)
    old = bench.ask(entity_id="a")
    await bench.asked()
    bench.put_table(generation=2)
    bench.precompute("a", TWO, generation=2)
    assert (await bench.find(entity_id="a")).outputs == outputs(TWO)
    bench.answer(ONE)
    assert (await old).outputs == outputs(ONE)


async def internal_errors(asked: Sequence[asyncio.Task[Answer]]) -> bool:
    """Return whether each of these was told that we have a defect, at once."""
    return all([(await asyncio.wait_for(error_of(one), 2)).code is Code.INTERNAL for one in asked])


def broken(*_: Any, **__: Any) -> None:
    """Fail as nobody expects."""
    raise RuntimeError("a defect")


def taken_and_broken(bench: Bench) -> Any:
    """Return what takes works and then fails."""

    def submit(works: Iterable[Work]) -> None:
        bench.online.works.extend(works)
        broken()

    return submit


async def test_a_defect_when_the_store_answers_leaves_nobody_waiting():
    bench = Bench()
    bench.store.holds = True
    asked = [bench.ask() for _ in range(3)]
    await eventually(lambda: bench.store.reads == 1)
    bench.online.submit = taken_and_broken(bench)
    bench.store.release()
    assert await internal_errors(asked)
    assert len(bench.lookup.single_flight) == 0


async def test_a_defect_when_a_batcher_answers_leaves_nobody_waiting(monkeypatch: pytest.MonkeyPatch):
    bench = Bench()
    asked = [bench.ask() for _ in range(3)]
    await bench.asked()
    monkeypatch.setattr(single_flight, "missing_in", broken)
    bench.answer(ONE)
    assert await internal_errors(asked)
    monkeypatch.undo()
    assert (await bench.fill(ONE)).outputs == outputs(ONE)


async def test_a_defect_while_an_execution_begins_is_told_to_those_who_ask_for_the_same_later():
    bench = Bench()
    bench.online.submit = taken_and_broken(bench)
    assert await internal_errors([bench.ask()])
    assert await internal_errors([bench.ask()])
    assert len(bench.lookup.single_flight) == 0


async def test_an_answer_that_cannot_be_kept_is_given_all_the_same():
    bench = Bench()
    asked = [bench.ask() for _ in range(3)]
    await bench.asked()
    bench.store.put = broken
    bench.answer(ONE)
    assert {one.outputs for one in await asyncio.gather(*asked)} == {outputs(ONE)}


async def test_a_renewal_that_cannot_be_kept_ends_and_makes_room_for_others():
    bench = Bench(lookup=WINDOWS)
    await bench.fill(ONE)
    bench.loop.ahead_s = 61.0
    assert (await bench.find()).outputs == outputs(ONE)
    await bench.asked()
    bench.store.put = broken
    bench.answer(TWO)
    await eventually(lambda: len(bench.lookup.single_flight) == 0)


async def test_an_error_does_not_keep_those_whom_it_reached():
    bench = Bench()
    with no_collection():
        asked = [bench.ask() for _ in range(3)]
        await bench.asked()
        bench.answer(code=8, reason="QUEUE_FULL")
        await asyncio.gather(*asked, return_exceptions=True)
        asked.clear()
        await asyncio.sleep(0)  # this task has what it awaited last in its hand
        assert not instances(SharedExecution, Waiter)
