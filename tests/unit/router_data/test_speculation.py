"""When a batcher is asked at once with the store, and what becomes of a request that both were asked for."""

from __future__ import annotations

import asyncio

import pytest
from headrace_router import stored_answers
from headrace_router.data.answer.answer import ServedFrom
from headrace_router.data.answer.refusals import deadline_exceeded
from headrace_router.data.lookup.execution import executes_speculatively
from headrace_router.data.request.trace import Marks
from headrace_router.data.tables.decisions.repetition import Repetition
from headrace_servicekit.errors import Code, ServiceError, Unavailable
from headrace_servicekit.testing import eventually

from tests.kit.router.digits import ROW
from tests.kit.router.fake_control import lookup
from tests.kit.router.lookup_bench import Bench, outputs

ONE, TWO, THREE = (bytes([number, 0, 0, 0]) for number in (1, 2, 3))
DOWN = Unavailable("down", reason="NO_BACKEND")
WINDOWS = lookup(ttl=60, stale_while_revalidate=30, stale_on_error=600)
# So many in a row that are not known, and a batcher is asked at once.
UNKNOWN = 59


@pytest.mark.parametrize(
    ("known_share", "in_flight", "expected"),
    [
        pytest.param(0.05, 0, True, id="hardly anything is known and nobody computes"),
        pytest.param(0.06, 0, False, id="too much is known"),
        pytest.param(0.0, 1, False, id="a batcher has work"),
    ],
)
def test_both_are_asked_when_nothing_is_lost_by_it(known_share, in_flight, expected):
    assert executes_speculatively(known_share, in_flight) is expected


class TestKnownShares:
    def after(self, *replies: bool) -> float:
        repetition = Repetition()
        for known in replies:
            repetition.observe_store(known=known)
        return repetition.known

    def test_of_a_version_that_nothing_was_asked_for_all_may_be_known(self):
        assert Repetition().known == 1.0

    def test_it_takes_many_that_are_not_known_in_a_row_to_ask_both(self):
        assert not executes_speculatively(self.after(*[False] * (UNKNOWN - 1)), 0)
        assert executes_speculatively(self.after(*[False] * UNKNOWN), 0)

    def test_and_two_that_are_known_to_end_it(self):
        assert not executes_speculatively(self.after(*[False] * 1000, True, True), 0)

    def test_one_in_five_that_is_known_is_too_much(self):
        assert self.after(*[False, False, False, False, True] * 200) == pytest.approx(0.2, abs=0.03)


async def lone(*, computed: int = UNKNOWN, **how) -> Bench:
    """Return a bench, unless told with nothing in memory, whose store knew none of what it was asked for so far."""
    bench = Bench(**{"memory_bytes": 0, **how})
    for number in range(computed):
        await bench.fill(inputs=number.to_bytes(16, "big"))
    bench.online.submitted = 0
    return bench


async def keep(bench: Bench, value: bytes, *, age_s: float = 0.0) -> None:
    """Put an answer to the usual request into the store."""
    before = set(bench.store.values)
    await bench.fill(value)
    (key,) = set(bench.store.values) - before
    entry = stored_answers.Entry(int(bench.store.now_ms() - age_s * 1000), outputs(value))
    bench.store.values[key] = stored_answers.encode(key, entry)
    bench.store.holds, bench.online.submitted = True, 0


async def error_of(asked: asyncio.Task) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        await asked
    return caught.value


async def test_a_lone_request_is_computed_while_the_store_says_nothing():
    bench = await lone()
    bench.store.holds = True
    asked = bench.ask()
    await bench.asked()
    bench.answer(ONE)
    found = await asked
    assert (found.served_from, found.outputs, found.lookup_outcome) == (ServedFrom.ONLINE, outputs(ONE), "NOT_AWAITED")
    assert bench.counts.misses["NOT_AWAITED"] == 1
    assert len(bench.lookup.single_flight) == 0


async def test_what_the_store_says_too_late_changes_nothing_and_the_answer_is_kept():
    bench = await lone()
    bench.store.holds = True
    asked = bench.ask()
    await bench.asked()
    bench.answer(ONE)
    await asked
    hits = bench.counts.hits.total()
    bench.store.release()
    assert (bench.counts.hits.total(), bench.online.submitted, bench.online.works) == (hits, 1, [])
    assert (await bench.find()).served_from is ServedFrom.CACHE


@pytest.mark.parametrize(
    ("up", "outcome"),
    [pytest.param(True, "MISS", id="nothing"), pytest.param(False, "STORE_UNAVAILABLE", id="that it is not there")],
)
async def test_what_the_store_says_first_is_why_the_answer_was_computed(up, outcome):
    bench = await lone()
    bench.store.holds, bench.store.up = True, up
    asked = bench.ask()
    await bench.asked()
    bench.store.release()
    bench.answer(ONE)
    assert (await asked).lookup_outcome == outcome
    assert bench.online.submitted == 1


async def test_a_kept_answer_that_comes_first_is_given_and_nothing_is_computed():
    bench = await lone()
    await keep(bench, ONE)
    asked = bench.ask()
    (work,) = await bench.asked()
    bench.store.release()
    found = await asked
    assert (found.served_from, found.outputs, found.lookup_outcome) == (ServedFrom.CACHE, outputs(ONE), "")
    assert not bench.online.works
    assert work.answer.cancelled()
    assert bench.counts.hits["cache", "valkey"] == 1
    assert len(bench.lookup.single_flight) == 0


async def test_so_is_one_that_was_computed_beforehand():
    bench = await lone(generation=3)
    bench.precompute("a", TWO, generation=3)
    bench.store.holds = True
    asked = bench.ask(entity_id="a")
    await bench.asked()
    bench.store.release()
    assert (await asked).served_from is ServedFrom.PRECOMPUTED
    assert not bench.online.works


async def test_while_somebody_else_computes_the_store_is_asked_first():
    bench = await lone()
    bench.store.holds = True
    first, second = bench.ask(), bench.ask(inputs=b"\1" * 16)
    await bench.asked()
    await eventually(lambda: bench.store.reads == UNKNOWN + 2)
    assert bench.online.submitted == 1
    bench.store.release()
    await bench.asked(2)
    bench.answer(ONE)
    assert [one.lookup_outcome for one in await asyncio.gather(first, second)] == ["MISS", "MISS"]


async def test_where_the_store_often_has_the_answer_it_is_asked_first():
    bench = await lone(computed=UNKNOWN - 1)
    bench.store.holds = True
    asked = bench.ask()
    await eventually(lambda: bench.store.reads == UNKNOWN)
    assert not bench.online.submitted
    bench.store.release()
    await bench.asked()
    bench.answer(ONE)
    await asked


async def test_who_asks_the_same_meanwhile_shares_the_execution():
    bench = await lone()
    bench.store.holds = True
    asked = [bench.ask(), bench.ask()]
    await bench.asked()
    bench.answer(ONE)
    found = await asyncio.gather(*asked)
    assert [(one.lookup_outcome, one.shared_execution) for one in found] == [
        ("NOT_AWAITED", False),
        ("NOT_AWAITED", True),
    ]
    assert bench.online.submitted == 1


async def test_when_all_have_left_both_are_forgotten():
    bench = await lone()
    bench.store.holds = True
    asked = [bench.ask(), bench.ask()]
    (work,) = await bench.asked()
    for one in asked:
        one.cancel()
    await eventually(lambda: not bench.online.works)
    bench.store.release()
    assert work.answer.cancelled()
    assert (len(bench.lookup.single_flight), bench.online.submitted) == (0, 1)


@pytest.mark.parametrize("error", [DOWN, deadline_exceeded()], ids=["down", "late"])
async def test_an_error_waits_for_what_the_store_says(error):
    bench = await lone()
    await keep(bench, ONE)
    known, unknown = bench.ask(), bench.ask(inputs=b"\1" * 16, within_s=0.01)
    await bench.asked()
    bench.fail(error)
    await asyncio.sleep(0)
    assert not known.done()
    bench.store.release()
    assert (await known).outputs == outputs(ONE)
    await bench.asked()
    bench.fail(error)
    assert (await error_of(unknown)).code is error.code


async def test_an_error_is_told_when_the_store_has_nothing_either():
    bench = await lone()
    bench.store.holds = True
    asked = bench.ask()
    await bench.asked()
    bench.fail(DOWN)
    await asyncio.sleep(0)
    late = bench.ask()
    await asyncio.sleep(0)
    bench.store.release()
    assert [(await error_of(one)).reason for one in (asked, late)] == ["NO_BACKEND", "NO_BACKEND"]
    assert (len(bench.lookup.single_flight), bench.online.submitted) == (0, 1)


async def test_a_stale_answer_is_given_at_once_and_its_renewal_has_time_of_its_own():
    bench = await lone(lookup=WINDOWS)
    await keep(bench, ONE, age_s=70)
    asked = bench.ask(within_s=0.5)
    await bench.asked()
    bench.store.release()
    assert (await asked).served_from is ServedFrom.STALE
    (work,) = await bench.asked()
    assert work.deadline > bench.loop.time() + 4
    bench.answer(TWO)
    await eventually(lambda: len(bench.lookup.single_flight) == 0)
    assert (await bench.find()).outputs == outputs(TWO)


async def test_an_answer_past_its_time_is_given_before_the_deadline_when_the_batchers_fail():
    bench = await lone(lookup=WINDOWS)
    await keep(bench, ONE, age_s=300)
    asked = bench.ask(within_s=1.0)
    await bench.asked()
    bench.store.release()
    (work,) = await bench.asked()
    assert work.deadline <= bench.loop.time() + 0.995
    assert work.queue_timeout_s == 0.0
    bench.fail(deadline_exceeded())
    found = await asked
    assert (found.served_from, found.degraded_reason) == (ServedFrom.STALE, "DEADLINE_PASSED")


async def test_who_accepts_less_than_the_store_has_gets_a_computed_answer():
    bench = await lone()
    await keep(bench, ONE, age_s=10)
    any_age, young = bench.ask(), bench.ask(max_age_s=5.0)
    await bench.asked()
    await eventually(lambda: len(bench.lookup.single_flight) == 1)
    bench.store.release()
    assert (await any_age).outputs == outputs(ONE)
    await bench.asked()
    bench.answer(TWO)
    found = await young
    assert (found.outputs, found.lookup_outcome) == (outputs(TWO), "TOO_OLD")


async def test_where_nothing_may_be_computed_nothing_is():
    bench = await lone()
    bench.put_table(lookup=lookup(mode="BATCH"), generation=3)
    assert (await error_of(bench.ask(entity_id="a"))).code is Code.NOT_FOUND
    assert not bench.online.submitted


async def test_a_renewal_is_not_in_such_a_hurry():
    bench = await lone(lookup=WINDOWS, memory_bytes=1 << 20)
    await bench.fill(ONE)
    bench.loop.ahead_s += 70
    bench.store.holds, bench.online.submitted = True, 0
    assert (await bench.find()).served_from is ServedFrom.STALE
    assert not bench.online.submitted


@pytest.mark.parametrize(
    ("inputs", "ends_with_the_answer"),
    [pytest.param(ROW, True, id="kept"), pytest.param(b"\1" * 16, False, id="computed")],
)
async def test_the_look_up_ends_when_a_batcher_is_asked_unless_a_kept_answer_is_given(inputs, ends_with_the_answer):
    bench = await lone()
    await keep(bench, ONE)
    resolved = bench.resolved(inputs)
    marks = resolved.call.marks = Marks(bench.loop.time, bench.started)
    asked = asyncio.ensure_future(bench.lookup.find(resolved, resolved.variant, bench.loop.time() + 5))
    await bench.asked()
    bench.store.release()
    bench.answer(TWO)
    await asked
    marks.answered(bench.loop.time(), 0, 0)
    assert (marks.lookup_ended == marks.ended) is ends_with_the_answer
