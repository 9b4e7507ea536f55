"""The look-up over a store and batchers held in the hand; tests/integration/router_data has real ones."""

from __future__ import annotations

import asyncio

import pytest
from headrace.tensor.v1 import tensor_pb2
from headrace_router import stored_answers
from headrace_router.data.answer.answer import ServedFrom
from headrace_servicekit.errors import Code

from tests.kit.router.fake_control import lookup, resolved_version
from tests.kit.router.lookup_bench import (
    BATCH,
    DOWN,
    ONE,
    THREE,
    TWO,
    WINDOWS,
    Bench,
    encoded_outputs,
    error_of,
    outputs,
)


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


async def test_by_entity_what_no_input_is_to_blame_for_reaches_all():
    bench = Bench(lookup=lookup(key="ENTITY"))
    asked = [bench.ask(entity_id="a"), bench.ask(entity_id="a", inputs=b"\1" * 16)]
    await bench.asked()
    bench.fail(DOWN)
    assert [(await error_of(one)).reason for one in asked] == ["NO_BACKEND"] * 2
    assert bench.online.submitted == 1


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
            pytest.param(
                lambda key, value: stored_answers.encode(b"other", stored_answers.Entry(1, outputs(TWO))),
                id="of another key",
            ),
            pytest.param(
                lambda key, value: stored_answers.encode(key, stored_answers.Entry(1 << 50, b"\xff\xff")),
                id="no outputs",
            ),
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
        resolved = bench.resolved()
        assert await bench.lookup.kept(resolved, resolved.variant) is None
        await bench.fill(ONE)
        found = await bench.lookup.kept(resolved, resolved.variant)
        assert found is not None
        assert found.served_from is ServedFrom.CACHE
        bench.loop.ahead_s += 70
        assert await bench.lookup.kept(resolved, resolved.variant) is None
        assert bench.online.submitted == 1

    @pytest.mark.parametrize("memory_bytes", [0, 1 << 20], ids=["store", "memory"])
    async def test_kept_stale_gives_an_answer_past_its_time_within_the_bound(self, memory_bytes):
        bench = Bench(memory_bytes=memory_bytes)
        await bench.fill(ONE)
        bench.loop.ahead_s += 100
        resolved = bench.resolved()
        found = await bench.lookup.kept_stale(resolved, resolved.variant, 200.0)
        assert found is not None
        assert (found.served_from, found.outputs) == (ServedFrom.STALE, outputs(ONE))
        assert await bench.lookup.kept_stale(resolved, resolved.variant, 99.0) is None
        bounded = bench.resolved(max_age_s=50.0)
        assert await bench.lookup.kept_stale(bounded, bounded.variant, 200.0) is None

    async def test_an_answer_past_its_time_stands_in_for_an_error_for_as_long_as_the_route_says(self):
        bench = Bench(lookup=WINDOWS)
        resolved = bench.resolved()
        assert await bench.lookup.stale_on_error(resolved, resolved.variant) is None
        await bench.fill(ONE)
        bench.loop.ahead_s += 300
        found = await bench.lookup.stale_on_error(resolved, resolved.variant)
        assert found is not None
        assert (found.served_from, found.outputs) == (ServedFrom.STALE, outputs(ONE))
        bench.loop.ahead_s += 361
        assert await bench.lookup.stale_on_error(resolved, resolved.variant) is None

    async def test_precomputed_gives_an_answer_of_any_age_that_the_caller_accepts(self):
        bench = Bench(generation=3, lookup=lookup(max_precomputed_age=10))
        bench.precompute("a", TWO, generation=3, age_s=1000)
        resolved = bench.resolved(entity_id="a")
        found = await bench.lookup.precomputed(resolved, resolved.variant)
        assert found is not None
        assert (found.served_from, found.outputs) == (ServedFrom.PRECOMPUTED, outputs(TWO))
        bounded = bench.resolved(entity_id="a", max_age_s=999.0)
        assert await bench.lookup.precomputed(bounded, bounded.variant) is None


def _encoded(key: bytes, encoded: bytes) -> bytes:
    return stored_answers.encode(key, stored_answers.Entry(1_700_000_000_000, encoded))
