"""Answers that were computed beforehand, beside what is computed and where nothing is."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from headrace.router.v1 import control_pb2
from headrace.tensor.v1 import tensor_pb2
from headrace_router import stored_answers
from headrace_router.data.answer.answer import ServedFrom
from headrace_servicekit.errors import Code

from tests.kit.router.digits import V1
from tests.kit.router.fake_control import INCARNATION, lookup, resolved_version
from tests.kit.router.lookup_bench import BATCH, ONE, TWO, Bench, encoded_outputs, error_of, outputs


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
        key = stored_answers.precomputed_prefix(INCARNATION, bench.version.digest, 3) + b"a"
        message = encoded_outputs({"y": ONE, "z": TWO})
        bench.store.values[key] = stored_answers.encode(key, stored_answers.Entry(int(bench.store.now_ms()), message))
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
        answers = control_pb2.StoredAnswers(digest=V1.digest, precomputed_generation=3)
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
        resolved = bench.resolved()
        asked = asyncio.ensure_future(
            bench.lookup.find(resolved, replace(resolved.variant, pool="cpu"), bench.loop.time() + 5)
        )
        (work,) = await bench.asked()
        assert work.pool == "cpu"
        bench.answer(ONE)
        assert (await asked).outputs == outputs(ONE)
