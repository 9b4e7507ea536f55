"""How old an answer may be: for a route, for a caller, and when nothing better comes."""

from __future__ import annotations

import asyncio

import pytest
from google.protobuf import duration_pb2
from headrace.router.v1 import control_pb2
from headrace_router import stored_answers
from headrace_router.data.answer.answer import ServedFrom
from headrace_router.data.answer.refusals import deadline_exceeded
from headrace_router.data.lookup.single_flight import MAX_RENEWALS
from headrace_servicekit.errors import Code
from headrace_servicekit.testing import eventually

from tests.kit.router.digits import row
from tests.kit.router.fake_control import lookup
from tests.kit.router.lookup_bench import DOWN, ONE, THREE, TWO, WINDOWS, Bench, error_of, outputs


async def test_past_its_time_an_answer_is_computed_anew():
    bench = Bench()
    await bench.fill(ONE)
    bench.loop.ahead_s += 61
    found = await bench.fill(TWO)
    assert (found.outputs, found.lookup_outcome) == (outputs(TWO), "TOO_OLD")


async def test_a_caller_may_accept_less_than_the_route():
    bench = Bench()
    await bench.fill(ONE)
    bench.loop.ahead_s += 10
    assert (await bench.find(max_age_s=11.0)).outputs == outputs(ONE)
    assert (await bench.fill(TWO, max_age_s=9.0)).lookup_outcome == "TOO_OLD"
    assert (await bench.find()).outputs == outputs(TWO)


async def test_no_age_at_all_is_computed_for_this_request_alone():
    bench = Bench()
    asked = [bench.ask(max_age_s=0.0) for _ in range(2)]
    await bench.asked(2)
    bench.answer(ONE)
    assert [one.shared_execution for one in await asyncio.gather(*asked)] == [False, False]
    assert (await bench.find()).served_from is ServedFrom.CACHE


async def test_a_stale_answer_is_given_at_once_while_a_new_one_is_computed():
    bench = Bench(lookup=WINDOWS)
    await bench.fill(ONE)
    bench.loop.ahead_s += 70
    for _ in range(3):
        stale = await bench.find()
        assert (stale.served_from, stale.outputs, stale.degraded_reason) == (ServedFrom.STALE, outputs(ONE), "")
        assert 70_000 <= stale.age_ms < 71_000
    await bench.asked(1)
    bench.answer(TWO)
    await eventually(lambda: len(bench.lookup.single_flight) == 0)
    fresh = await bench.find()
    assert (fresh.served_from, fresh.outputs) == (ServedFrom.CACHE, outputs(TWO))


async def test_a_stale_answer_of_the_store_is_given_and_replaced_too():
    bench = Bench(lookup=WINDOWS, memory_bytes=0)
    await bench.fill(ONE)
    bench.loop.ahead_s += 70
    assert (await bench.find()).served_from is ServedFrom.STALE
    await bench.asked(1)
    bench.answer(TWO)
    await eventually(lambda: len(bench.lookup.single_flight) == 0)
    assert (await bench.find()).outputs == outputs(TWO)


async def test_a_renewal_takes_what_another_data_plane_has_computed_meanwhile():
    bench = Bench(lookup=WINDOWS)
    await bench.fill(ONE)
    (key,) = bench.store.values
    bench.loop.ahead_s += 70
    bench.store.values[key] = stored_answers.encode(key, stored_answers.Entry(int(bench.store.now_ms()), outputs(TWO)))
    assert (await bench.find()).outputs == outputs(ONE)
    assert (await bench.find()).outputs == outputs(TWO)
    assert bench.online.submitted == 1


async def test_a_renewal_whose_input_is_to_blame_fails_nobody_elses_request():
    bench = Bench(lookup=lookup(ttl=60, stale_while_revalidate=30, key="ENTITY"))
    await bench.fill(ONE, entity_id="a")
    bench.loop.ahead_s += 70
    assert (await bench.find(entity_id="a")).served_from is ServedFrom.STALE
    await bench.asked(1)
    other = bench.ask(entity_id="a", inputs=row(4, 3, 2, 1), max_age_s=1.0)
    await asyncio.sleep(0)
    bench.answer(code=3, reason="MODEL_REJECTED_INPUT")
    (work,) = await bench.asked(1)
    assert work.inputs == (row(4, 3, 2, 1),)
    bench.answer(TWO)
    assert (await other).outputs == outputs(TWO)


async def test_a_renewal_that_two_tables_want_is_one():
    bench = Bench(lookup=lookup(ttl=60, stale_while_revalidate=30))
    await bench.fill(ONE)
    (key,) = bench.store.values
    bench.loop.ahead_s += 70
    bench.store.values[key] = stored_answers.encode(
        key, stored_answers.Entry(int(bench.store.now_ms()) - 40_000, outputs(TWO))
    )
    bench.store.holds = True
    assert (await bench.find()).served_from is ServedFrom.STALE
    bench.put_table(lookup=lookup(ttl=20, stale_while_revalidate=60))
    other = bench.ask(max_age_s=50.0)
    await asyncio.sleep(0)
    bench.store.release()
    found = await other
    assert (found.served_from, found.outputs) == (ServedFrom.STALE, outputs(TWO))
    assert (bench.counts.renewals, len(await bench.asked(1))) == (1, 1)


async def test_a_renewal_that_fails_is_not_tried_again_at_once():
    bench = Bench(lookup=WINDOWS)
    await bench.fill(ONE)
    bench.loop.ahead_s += 70
    await bench.find()
    await bench.asked(1)
    bench.fail(DOWN)
    await eventually(lambda: len(bench.lookup.single_flight) == 0)
    await bench.find()
    assert bench.online.submitted == 2
    bench.loop.ahead_s += 1.1
    await bench.find()
    assert bench.online.submitted == 3


async def test_renewals_have_a_bound_and_those_that_ended_make_room():
    bench = Bench(lookup=WINDOWS)
    entities = [str(number) for number in range(MAX_RENEWALS + 1)]
    for entity in entities:
        await bench.fill(ONE, entity_id=entity)
    for _ in range(2):
        bench.loop.ahead_s += 70
        assert {(await bench.find(entity_id=entity)).served_from for entity in entities} == {ServedFrom.STALE}
        await bench.asked(MAX_RENEWALS)
        bench.answer(TWO)
        await eventually(lambda: len(bench.lookup.single_flight) == 0)
        await bench.fill(TWO, entity_id=entities[-1], max_age_s=1.0)


async def test_a_stale_answer_stands_in_for_an_error_and_says_which():
    bench = Bench(lookup=WINDOWS)
    await bench.fill(ONE)
    bench.loop.ahead_s += 300
    asked = bench.ask()
    await bench.asked()
    bench.fail(DOWN)
    found = await asked
    assert (found.served_from, found.outputs) == (ServedFrom.STALE, outputs(ONE))
    assert found.degraded_reason == "NO_BACKEND"
    assert found.age_ms >= 300_000


@pytest.mark.parametrize(
    ("later_s", "how"),
    [
        pytest.param(661.0, {}, id="too old for the route"),
        pytest.param(300.0, {"max_age_s": 299.0}, id="too old for the caller"),
    ],
)
async def test_beyond_the_bounds_an_error_is_an_error(later_s, how):
    bench = Bench(lookup=WINDOWS)
    await bench.fill(ONE)
    bench.loop.ahead_s += later_s
    asked = bench.ask(**how)
    await bench.asked()
    bench.fail(DOWN)
    assert (await error_of(asked)).reason == "NO_BACKEND"


async def test_bad_input_is_never_answered_by_an_old_answer():
    bench = Bench(lookup=WINDOWS)
    await bench.fill(ONE)
    bench.loop.ahead_s += 300
    asked = bench.ask()
    await bench.asked()
    bench.answer(code=3, reason="MODEL_REJECTED_INPUT")
    assert (await error_of(asked)).code is Code.INVALID_ARGUMENT


async def test_a_stale_answer_comes_before_the_deadline_not_after():
    bench = Bench(lookup=WINDOWS)
    await bench.fill(ONE)
    bench.loop.ahead_s += 300
    asked = bench.ask(within_s=1.0)
    (work,) = await bench.asked()
    assert work.deadline <= bench.loop.time() + 0.995
    bench.fail(deadline_exceeded())
    assert (await asked).degraded_reason == "DEADLINE_PASSED"


@pytest.mark.parametrize("ahead_ms", [3_600_000, -3_600_000])
async def test_an_entry_of_a_clock_that_is_an_hour_off_is_not_given(ahead_ms):
    bench = Bench(memory_bytes=0)
    await bench.fill(ONE)
    (key,) = bench.store.values
    bench.store.values[key] = stored_answers.encode(
        key, stored_answers.Entry(int(bench.store.now_ms()) + ahead_ms, outputs(THREE))
    )
    assert (await bench.fill(TWO)).outputs == outputs(TWO)


async def test_entries_are_stored_for_as_long_as_anybody_may_want_them():
    step = control_pb2.ResolvedFallbackStep(name="old", stale=duration_pb2.Duration(seconds=3600))
    for fallback, keep_ms in (((), 660_000), ((step,), 3_600_000)):
        bench = Bench(lookup=WINDOWS, fallback=fallback)
        await bench.fill(ONE)
        assert set(bench.store.keep_ms.values()) == {keep_ms}
