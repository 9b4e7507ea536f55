"""The look-up over a store and batchers held in the hand; tests/integration/router_data has real ones."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from google.protobuf import duration_pb2
from headrace.router.v1 import control_pb2, predict_pb2
from headrace.tensor.v1 import tensor_pb2
from headrace_router import kept
from headrace_router.data.messages import ServedFrom
from headrace_router.data.refusals import deadline_exceeded
from headrace_servicekit.errors import Code, ServiceError, Unavailable
from headrace_servicekit.testing import eventually

from tests.kit.control import INCARNATION, lookup, resolved_version
from tests.kit.digits import V1
from tests.kit.looking import Bench, outputs

ONE, TWO, THREE = (bytes([number, 0, 0, 0]) for number in (1, 2, 3))
DOWN = Unavailable("down", reason="NO_BACKEND")
WINDOWS = lookup(ttl=60, stale_while_revalidate=30, stale_on_error=600)
BATCH = lookup(mode="BATCH")


async def error_of(asked: asyncio.Task) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        await asked
    return caught.value


async def test_an_answer_is_computed_once_and_then_remembered():
    bench = Bench()
    first = await bench.fill(ONE)
    bench.loop.ahead_s += 5
    second = await bench.find()
    assert (first.served_from, first.lookup_outcome, first.age_ms) == (ServedFrom.ONLINE, "MISS", 0)
    assert (second.served_from, second.outputs, second.lookup_outcome) == (ServedFrom.CACHE, outputs(ONE), "")
    assert 5000 <= second.age_ms < 6000
    assert bench.online.submitted == 1


async def test_what_memory_does_not_have_comes_from_the_store():
    bench = Bench(memory_bytes=0)
    await bench.fill(ONE)
    found = await bench.find()
    assert (found.served_from, found.outputs) == (ServedFrom.CACHE, outputs(ONE))
    assert bench.counts.hits["cache", "valkey"] == 1


@pytest.mark.parametrize(
    ("how", "again"),
    [
        pytest.param({"inputs": bytes(16)}, {"inputs": bytes(15) + b"\1"}, id="inputs"),
        pytest.param({"inputs": bytes(16)}, {"inputs": bytes(32), "rows": 2}, id="rows"),
        pytest.param({}, {"entity_id": "a"}, id="entity"),
        pytest.param({}, {"names": ("y",)}, id="outputs"),
    ],
)
async def test_requests_that_differ_share_nothing(how, again):
    bench = Bench()
    await bench.fill(ONE, **how)
    await bench.fill(TWO, **again)
    assert bench.online.submitted == 2


async def test_requests_of_other_users_and_attributes_share():
    bench = Bench()
    await bench.fill(ONE, user_id="ada")
    assert (await bench.find(user_id="bob", attributes={"country": "DE"})).served_from is ServedFrom.CACHE


async def test_by_entity_other_inputs_share_and_requests_without_an_entity_do_not():
    bench = Bench(lookup=lookup(key="ENTITY"))
    await bench.fill(ONE, entity_id="a", inputs=bytes(16))
    assert (await bench.find(entity_id="a", inputs=b"\1" * 16)).served_from is ServedFrom.CACHE
    for _ in range(2):
        assert (await bench.fill(ONE)).lookup_outcome == "NO_ENTITY"


async def test_by_entity_a_bad_input_fails_alone():
    bench = Bench(lookup=lookup(key="ENTITY"))
    bad, good = bench.ask(entity_id="a"), bench.ask(entity_id="a", inputs=b"\1" * 16)
    await bench.asked()
    bench.answer(code=3, reason="NAN_NOT_ALLOWED", blamed_input=1)
    (work,) = await bench.asked()
    assert work.inputs == (b"\1" * 16,)
    bench.answer(ONE)
    assert (await error_of(bad)).code is Code.INVALID_ARGUMENT
    assert (await good).outputs == outputs(ONE)


@pytest.mark.parametrize(
    ("policy", "outcome"),
    [
        pytest.param(lookup(mode="ONLINE"), "MODE_ONLINE", id="online"),
        pytest.param(lookup(ttl=0), "NOT_KEPT", id="no ttl"),
    ],
)
async def test_routes_that_keep_nothing_compute_every_request(policy, outcome):
    bench = Bench(lookup=policy)
    asked = [bench.ask(), bench.ask()]
    await bench.asked(2)
    bench.answer(ONE)
    assert [(one.served_from, one.lookup_outcome) for one in await asyncio.gather(*asked)] == [
        (ServedFrom.ONLINE, outcome)
    ] * 2
    assert not bench.store.values
    assert not len(bench.memory)


async def test_large_inputs_are_cached_only_where_the_route_says_so():
    wide = resolved_version("digits", "wide", inputs=[tensor_pb2.TensorSpec(name="x", datatype="FP32", shape=[20_000])])
    large = bytes(4 * 20_000)
    bench = Bench(version=wide)
    for _ in range(2):
        assert (await bench.fill(ONE, inputs=large)).lookup_outcome == "TOO_LARGE"
    bench = Bench(version=wide, lookup=lookup(cache_large_inputs=True))
    await bench.fill(ONE, inputs=large)
    assert (await bench.find(inputs=large)).served_from is ServedFrom.CACHE


class TestFlights:
    async def test_a_thousand_requests_of_one_key_are_one_execution(self):
        bench = Bench()
        asked = [bench.ask() for _ in range(1000)]
        await bench.asked()
        bench.answer(ONE)
        found = await asyncio.gather(*asked)
        assert bench.online.submitted == 1
        assert {one.outputs for one in found} == {outputs(ONE)}
        assert [one.shared_flight for one in found] == [False] + [True] * 999
        assert len(bench.lookup.flights) == 0

    async def test_a_leader_that_leaves_strands_nobody(self):
        bench = Bench()
        leader, other = bench.ask(), bench.ask()
        await bench.asked()
        leader.cancel()
        await asyncio.sleep(0)
        bench.answer(ONE)
        assert (await other).outputs == outputs(ONE)

    async def test_when_all_have_left_the_execution_is_withdrawn(self):
        bench = Bench()
        asked = [bench.ask() for _ in range(3)]
        await bench.asked()
        for one in asked:
            one.cancel()
        await eventually(lambda: not bench.online.works)
        assert len(bench.lookup.flights) == 0

    async def test_those_who_leave_while_the_store_is_read_cost_no_execution(self):
        bench = Bench()
        bench.store.holds = True
        asked = bench.ask()
        await eventually(lambda: bench.store.reads == 1)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        bench.store.release()
        assert bench.online.submitted == 0
        assert len(bench.lookup.flights) == 0

    async def test_an_error_reaches_all_and_is_not_kept(self):
        bench = Bench()
        asked = [bench.ask() for _ in range(3)]
        await bench.asked()
        bench.answer(code=8, reason="QUEUE_FULL")
        errors = [await error_of(one) for one in asked]
        assert [one.reason for one in errors] == ["QUEUE_FULL"] * 3
        assert len({id(one) for one in errors}) == 3
        assert (await bench.fill(ONE)).outputs == outputs(ONE)

    async def test_a_shared_execution_goes_on_until_the_latest_deadline(self):
        bench = Bench()
        hasty, patient = bench.ask(within_s=0.05), bench.ask(within_s=60)
        await bench.asked()
        bench.fail(deadline_exceeded())
        (work,) = await bench.asked()
        assert work.deadline > bench.loop.time() + 30
        assert (await error_of(hasty)).code is Code.DEADLINE_EXCEEDED
        bench.answer(ONE)
        assert (await patient).outputs == outputs(ONE)

    async def test_one_who_joins_with_less_time_is_told_in_time(self):
        bench = Bench()
        patient = bench.ask(within_s=60)
        await bench.asked()
        hasty = bench.ask(within_s=0.02)
        assert (await error_of(hasty)).code is Code.DEADLINE_EXCEEDED
        bench.answer(ONE)
        assert (await patient).outputs == outputs(ONE)

    async def test_requests_under_different_precomputed_generations_share_nothing(self):
        bench = Bench(generation=1)
        old = bench.ask(entity_id="a")
        await bench.asked()
        bench.put_table(generation=2)
        bench.precompute("a", TWO, generation=2)
        assert (await bench.find(entity_id="a")).outputs == outputs(TWO)
        bench.answer(ONE)
        assert (await old).outputs == outputs(ONE)


class TestAges:
    async def test_past_its_time_an_answer_is_computed_anew(self):
        bench = Bench()
        await bench.fill(ONE)
        bench.loop.ahead_s += 61
        found = await bench.fill(TWO)
        assert (found.outputs, found.lookup_outcome) == (outputs(TWO), "TOO_OLD")

    async def test_a_caller_may_accept_less_than_the_route(self):
        bench = Bench()
        await bench.fill(ONE)
        bench.loop.ahead_s += 10
        assert (await bench.find(max_age_s=11.0)).outputs == outputs(ONE)
        assert (await bench.fill(TWO, max_age_s=9.0)).lookup_outcome == "TOO_OLD"
        assert (await bench.find()).outputs == outputs(TWO)

    async def test_no_age_at_all_is_computed_for_this_request_alone(self):
        bench = Bench()
        asked = [bench.ask(max_age_s=0.0) for _ in range(2)]
        await bench.asked(2)
        bench.answer(ONE)
        assert [one.shared_flight for one in await asyncio.gather(*asked)] == [False, False]
        assert (await bench.find()).served_from is ServedFrom.CACHE

    async def test_a_stale_answer_is_given_at_once_while_a_new_one_is_computed(self):
        bench = Bench(lookup=WINDOWS)
        await bench.fill(ONE)
        bench.loop.ahead_s += 70
        for _ in range(3):
            stale = await bench.find()
            assert (stale.served_from, stale.outputs, stale.degraded_reason) == (ServedFrom.STALE, outputs(ONE), "")
            assert 70_000 <= stale.age_ms < 71_000
        await bench.asked(1)
        bench.answer(TWO)
        await eventually(lambda: len(bench.lookup.flights) == 0)
        fresh = await bench.find()
        assert (fresh.served_from, fresh.outputs) == (ServedFrom.CACHE, outputs(TWO))

    async def test_a_stale_answer_of_the_store_is_given_and_replaced_too(self):
        bench = Bench(lookup=WINDOWS, memory_bytes=0)
        await bench.fill(ONE)
        bench.loop.ahead_s += 70
        assert (await bench.find()).served_from is ServedFrom.STALE
        await bench.asked(1)
        bench.answer(TWO)
        await eventually(lambda: len(bench.lookup.flights) == 0)
        assert (await bench.find()).outputs == outputs(TWO)

    async def test_a_renewal_takes_what_another_data_plane_has_computed_meanwhile(self):
        bench = Bench(lookup=WINDOWS)
        await bench.fill(ONE)
        (key,) = bench.store.values
        bench.loop.ahead_s += 70
        bench.store.values[key] = kept.encode(key, kept.Entry(int(bench.store.now_ms()), outputs(TWO)))
        assert (await bench.find()).outputs == outputs(ONE)
        assert (await bench.find()).outputs == outputs(TWO)
        assert bench.online.submitted == 1

    async def test_a_renewal_that_fails_is_not_tried_again_at_once(self):
        bench = Bench(lookup=WINDOWS)
        await bench.fill(ONE)
        bench.loop.ahead_s += 70
        await bench.find()
        await bench.asked(1)
        bench.fail(DOWN)
        await eventually(lambda: len(bench.lookup.flights) == 0)
        await bench.find()
        assert bench.online.submitted == 2
        bench.loop.ahead_s += 1.1
        await bench.find()
        assert bench.online.submitted == 3

    async def test_a_stale_answer_stands_in_for_an_error_and_says_which(self):
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
    async def test_beyond_the_bounds_an_error_is_an_error(self, later_s, how):
        bench = Bench(lookup=WINDOWS)
        await bench.fill(ONE)
        bench.loop.ahead_s += later_s
        asked = bench.ask(**how)
        await bench.asked()
        bench.fail(DOWN)
        assert (await error_of(asked)).reason == "NO_BACKEND"

    async def test_bad_input_is_never_answered_by_an_old_answer(self):
        bench = Bench(lookup=WINDOWS)
        await bench.fill(ONE)
        bench.loop.ahead_s += 300
        asked = bench.ask()
        await bench.asked()
        bench.answer(code=3, reason="MODEL_REJECTED_INPUT")
        assert (await error_of(asked)).code is Code.INVALID_ARGUMENT

    async def test_a_stale_answer_comes_before_the_deadline_not_after(self):
        bench = Bench(lookup=WINDOWS)
        await bench.fill(ONE)
        bench.loop.ahead_s += 300
        asked = bench.ask(within_s=1.0)
        (work,) = await bench.asked()
        assert work.deadline <= bench.loop.time() + 0.995
        bench.fail(deadline_exceeded())
        assert (await asked).degraded_reason == "DEADLINE_PASSED"

    @pytest.mark.parametrize("ahead_ms", [3_600_000, -3_600_000])
    async def test_an_entry_of_a_clock_that_is_an_hour_off_is_not_given(self, ahead_ms):
        bench = Bench(memory_bytes=0)
        await bench.fill(ONE)
        (key,) = bench.store.values
        bench.store.values[key] = kept.encode(key, kept.Entry(int(bench.store.now_ms()) + ahead_ms, outputs(THREE)))
        assert (await bench.fill(TWO)).outputs == outputs(TWO)

    async def test_entries_are_stored_for_as_long_as_anybody_may_want_them(self):
        rung = control_pb2.ResolvedRung(name="old", stale=duration_pb2.Duration(seconds=3600))
        for fallback, keep_ms in (((), 660_000), ((rung,), 3_600_000)):
            bench = Bench(lookup=WINDOWS, fallback=fallback)
            await bench.fill(ONE)
            assert set(bench.store.keep_ms.values()) == {keep_ms}


class TestPrecomputed:
    async def test_an_entity_with_a_precomputed_answer_is_not_computed(self):
        bench = Bench(generation=3)
        bench.precompute("a", TWO, generation=3, age_s=3600)
        for layer in ("valkey", "memory"):
            found = await bench.find(entity_id="a")
            assert (found.served_from, found.outputs) == (ServedFrom.PRECOMPUTED, outputs(TWO))
            assert 3_600_000 <= found.age_ms < 3_601_000
            assert bench.counts.hits["precomputed", layer] == 1
        assert [key[:1] for key in bench.store.values] == [b"p"]

    @pytest.mark.parametrize(
        ("cached_age_s", "precomputed_age_s", "expected"),
        [pytest.param(5, 10, ONE, id="cached is younger"), pytest.param(10, 5, TWO, id="precomputed is younger")],
    )
    @pytest.mark.parametrize("memory_bytes", [0, 1 << 20], ids=["store", "memory"])
    async def test_the_younger_answer_wins(self, cached_age_s, precomputed_age_s, expected, memory_bytes):
        bench = Bench(generation=3, memory_bytes=memory_bytes)
        await bench.fill(ONE, entity_id="a")
        bench.loop.ahead_s += cached_age_s
        bench.put_table(generation=4)
        bench.precompute("a", TWO, generation=4, age_s=precomputed_age_s)
        for _ in range(2):
            assert (await bench.find(entity_id="a")).outputs == outputs(expected)

    async def test_a_new_generation_is_seen_at_once_although_memory_has_the_old_one(self):
        bench = Bench(generation=3)
        bench.precompute("a", ONE, generation=3)
        bench.precompute("a", TWO, generation=4)
        assert (await bench.find(entity_id="a")).outputs == outputs(ONE)
        bench.put_table(generation=4)
        assert (await bench.find(entity_id="a")).outputs == outputs(TWO)
        bench.put_table(generation=3)
        assert (await bench.find(entity_id="a")).outputs == outputs(ONE)

    async def test_several_rows_are_computed(self):
        bench = Bench(generation=3)
        bench.precompute("a", TWO, generation=3)
        found = await bench.fill(ONE, entity_id="a", inputs=bytes(32), rows=2)
        assert found.served_from is ServedFrom.ONLINE

    async def test_outputs_are_selected(self):
        specs = [tensor_pb2.TensorSpec(name=name, datatype="FP32", shape=[1]) for name in ("y", "z")]
        bench = Bench(generation=3, version=resolved_version("digits", "two", outputs=specs))
        key = kept.precomputed_prefix(INCARNATION, bench.version.digest, 3) + b"a"
        message = encoded_outputs({"y": ONE, "z": TWO})
        bench.store.values[key] = kept.encode(key, kept.Entry(int(bench.store.now_ms()), message))
        for _ in range(2):
            assert (await bench.find(entity_id="a", names=("z",))).outputs == encoded_outputs({"z": TWO})
            assert (await bench.find(entity_id="a")).outputs == message

    async def test_one_that_is_older_than_the_route_allows_is_not_given(self):
        bench = Bench(generation=3, lookup=lookup(max_precomputed_age=10))
        bench.precompute("a", TWO, generation=3, age_s=11)
        assert (await bench.fill(ONE, entity_id="a")).lookup_outcome == "TOO_OLD"

    async def test_one_that_has_expired_is_not_given(self):
        bench = Bench()
        bench.precompute("a", TWO, generation=3)
        answers = control_pb2.KeptAnswers(digest=V1.digest, precomputed_generation=3)
        answers.precomputed_expire_time.FromMilliseconds(int(bench.store.now_ms()) + 10_000)
        bench.put_kept(answers)
        assert (await bench.find(entity_id="a")).outputs == outputs(TWO)
        bench.loop.ahead_s += 11
        assert (await bench.fill(ONE, entity_id="a")).lookup_outcome == "MISS"


class TestBatchMode:
    async def test_an_entity_is_enough(self):
        bench = Bench(lookup=BATCH, generation=3)
        bench.precompute("a", TWO, generation=3)
        assert (await bench.find(entity_id="a", inputs=None)).served_from is ServedFrom.PRECOMPUTED

    @pytest.mark.parametrize(
        ("how", "code", "reason"),
        [
            pytest.param({"entity_id": "b"}, Code.NOT_FOUND, "NOT_PRECOMPUTED", id="another entity"),
            pytest.param({}, Code.INVALID_ARGUMENT, "ENTITY_MISSING", id="no entity"),
            pytest.param(
                {"entity_id": "a", "inputs": bytes(32), "rows": 2}, Code.NOT_FOUND, "NOT_PRECOMPUTED", id="two rows"
            ),
            pytest.param({"entity_id": "a", "max_age_s": 9.0}, Code.NOT_FOUND, "NOT_PRECOMPUTED", id="too old"),
            pytest.param({"entity_id": "a", "max_age_s": 0.0}, Code.NOT_FOUND, "NOT_PRECOMPUTED", id="none accepted"),
        ],
    )
    async def test_what_is_not_there_is_not_computed(self, how, code, reason):
        bench = Bench(lookup=BATCH, generation=3)
        bench.precompute("a", TWO, generation=3, age_s=10)
        error = await error_of(bench.ask(**how))
        assert (error.code, error.reason) == (code, reason)
        assert bench.online.submitted == 0

    async def test_a_store_that_is_down_is_no_missing_answer(self):
        bench = Bench(lookup=BATCH, generation=3)
        bench.store.up = False
        error = await error_of(bench.ask(entity_id="a"))
        assert (error.code, error.reason) == (Code.UNAVAILABLE, "STORE_UNAVAILABLE")

    async def test_a_store_that_takes_its_time_is_waited_for_until_the_deadline(self):
        bench = Bench(lookup=BATCH, generation=3)
        bench.precompute("a", TWO, generation=3)
        bench.store.holds = True
        hasty, patient = bench.ask(entity_id="a", within_s=0.05), bench.ask(entity_id="a")
        assert (await error_of(hasty)).code is Code.DEADLINE_EXCEEDED
        bench.store.release()
        assert (await patient).outputs == outputs(TWO)

    async def test_a_fallback_of_the_route_computes(self):
        bench = Bench(lookup=BATCH)
        question = bench.question()
        asked = asyncio.ensure_future(
            bench.lookup.find(question, replace(question.arm, pool="cpu"), bench.loop.time() + 5)
        )
        (work,) = await bench.asked()
        assert work.pool == "cpu"
        bench.answer(ONE)
        assert (await asked).outputs == outputs(ONE)


class TestStore:
    async def test_without_one_memory_is_the_cache(self):
        bench = Bench(alone=True, generation=3)
        for how in ({}, {"entity_id": "a"}):
            await bench.fill(ONE, **how)
        assert (await bench.find()).served_from is ServedFrom.CACHE
        bench = Bench(alone=True, generation=3, lookup=BATCH)
        assert (await error_of(bench.ask(entity_id="a"))).reason == "STORE_UNAVAILABLE"

    async def test_without_it_memory_and_batchers_answer(self):
        bench = Bench()
        bench.store.up = False
        assert (await bench.fill(ONE)).lookup_outcome == "STORE_UNAVAILABLE"
        assert (await bench.find()).served_from is ServedFrom.CACHE

    @pytest.mark.parametrize(
        "poison",
        [
            pytest.param(lambda key, value: b"", id="empty"),
            pytest.param(lambda key, value: value[:-1], id="cut"),
            pytest.param(lambda key, value: value[:20] + b"\xff" + value[21:], id="a byte changed"),
            pytest.param(lambda key, value: kept.encode(b"other", kept.Entry(1, outputs(TWO))), id="of another key"),
            pytest.param(lambda key, value: kept.encode(key, kept.Entry(1 << 50, b"\xff\xff")), id="no outputs"),
            pytest.param(lambda key, value: _encoded(key, b"\xff\xff"), id="no message"),
            pytest.param(lambda key, value: _encoded(key, outputs(TWO, rows=2)), id="other rows"),
            pytest.param(lambda key, value: _encoded(key, encoded_outputs({"z": TWO})), id="other outputs"),
            pytest.param(lambda key, value: _encoded(key, encoded_outputs({"y": TWO + TWO})), id="other length"),
        ],
    )
    async def test_bytes_that_nobody_here_wrote_are_not_given(self, poison):
        bench = Bench(memory_bytes=0)
        await bench.fill(ONE)
        (key,) = bench.store.values
        bench.store.values[key] = poison(key, bench.store.values[key])
        assert (await bench.fill(THREE)).outputs == outputs(THREE)

    async def test_a_purge_makes_what_is_kept_void_in_every_layer(self):
        bench = Bench()
        await bench.fill(ONE)
        bench.put_table(epoch=1)
        assert (await bench.fill(TWO)).lookup_outcome == "MISS"
        assert (await bench.find()).outputs == outputs(TWO)


class TestFallbacks:
    async def test_kept_gives_what_is_as_good_as_computed_and_computes_nothing(self):
        bench = Bench(lookup=WINDOWS)
        question = bench.question()
        assert await bench.lookup.kept(question, question.arm) is None
        await bench.fill(ONE)
        found = await bench.lookup.kept(question, question.arm)
        assert found is not None
        assert found.served_from is ServedFrom.CACHE
        bench.loop.ahead_s += 70
        assert await bench.lookup.kept(question, question.arm) is None
        assert bench.online.submitted == 1

    @pytest.mark.parametrize("memory_bytes", [0, 1 << 20], ids=["store", "memory"])
    async def test_kept_stale_gives_an_answer_past_its_time_within_the_bound(self, memory_bytes):
        bench = Bench(memory_bytes=memory_bytes)
        await bench.fill(ONE)
        bench.loop.ahead_s += 100
        question = bench.question()
        found = await bench.lookup.kept_stale(question, question.arm, 200.0)
        assert found is not None
        assert (found.served_from, found.outputs) == (ServedFrom.STALE, outputs(ONE))
        assert await bench.lookup.kept_stale(question, question.arm, 99.0) is None
        bounded = bench.question(max_age_s=50.0)
        assert await bench.lookup.kept_stale(bounded, bounded.arm, 200.0) is None

    async def test_precomputed_gives_an_answer_of_any_age_that_the_caller_accepts(self):
        bench = Bench(generation=3, lookup=lookup(max_precomputed_age=10))
        bench.precompute("a", TWO, generation=3, age_s=1000)
        question = bench.question(entity_id="a")
        found = await bench.lookup.precomputed(question, question.arm)
        assert found is not None
        assert (found.served_from, found.outputs) == (ServedFrom.PRECOMPUTED, outputs(TWO))
        bounded = bench.question(entity_id="a", max_age_s=999.0)
        assert await bench.lookup.precomputed(bounded, bounded.arm) is None


def _encoded(key: bytes, encoded: bytes) -> bytes:
    return kept.encode(key, kept.Entry(1_700_000_000_000, encoded))


def encoded_outputs(values: dict[str, bytes]) -> bytes:
    message = predict_pb2.PredictResponse(raw_output_contents=list(values.values()))
    for name in values:
        message.outputs.add(name=name, datatype="FP32", shape=[1, 1])
    return message.SerializeToString()
